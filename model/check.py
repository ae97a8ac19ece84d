"""Reads an artifact as the service will, and says what it found or why it is refused.

python -m model.check my.onnx --labels labels.json
"""

import argparse
import json
import os
import shlex
import sys
import timeit
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from function import package
from function.api.limits import find_limits
from function.api.responses import JSON
from function.classifier import Classifier, Model, load
from function.classifier.onnx_file import read_opsets
from function.errors import ArtifactError, ServiceError
from function.settings import Settings


def describe(settings: Settings) -> Iterator[tuple[str, str]]:
    """Give what there is to know, a heading and a line each.

    Raises:
        ArtifactError: the service would refuse it, or Lambda its size.
    """
    path = settings.model_filepath
    classifier = load(path, label_path=settings.label_filepath, sha256=settings.model_sha256)
    model, artifact = classifier.model, path.read_bytes()
    limits = find_limits(model, settings)
    opsets = ", ".join(f"{domain} {version}" for domain, version in sorted(read_opsets(artifact).items()))
    yield "artifact", f"{path}, {len(artifact):,} bytes, SHA-256 {model.sha256}"
    yield "name", f"{model.name}, version {model.version}, at /v2/models/{quote(model.name)}"
    yield "made by", f"{model.producer or 'nobody that it names'}; opsets {opsets}"
    rows = "1" if model.signature.is_one_by_one else "None"
    for input in model.columns.inputs:
        yield "input", f"{input.name}: {input.type} ({rows}, {input.width})"
    form = "a ZipMap" if model.signature.is_zipmap else "a tensor"
    yield "output", f"{model.signature.output_name}: the probabilities of {len(model.labels)} classes, {form}"
    if model.signature.label_name is not None:
        yield "output", f"{model.signature.label_name}: the class id"
    yield "features", model.columns.wanted
    yield "labels", f"{', '.join(model.labels)} (from {model.labels_from})"
    body = json.dumps({"data": [model.sample]})
    header = "-H 'content-type: application/json'"
    yield "request", f"curl -d {shlex.quote(body)} {header} localhost:8000/predict"
    yield "answer", bytes(JSON({"prediction": model.sample_probabilities}).body).decode()
    yield (
        "time",
        f"{_microseconds(classifier, 1):,.0f} µs a row, {_microseconds(classifier, 1000):,.0f} µs per 1,000 rows",
    )
    yield "limits", f"{limits.max_rows:,} rows and {limits.max_body_bytes:,} bytes a request"
    yield "package", _weigh(len(artifact))
    yield from (("hint", hint) for hint in _hints(model))


def _hints(model: Model) -> Iterator[str]:
    if model.signature.is_zipmap:
        yield "a ZipMap is slower than a tensor: with skl2onnx, export with options={'zipmap': False}"
    if model.signature.is_one_by_one:
        yield "the rows of a batch run one by one: export with a free number of rows"
    if model.class_ids is None:
        yield "the file doesn't name its classes: are the labels in the order of the probabilities?"
    elif model.labels_from == "a label file" and not set(model.class_ids) <= set(map(str, range(10_000))):
        yield f"the label file renames the model's own classes {', '.join(model.class_ids)}"
    if "float64" in model.columns.types:
        yield "float64 inputs may be rounded inside, by trees above all: a float32 sample exports float32 inputs"


def _microseconds(classifier: Classifier, n_rows: int) -> float:
    rows = [classifier.model.sample] * n_rows
    timer = timeit.Timer(lambda: classifier.predict(rows))
    number = max(1, int(0.05 / timer.timeit(1)))
    return min(timer.repeat(3, number)) / number * 1e6


def _weigh(n_bytes: int) -> str:
    """Hold the package with this model against Lambda's limit; without one it is within the build's own."""
    total = package.MAX_UNZIPPED_MB + n_bytes / 1e6
    if total > package.LAMBDA_MB:
        room = package.LAMBDA_MB - package.MAX_UNZIPPED_MB
        raise ArtifactError(
            f"expected a model of at most {room} MB, which fits into Lambda's package, got {n_bytes / 1e6:.0f}"
        )
    return f"at most {total:.1f} MB unzipped with this model, of the {package.LAMBDA_MB} MB that Lambda takes"


def main(given: Sequence[str] | None = None) -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description="Read an ONNX artifact as the service will.")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--labels", type=Path, help="index -> label, JSON; default: label.json beside the artifact")
    arguments = parser.parse_args(given)
    environ = {"MODEL_FILEPATH": str(arguments.artifact)}
    if arguments.labels is not None:
        environ["LABEL_FILEPATH"] = str(arguments.labels)
    try:
        for heading, line in describe(Settings.load(os.environ | environ)):
            print(f"{heading:<9} {line}", flush=True)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
