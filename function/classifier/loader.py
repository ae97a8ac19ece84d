"""Artifact → classifier: what the file, the labels beside it and the session say, brought together and checked once."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from function.classifier import checks
from function.classifier.facts import Feature, read_facts, read_labels
from function.classifier.model import TEXT, WHOLE, Columns, Input, LabelSource, Model
from function.classifier.onnx_file import read_categories, read_class_ids
from function.classifier.predictor import Classifier
from function.classifier.session import Session
from function.errors import ArtifactError

IRIS_SAMPLE = (5.1, 3.5, 1.4, 0.2)  # the original pattern's sample, for an artifact that carries none


def load(path: Path, *, label_path: Path | None = None, sha256: str | None = None) -> Classifier:
    """Read an artifact and its labels from disk, and check them.

    Labels come from `label_path`, else from a `label.json` beside the artifact, else from the facts
    that the artifact carries, else from its class ids. A digest comes from `sha256`, and from a file beside the
    artifact with `.sha256` behind its name.

    Raises:
        ArtifactError: names the file, the cause and the fix.
    """
    try:
        artifact = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}); MODEL_FILEPATH names the model") from None
    _check_digest(path, artifact, sha256)
    if label_path is None and (beside := path.with_name("label.json")).exists():
        label_path = beside
    labels = read_labels(label_path) if label_path else None
    try:
        return load_bytes(artifact, name=path.stem, labels=labels)
    except (ArtifactError, UnicodeDecodeError) as error:
        where = f"{path} with {label_path}" if label_path else path
        cause = error if isinstance(error, ArtifactError) else "a name in it isn't UTF-8; export it again"
        raise ArtifactError(f"{where}: {cause}") from None


def load_bytes(artifact: bytes, *, name: str, labels: Sequence[str] | None = None) -> Classifier:
    """Make the session, and run the sample, alone and as a batch of two rows, and some rows around it.

    Args:
        artifact: an ONNX file's bytes.
        name: of the model.
        labels: human names by class index; None to take those that the artifact has.

    Raises:
        ArtifactError: not a classifier that can be served, or its facts, labels and answers disagree.
    """
    session = Session(artifact)
    signature, facts = session.signature, read_facts(session.metadata)
    columns = Columns(signature.inputs, facts.features or _default_features(signature.inputs, artifact))
    sample = facts.sample.row if facts.sample else _default_sample(columns)
    checks.check_widths(columns, sample)
    probabilities, keys = checks.run_sample(session, columns, sample)
    checks.check_sample(probabilities, signature.output_name, facts.sample)
    probabilities.setflags(write=False)

    source = signature.label_name or signature.output_name
    class_ids = keys or read_class_ids(artifact, source, len(probabilities))
    answers = checks.probe(session, columns, sample)
    model = Model(
        name=name,
        version=session.version,
        sha256=hashlib.sha256(artifact).hexdigest(),
        producer=session.producer,
        signature=signature,
        columns=columns,
        class_ids=class_ids,
        label_output=signature.label_name if class_ids and {own for own, _ in answers} <= set(class_ids) else None,
        labels=_name_classes(class_ids or _indexes(len(probabilities)), labels if labels is not None else facts.labels),
        labels_from=_find_source(labels, facts.labels, class_ids),
        sample=sample,
        sample_probabilities=probabilities,
        training=facts.training,
    )
    checks.check_labels(model, answers)
    return Classifier(session, model)


def _check_digest(path: Path, artifact: bytes, sha256: str | None) -> None:
    found, wanted = hashlib.sha256(artifact).hexdigest(), {"MODEL_SHA256": sha256} if sha256 else {}
    if (packed := path.with_name(f"{path.name}.sha256")).exists():  # what the package was built with
        wanted[packed.name] = packed.read_text(errors="replace").split(" ")[0].strip()
    for who, digest in wanted.items():
        if digest != found:
            raise ArtifactError(f"{path}: its SHA-256 is {found}, {who} wants {digest[:64]}; ship the right file")


def _default_features(inputs: Sequence[Input], artifact: bytes) -> tuple[Feature, ...]:
    if len(inputs) == 1 and inputs[0].type != TEXT:
        return tuple(Feature(name=f"feature {index}") for index in range(inputs[0].width))
    texts: Mapping[str, tuple[str, ...]] = read_categories(artifact) if TEXT in (input.type for input in inputs) else {}
    return tuple(
        Feature(name=input.name if input.width == 1 else f"{input.name} {place}", values=texts.get(input.name))
        for input in inputs
        for place in range(input.width)
    )


def _default_sample(columns: Columns) -> tuple[float | str, ...]:
    if len(columns.inputs) == 1 and len(columns.types) == len(IRIS_SAMPLE) and columns.types[0] not in WHOLE:
        return IRIS_SAMPLE
    known = zip(columns.types, columns.features, strict=True)
    return tuple((feature.values or ("",))[0] if type == TEXT else 0.0 for type, feature in known)


def _name_classes(class_ids: tuple[str, ...], labels: Sequence[str] | None) -> tuple[str, ...]:
    """Put labels into the order of the probabilities; what the model itself calls its classes counts most."""
    if labels is None or set(labels) == set(class_ids):
        return class_ids
    if set(class_ids) == set(_indexes(len(labels))):
        return tuple(labels[int(class_id)] for class_id in class_ids)
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
