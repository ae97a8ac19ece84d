"""Reads an artifact as the service does, and prints what it contains or why it is refused.

python -m model check my.onnx --labels labels.json
"""

import json
import math
import re
import shlex
import sys
import timeit
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from function import package
from function.api.limits import find_limits
from function.api.responses import JSON
from function.classifier import Classifier, Model
from function.classifier.onnx_file import Graph, Node, read_opsets
from function.classifier.outputs import to_class_ids, to_probabilities
from function.classifier.trial import Trial
from function.errors import ServiceError
from function.settings import Settings
from model.parser import Parser
from model.served import add_labels, load_served, read_settings

# Peak memory at start-up, measured by `make bench-image`: the file, onnxruntime's copy, the session.
COPIES, PROCESS_MB = 3, 200
# Operators of regressors; some exporters of classifiers use them too.
REGRESSORS = {"LinearRegressor", "SVMRegressor", "TreeEnsemble", "TreeEnsembleRegressor"}


def describe(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the artifact's facts, each as a heading and a line.

    Raises:
        ArtifactError: the service would refuse it.
    """
    path = settings.model_filepath
    classifier = load_served(settings)
    model, artifact = classifier.model, path.read_bytes()
    limits = find_limits(model, settings)
    opsets = ", ".join(f"{domain} {version}" for domain, version in sorted(read_opsets(artifact).items()))
    yield "artifact", f"{path}, {len(artifact):,} bytes, SHA-256 {model.sha256}"
    yield "name", f"{model.name}, version {model.version}, at /v2/models/{quote(model.name)}"
    yield "made by", f"{model.producer or 'an unnamed program'}; opsets {opsets}"
    yield from _describe_signature(model)
    yield "rule", _describe_rule(classifier)
    yield "parity", _describe_certificate(model)
    body = json.dumps({"data": [model.sample]})
    header = "-H 'content-type: application/json'"
    yield "request", f"curl -d {shlex.quote(body)} {header} localhost:8000/predict"
    yield "answer", bytes(JSON({"prediction": model.sample_probabilities}).body).decode()
    yield (
        "time",
        f"{time_rows(classifier, 1):,.0f} µs per row, {time_rows(classifier, 1000):,.0f} µs per 1,000 rows",
    )
    yield "limits", f"{limits.max_rows:,} rows and {limits.max_body_bytes:,} bytes per request"
    yield _weigh(len(artifact))
    yield from (("warning", note) for note in model.notes)
    yield from (("hint", hint) for hint in _hints(model, Graph(artifact)))


def _describe_signature(model: Model) -> Iterator[tuple[str, str]]:
    signature, columns = model.signature, model.columns
    for input in signature.inputs:
        rows = signature.n_batch or "None"
        yield "input", f"{input.name}: {input.type} ({rows}{',' if input.is_flat else f', {input.width}'})"
    form = "a ZipMap" if signature.is_zipmap else "a tensor"
    yield "output", f"{signature.output_name}: the probabilities of {len(model.labels)} classes, {form}"
    if signature.label_name is not None:
        yield "output", f"{signature.label_name}: the predicted class"
    if signature.ignored:
        yield "output", f"{', '.join(signature.ignored)}: ignored"
    yield "features", columns.wanted
    missing = [feature.name for feature, fill in zip(model.features, columns.fills, strict=True) if fill is not None]
    yield "missing", f"null is accepted in {', '.join(missing)}" if missing else "null is refused in every feature"
    yield "labels", f"{', '.join(model.labels)} (from {model.labels_from})"


def _describe_rule(classifier: Classifier) -> str:
    """Say which rule gives the label, and how often the other rule would give another one."""
    model = classifier.model
    name = model.signature.label_name
    if name is None:
        return "HIGHEST: the label is the class with the highest probability, because the model has no output of labels"
    gives = f'the output "{name}" gives the label'
    if model.label_rule == "MODEL" and model.is_argmax:
        return f"MODEL: {gives}, which is the class with the highest probability"
    n_differ = f"another one in {_count_differing(classifier)} trial rows"
    if model.label_rule == "MODEL":
        return f"MODEL: {gives}; the class with the highest probability is {n_differ}"
    return f'HIGHEST: the label is the class with the highest probability; the output "{name}" gives {n_differ}'


def _count_differing(classifier: Classifier) -> str:
    """Count the trial rows whose label isn't the most probable class: "3 of 120"."""
    model, output = classifier.model, classifier.model.signature.output_name
    trial = Trial(classifier.session, model.columns, model.sample)
    trial.find_meeting(output)
    answers = trial.answers
    highest = to_probabilities(answers[output], len(answers[output])).argmax(axis=1)
    own = to_class_ids(answers[model.signature.label_name or ""])
    n_differ = sum((model.class_ids or ())[place] != label for place, label in zip(highest, own, strict=True))
    return f"{n_differ} of {len(own)}"


def _describe_certificate(model: Model) -> str:
    if (found := model.certificate) is None:
        return "not compared with the framework that trained it; `python -m model export` does that"
    return (
        f"{found.rows:,} rows compared with {found.framework} on {found.date}, {found.rows_missing:,} with missing values: "
        f"largest difference {found.largest_difference:.2g}, {found.labels_differ} labels differ"
    )


def _hints(model: Model, graph: Graph) -> Iterator[str]:
    found = {node.operator for node in graph.nodes}
    if model.signature.label_name is None and (regressors := sorted(found & REGRESSORS)):
        yield (
            f"the file has no output of labels, and {', '.join(regressors)}: if it is a regressor, its numbers aren't "
            "probabilities, though they are from 0 to 1"
        )
    if words := next(filter(None, map(_find_ascii_words, graph.nodes)), None):
        yield (
            f"texts are split by {words}, in which only ASCII has letters; with skl2onnx, the option tokenexp sets another, "
            r"such as r'[\p{L}\p{N}_]{2,}'"
        )
    if model.signature.is_zipmap:
        yield "a ZipMap is slower than a tensor; with skl2onnx, export with options={'zipmap': False}"
    if model.signature.n_batch == 1:
        yield "the rows of a batch run one by one; export with a free number of rows"
    elif model.signature.n_batch is not None:
        yield f"rows run in groups of {model.signature.n_batch}, the last is filled up; export with a free number of rows"
    if model.class_ids is None:
        yield "the file doesn't name its classes: are the labels in the order of the probabilities?"
    elif model.labels_from == "a label file" and not set(model.class_ids) <= set(map(str, range(10_000))):
        yield f"the label file renames the model's own classes {', '.join(model.class_ids)}"
    if "float64" in model.columns.types and model.certificate is None:
        yield "the model, above all with trees, may round float64 inputs; a float32 sample exports float32 inputs"
    if model.version == "0":
        yield "the file has no version: `python -m model describe … --version 1` writes one into it, and so does version=1 of export"


def _find_ascii_words(node: Node) -> str | None:
    """Return a Tokenizer's expression if it is skl2onnx's default, or has what RE2 knows only for ASCII."""
    expression = node.attribute("tokenexp") if node.operator == "Tokenizer" else None
    words = "" if expression is None else expression.text("s")
    return words if words == "[a-zA-Z0-9_]+" or re.search(r"\\[wb]", words) else None


def time_rows(classifier: Classifier, n_rows: int) -> float:
    """Return the microseconds that a classifier takes for a batch of `n_rows` copies of its sample."""
    rows = [classifier.model.sample] * n_rows
    timer = timeit.Timer(lambda: classifier.predict(rows))
    number = max(1, int(0.05 / timer.timeit(1)))
    return min(timer.repeat(3, number)) / number * 1e6


def _weigh(n_bytes: int) -> tuple[str, str]:
    """Say which kind of package this model needs; without it, a zip has at most the build's own limit."""
    size, room = n_bytes / 1e6, package.LAMBDA_MB - package.MAX_UNZIPPED_MB
    if size > room:
        memory = f"PARAMETERS='MemorySize={math.ceil(COPIES * size) + PROCESS_MB}'"
        return (
            "package",
            f"image: a zip has room for {room} MB, this model has {size:.0f}; make deploy PACKAGE=image {memory}",
        )
    total = package.MAX_UNZIPPED_MB + size
    return (
        "package",
        f"zip: at most {total:.1f} MB unzipped with this model; Lambda takes {package.LAMBDA_MB} MB",
    )


def main(given: Sequence[str] | None = None) -> None:
    """Check an artifact, and print the result."""
    parser = Parser(description="Read an ONNX artifact as the service does.")
    parser.add_argument("artifact", type=Path)
    add_labels(parser)
    arguments = parser.parse_args(given)
    try:
        for heading, line in describe(read_settings(arguments.artifact, arguments.labels)):
            print(f"{heading:<9} {line}", flush=True)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
