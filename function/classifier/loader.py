"""Artifact → classifier: combines the file, the labels beside it and the session, and checks them once."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from function.classifier import checks, missing
from function.classifier.facts import Facts, Feature, read_facts, read_labels
from function.classifier.model import (
    BOOL,
    TEXT,
    WHOLE,
    Columns,
    Input,
    LabelRule,
    LabelSource,
    Model,
    Probabilities,
    Signature,
    Value,
    cut,
)
from function.classifier.onnx_file import Graph
from function.classifier.outputs import (
    Labels,
    UnclearLabelError,
    find_labels,
    find_probabilities,
    find_tolerance,
    to_probabilities,
)
from function.classifier.predictor import Classifier
from function.classifier.session import Output, Session
from function.classifier.trace import find_categories, find_class_ids, is_argmax
from function.classifier.trial import Trial, try_missing
from function.errors import ArtifactError

IRIS_SAMPLE = (5.1, 3.5, 1.4, 0.2)  # the original pattern's sample, for an artifact that carries none


def load(
    path: Path,
    *,
    label_path: Path | None = None,
    sha256: str | None = None,
    label_rule: LabelRule = "MODEL",
    allow_missing: bool = False,
) -> Classifier:
    """Read an artifact and its labels from disk, and check them.

    Labels come from `label_path`, else from a `label.json` beside the artifact, else from the artifact's facts, else
    from its class ids. Expected digests come from `sha256`, and from a file beside the artifact that has its name
    followed by `.sha256`.

    Args:
        path: of the artifact.
        label_path: of its labels.
        sha256: the digest that it must have.
        label_rule: HIGHEST to use the class with the highest probability, whatever the artifact's own label is.
        allow_missing: any float or text may be missing.

    Raises:
        ArtifactError: names the file, the cause and the fix.
    """
    try:
        artifact = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}); MODEL_FILEPATH names the model") from None
    digest = hashlib.sha256(artifact).hexdigest()
    _check_digest(path, digest, sha256)
    if label_path is None and (beside := path.with_name("label.json")).exists():
        label_path = beside
    labels = read_labels(label_path) if label_path else None
    try:
        return load_bytes(
            artifact,
            name=path.stem,
            digest=digest,
            labels=labels,
            label_rule=label_rule,
            allow_missing=allow_missing,
        )
    except (ArtifactError, UnicodeDecodeError) as error:
        where = f"{path} with {label_path}" if label_path else path
        cause = error if isinstance(error, ArtifactError) else "a name in it isn't UTF-8; export it again"
        raise ArtifactError(f"{where}: {cause}") from None


def load_bytes(
    artifact: bytes,
    *,
    name: str,
    digest: str | None = None,
    labels: Sequence[str] | None = None,
    label_rule: LabelRule = "MODEL",
    allow_missing: bool = False,
) -> Classifier:
    """Create a classifier from an ONNX file's bytes; labels are names by class index, the rest is as in `load`.

    Pass a known digest, because hashing 1 GB takes more than a second.

    Raises:
        ArtifactError: it isn't a classifier that can be served, or its facts, labels and answers contradict each other.
    """
    session, graph = Session(artifact), Graph(artifact)
    facts = read_facts(session.metadata)
    names = labels if labels is not None else facts.labels
    columns = _find_columns(session, graph, facts, allow_missing=allow_missing)
    sample = _find_sample(columns, facts)
    tried = _try(Trial(session, columns, sample), graph, names, label_rule)
    checks.check_sample(tried.of_sample, facts.sample)
    columns, notes = _drop_failing(tried.session, columns, sample, tried.signature.output_name)
    model = Model(
        name=name,
        version=session.version,
        sha256=digest or hashlib.sha256(artifact).hexdigest(),
        producer=session.producer,
        signature=tried.signature,
        columns=columns,
        class_ids=tried.class_ids,
        label_rule=label_rule if tried.signature.label_name else "HIGHEST",
        is_argmax=tried.is_argmax,
        labels=_name_classes(tried.class_ids or _indexes(len(tried.of_sample)), names),
        labels_from=_find_source(labels, facts.labels, tried.class_ids),
        sample=sample,
        sample_probabilities=tried.of_sample,
        training=facts.training,
        certificate=facts.certificate,
        notes=notes,
    )
    return Classifier(tried.session, model)


class _Tried(NamedTuple):
    """A session that can be run, the result of its trial, and the sample's probabilities."""

    session: Session
    signature: Signature
    class_ids: tuple[str, ...] | None
    is_argmax: bool
    of_sample: Probabilities


def _try(trial: Trial, graph: Graph, names: Sequence[str] | None, label_rule: LabelRule) -> _Tried:
    outputs = trial.session.outputs
    output = find_probabilities(outputs, trial.answers, graph)
    own = _find_labels(trial, graph, output, names, label_rule)
    answers = trial.answers[output.name]
    found = to_probabilities(answers, len(answers))
    class_ids = own.ids if own else trial.keys.get(output.name) or find_class_ids(graph, output.name, found.shape[1])
    # Two float64 probabilities may differ and still be the same float32.
    is_shown = own is not None and output.type == "tensor(float)" and is_argmax(graph, own.name, output.name)
    of_sample = np.clip(found[0], 0, 1)
    of_sample.setflags(write=False)
    return _Tried(
        session=trial.session,
        signature=_sign(trial.session, output, own, find_tolerance(output, found.shape[1], graph)),
        class_ids=class_ids,
        is_argmax=own is not None and is_shown and bool((own.classes == found.argmax(axis=1)).all()),
        of_sample=of_sample,
    )


def _find_labels(
    trial: Trial, graph: Graph, output: Output, names: Sequence[str] | None, label_rule: LabelRule
) -> Labels | None:
    """Find the output of labels; try more rows if the file doesn't show which it is."""
    outputs, keys = trial.session.outputs, trial.keys.get(output.name)
    with contextlib.suppress(UnclearLabelError):
        own = find_labels(outputs, trial.answers, graph, output, keys, names)
        if own is None or (own.is_traced and len(outputs) == 2):
            return own
    trial.find_meeting(output.name)
    try:
        return find_labels(outputs, trial.answers, graph, output, keys, names)
    except UnclearLabelError:
        if label_rule == "HIGHEST":
            return None
        raise


def _find_columns(session: Session, graph: Graph, facts: Facts, *, allow_missing: bool) -> Columns:
    features = facts.features or _default_features(session.inputs, graph)
    found = missing.find_fills(graph, session.inputs)
    columns = Columns(session.inputs, features, found.values, dict.fromkeys(found.unclear, missing.UNCLEAR))
    checks.check_features(columns)
    return replace(columns, fills=missing.merge(columns, found, allow_all=allow_missing))


def _drop_failing(
    session: Session, columns: Columns, sample: Sequence[Value], output: str
) -> tuple[Columns, tuple[str, ...]]:
    """Refuse missing values in columns where the model then has no answer, and add a note."""
    failing = try_missing(session, columns, sample, output)
    if not failing:
        return columns, ()
    fills = tuple(None if column in failing else fill for column, fill in enumerate(columns.fills))
    named = cut(", ".join(columns.features[column].name for column in failing), 300)
    note = f"missing values aren't accepted in {named}: the model's answer to its sample without a value isn't finite"
    reasons = {**columns.reasons, **dict.fromkeys(failing, missing.NO_ANSWER)}
    return replace(columns, fills=fills, reasons=reasons), (note,)


def _sign(session: Session, output: Output, own: Labels | None, tolerance: float) -> Signature:
    served = {output.name, own.name if own else ""}
    return Signature(
        inputs=session.inputs,
        n_batch=session.n_batch,
        output_name=output.name,
        is_zipmap=output.is_zipmap,
        tolerance=tolerance,
        label_name=own.name if own else None,
        label_type=own.type if own else TEXT,
        ignored=tuple(found.name for found in session.outputs if found.name not in served),
    )


def _check_digest(path: Path, found: str, sha256: str | None) -> None:
    wanted = {"MODEL_SHA256": sha256} if sha256 else {}
    if (packed := path.with_name(f"{path.name}.sha256")).exists():  # written when the package was built
        wanted[packed.name] = packed.read_text(errors="replace").split(" ")[0].strip()
    for who, digest in wanted.items():
        if digest != found:
            raise ArtifactError(f"{path}: its SHA-256 is {found}, {who} expects {digest[:64]}; deploy the right file")


def _default_features(inputs: Sequence[Input], graph: Graph) -> tuple[Feature, ...]:
    if len(inputs) == 1 and inputs[0].type != TEXT:
        return tuple(Feature(name=f"feature {index}") for index in range(inputs[0].width))
    texts: Mapping[str, tuple[str, ...]] = find_categories(graph) if TEXT in (input.type for input in inputs) else {}
    return tuple(
        Feature(name=input.name if input.width == 1 else f"{input.name} {place}", values=texts.get(input.name))
        for input in inputs
        for place in range(input.width)
    )


def _find_sample(columns: Columns, facts: Facts) -> tuple[Value, ...]:
    sample = facts.sample.row if facts.sample else _default_sample(columns)
    checks.check_width("sample values", columns, len(sample))
    return sample


def _default_sample(columns: Columns) -> tuple[Value, ...]:
    if len(columns.inputs) == 1 and len(columns.types) == len(IRIS_SAMPLE) and columns.types[0] not in (*WHOLE, BOOL):
        return IRIS_SAMPLE
    known = zip(columns.types, columns.features, strict=True)
    return tuple(
        (feature.values or ("",))[0] if type == TEXT else False if type == BOOL else 0.0 for type, feature in known
    )


def _name_classes(class_ids: tuple[str, ...], labels: Sequence[str] | None) -> tuple[str, ...]:
    """Bring labels into the order of the probabilities; the model's own class ids have priority."""
    if labels is None or set(labels) == set(class_ids):
        labels = class_ids
    elif set(class_ids) == set(_indexes(len(labels))):
        labels = [labels[int(class_id)] for class_id in class_ids]
    checks.check_labels(labels, len(class_ids))
    return tuple(labels)


def _find_source(
    labels: Sequence[str] | None, of_facts: Sequence[str] | None, class_ids: Sequence[str] | None
) -> LabelSource:
    if labels:
        return "a label file"
    if of_facts:
        return "its facts"
    return "its class ids" if class_ids else "their positions"


def _indexes(n_classes: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(n_classes))
