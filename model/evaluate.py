"""Measures how good a model is on rows whose labels are known, and fails if it isn't good enough.

python -m model evaluate my.onnx holdout.csv --target species --fail-under accuracy=0.95,macro_f1=0.9
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from function.errors import ServiceError
from model.files import FileError
from model.gate import Bound, find_misses, parse_bounds
from model.metrics import Quality, measure
from model.parser import Parser
from model.reading import add_artifact, add_reading, read_arguments
from model.served import load_served, read_settings
from model.truth import Judged, judge

MOST_LABELS = 30  # of the confusion matrix in a terminal
MOST_REASONS = 5
MOST_PLACES = 3


def find_worst(judged: Judged, labels: Sequence[str], n: int) -> list[dict[str, Any]]:
    """Return the mistakes with the highest probabilities."""
    probabilities, said = judged.probabilities[0], judged.classes[0]
    wrong = np.flatnonzero(said != judged.truth[0])
    sure = probabilities[wrong, said[wrong]]
    return [
        {
            "file": judged.files[row],
            "line": int(judged.lines[row]),
            "truth": labels[judged.truth[0][row]],
            "label": labels[said[row]],
            "probability": float(probabilities[row, said[row]]),
        }
        for row in wrong[np.argsort(-sure, kind="stable")[:n]].tolist()
    ]


def to_document(quality: Quality, judged: Judged, worst: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the whole result as JSON values."""
    document = quality._asdict()
    document |= {
        "baseline": {"label": quality.baseline[0], "accuracy": quality.baseline[1]},
        "labels": {name: of_label._asdict() for name, of_label in quality.labels.items()},
        "matrix": quality.matrix.tolist(),
        "left_out": {"n_rows": len(judged.left_out), "reasons": dict(judged.count_reasons())},
        "new_texts": dict(judged.new_texts),
        "worst": list(worst),
    }
    return document


def describe(quality: Quality, judged: Judged, worst: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the result as lines for a terminal."""
    yield from describe_rows(quality.n_rows, judged)
    for name, n in judged.new_texts.items():
        yield f"{name}: {n:,} {'row has' if n == 1 else 'rows have'} a text that the model wasn't trained on"
    low, high = quality.interval
    label, share = quality.baseline
    yield f"accuracy           {quality.accuracy:.4f}, 95 % interval {low:.4f} to {high:.4f}"
    yield f"baseline           {share:.4f}, always predicting {label}, the most common label"
    yield f"balanced accuracy  {quality.balanced_accuracy:.4f}"
    yield f"macro F1           {quality.macro_f1:.4f}, precision {quality.macro_precision:.4f}, recall {quality.macro_recall:.4f}"
    yield f"log loss           {quality.log_loss:.4f}"
    yield f"Brier score        {quality.brier_score:.4f}"
    yield f"ROC AUC            {show(quality.roc_auc)}, each label against the rest"
    yield f"calibration error  {quality.calibration_error:.4f}"
    yield ""
    yield from show_table(
        ["label", "precision", "recall", "F1", "ROC AUC", "rows"],
        [[name, show(of.precision), show(of.recall), show(of.f1), show(of.roc_auc), f"{of.n_rows:,}"]
         for name, of in quality.labels.items()],
    )  # fmt: skip
    yield ""
    yield from _describe_matrix(quality)
    if worst:
        yield ""
        yield f"worst mistakes, {len(worst)} of {quality.n_rows - round(quality.accuracy * quality.n_rows):,}"
        yield from show_table(
            ["line", "true", "predicted", "probability"],
            [
                [f"{one['file']}:{one['line']}", one["truth"], one["label"], f"{one['probability']:.4f}"]
                for one in worst
            ],
        )


def describe_rows(n_rows: int, judged: Judged) -> Iterator[str]:
    """Say how many rows count, and why others are left out."""
    yield f"{n_rows:,} rows of {n_rows + len(judged.left_out):,}, {len(judged.left_out):,} left out"
    reasons = judged.count_reasons()
    for reason, n in reasons[:MOST_REASONS]:
        places = judged.find_places(reason, MOST_PLACES)
        yield f"  {n:,}: {reason} ({', '.join(places)}{', …' if n > len(places) else ''})"
    if others := sum(n for _, n in reasons[MOST_REASONS:]):
        yield f"  {others:,}: {len(reasons) - MOST_REASONS:,} other reasons"


def _describe_matrix(quality: Quality) -> Iterator[str]:
    labels = list(quality.labels)
    counts = quality.matrix.sum(axis=0) + quality.matrix.sum(axis=1)
    shown = sorted(np.argsort(-counts, kind="stable")[:MOST_LABELS].tolist())
    rows = [[labels[row], *(f"{quality.matrix[row, column]:,}" for column in shown)] for row in shown]
    yield from show_table(["true ↓ predicted →", *(labels[column] for column in shown)], rows)
    if len(shown) < len(labels):
        yield f"the {len(shown)} most frequent of {len(labels)} labels; --json has all"


def show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align texts left in the first column, right in the others."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for bounds to a command."""
    parser.add_argument(
        "--fail-under",
        type=parse_bounds("under"),
        action="append",
        default=[],
        metavar="MEASURE=LEAST,…",
        help="end with status 1 if a metric is less: accuracy, balanced_accuracy, macro_f1, roc_auc, recall:LABEL, …",
    )
    parser.add_argument(
        "--fail-over",
        type=parse_bounds("over"),
        action="append",
        default=[],
        metavar="MEASURE=MOST,…",
        help="end with status 1 if a metric is more: log_loss, brier_score, calibration_error, left_out",
    )


def read_bounds(arguments: argparse.Namespace, labels: Sequence[str]) -> list[Bound]:
    """Read the bounds.

    Raises:
        FileError: one is for a label that the model doesn't have.
    """
    bounds = list(chain.from_iterable(arguments.fail_under + arguments.fail_over))
    if unknown := [bound.name for bound in bounds if bound.label not in (None, *labels)]:
        raise FileError(f"--fail-under: expected the model's labels, {', '.join(labels)}; got {', '.join(unknown)}")
    return bounds


def main(given: Sequence[str] | None = None) -> None:
    """Evaluate an artifact, and print the result."""
    parser = Parser(description="Measure how good a model is on rows whose labels are known.")
    add_artifact(parser)
    add_reading(parser, target_is_required=True)
    add_gate(parser)
    parser.add_argument("--worst", type=int, default=10, metavar="N", help="mistakes that are listed (default: 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(given)
    try:
        misses = _run(arguments)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if misses:
        sys.exit("\n".join(misses))


def _run(arguments: argparse.Namespace) -> list[str]:
    classifier = load_served(read_settings(arguments.artifact, arguments.labels))
    labels = classifier.model.labels
    bounds = read_bounds(arguments, labels)
    judged = judge([classifier], read_arguments(arguments))
    quality = measure(labels, judged.truth[0], judged.classes[0], judged.probabilities[0])
    worst = find_worst(judged, labels, max(0, arguments.worst))
    if arguments.json:
        print(json.dumps(to_document(quality, judged, worst), indent=1, ensure_ascii=False))
    else:
        print(*describe(quality, judged, worst), sep="\n", flush=True)
    return find_misses(bounds, quality, len(judged.left_out))


if __name__ == "__main__":
    main()
