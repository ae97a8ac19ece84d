"""Compares a new version of a model with the old one: what changes for its clients, and whether it is better.

python -m model compare old.onnx new.onnx holdout.csv --target species --fail-if worse
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from function.classifier import Classifier
from function.errors import ServiceError
from model.check import time_rows
from model.compatibility import find_breaks
from model.evaluate import describe_rows, show, show_table
from model.files import FileError
from model.metrics import BETTER_HIGH, BETTER_LOW, Quality, measure
from model.parser import Parser
from model.reading import add_artifact, add_reading, read_arguments
from model.served import load_served, read_settings
from model.truth import Judged, find_labels, join_classes, judge

SIGNIFICANT = 0.05  # chance makes such a difference in less than 5 % of cases
PERCENTILES = (50, 90, 99, 100)
REASONS = ("worse", "incompatible", "changed")
MOST_CHANGES = 20  # pairs of labels in a terminal


class Aligned(NamedTuple):
    """The answers of both models to the same rows, for the classes of both.

    Attributes:
        labels: the old model's, then those that only the new one has.
        said: by both models, indexes of these labels.
        names: of the classes of both models; one whose label was renamed is the same class.
        classes: of both models, indexes of these names.
        probabilities: of both models, float32, shape (n_rows, n_names).
    """

    labels: tuple[str, ...]
    said: list[NDArray[np.intp]]
    names: tuple[str, ...]
    classes: list[NDArray[np.intp]]
    probabilities: list[NDArray[np.float32]]


class McNemar(NamedTuple):
    """McNemar's exact test: the rows where only one model is right, and how likely chance gives such a difference."""

    only_old: int
    only_new: int
    p: float

    @property
    def is_more_than_chance(self) -> bool:
        return self.p < SIGNIFICANT


class Comparison(NamedTuple):
    """The result; qualities and test are None if the labels aren't known."""

    breaks: list[str]
    judged: Judged
    aligned: Aligned
    shifts: NDArray[np.float32]
    qualities: list[Quality] | None
    test: McNemar | None

    @property
    def changed(self) -> NDArray[np.intp]:
        """The rows whose label changes."""
        old, new = self.aligned.said
        return np.flatnonzero(old != new)

    @property
    def is_worse(self) -> bool:
        """The new model labels fewer rows correctly, by more than chance explains, or refuses more rows."""
        refuses_more = self.judged.n_refused[1] > self.judged.n_refused[0]
        return refuses_more or (
            self.test is not None and self.test.is_more_than_chance and self.test.only_new < self.test.only_old
        )


def compare(old: Classifier, new: Classifier, judged: Judged) -> Comparison:
    """Compare the answers to the same rows."""
    aligned = align(old, new, judged)
    before, after = aligned.probabilities
    qualities = test = None
    if judged.truth:
        qualities = [
            measure(aligned.names, truth, classes, probabilities)
            for truth, classes, probabilities in zip(judged.truth, aligned.classes, aligned.probabilities, strict=True)
        ]
        are_right = [classes == truth for classes, truth in zip(aligned.classes, judged.truth, strict=True)]
        test = find_difference(*are_right)
    return Comparison(
        find_breaks(old.model, new.model), judged, aligned, np.abs(after - before).max(axis=1), qualities, test
    )


def align(old: Classifier, new: Classifier, judged: Judged) -> Aligned:
    """Bring the answers of both models to the same classes; one that a model lacks gets probability 0."""
    models = [old.model, new.model]
    labels, (names, places) = find_labels(models), join_classes(models)
    said = [
        np.array([labels.index(label) for label in model.labels])[best]
        for model, best in zip(models, judged.classes, strict=True)
    ]
    probabilities = [np.zeros((len(found), len(names)), dtype=np.float32) for found in judged.probabilities]
    for spread, own, found in zip(probabilities, places, judged.probabilities, strict=True):
        spread[:, own] = found
    classes = [own[best] for own, best in zip(places, judged.classes, strict=True)]
    return Aligned(labels, said, names, classes, probabilities)


def find_difference(old_right: NDArray[np.bool_], new_right: NDArray[np.bool_]) -> McNemar:
    """Test whether one model is right more often than the other.

    https://doi.org/10.1007/BF02295996; exact: each row in which only one is right counts as the toss of a coin.
    """
    only_old, only_new = int((old_right & ~new_right).sum()), int((new_right & ~old_right).sum())
    p = binomtest(only_new, only_old + only_new).pvalue if only_old + only_new else 1.0
    return McNemar(only_old, only_new, float(p))


def to_document(found: Comparison, sizes: Sequence[int], times: Sequence[float], n_largest: int) -> dict[str, Any]:
    """Return the whole result as JSON values."""
    pairs = Counter(_name_pairs(found, found.changed))
    document: dict[str, Any] = {
        "is_compatible": not found.breaks,
        "breaks": found.breaks,
        "n_rows": len(found.shifts),
        "left_out": {"n_rows": len(found.judged.left_out), "reasons": dict(found.judged.count_reasons())},
        "refused_by_one_alone": dict(zip(("old", "new"), found.judged.n_refused, strict=True)),
        "labels_changed": len(found.changed),
        "changes": [{"old": old, "new": new, "n_rows": n} for (old, new), n in pairs.most_common()],
        "shift": {str(percent): float(np.percentile(found.shifts, percent)) for percent in PERCENTILES},
        "largest": find_largest(found, n_largest),
        "bytes": dict(zip(("old", "new"), sizes, strict=True)),
        "microseconds_per_1000_rows": dict(zip(("old", "new"), times, strict=True)),
    }
    if found.qualities is not None and found.test is not None:
        document["quality"] = {
            name: {measure: getattr(quality, measure) for measure in _measures()}
            for name, quality in zip(("old", "new"), found.qualities, strict=True)
        }
        document["mcnemar"] = found.test._asdict() | {"is_more_than_chance": found.test.is_more_than_chance}
        document["is_worse"] = found.is_worse
    return document


def _measures() -> list[str]:
    return [name for name in (*BETTER_HIGH, *BETTER_LOW) if name != "left_out"]


def _name_pairs(found: Comparison, rows: NDArray[np.intp]) -> list[tuple[str, str]]:
    labels = found.aligned.labels
    old, new = (said[rows].tolist() for said in found.aligned.said)
    return [(labels[a], labels[b]) for a, b in zip(old, new, strict=True)]


def find_largest(found: Comparison, n: int) -> list[dict[str, Any]]:
    """Return the rows whose probabilities change most."""
    rows = np.argsort(-found.shifts, kind="stable")[:n]
    rows = rows[found.shifts[rows] > 0]
    return [
        {
            "file": found.judged.files[row],
            "line": int(found.judged.lines[row]),
            "old": old,
            "new": new,
            "shift": float(found.shifts[row]),
        }
        for row, (old, new) in zip(rows.tolist(), _name_pairs(found, rows), strict=True)
    ]


def describe(found: Comparison, sizes: Sequence[int], times: Sequence[float], n_largest: int) -> Iterator[str]:
    """Yield the result as lines for a terminal."""
    yield (
        "compatible: clients of the old model can use the new one"
        if not found.breaks
        else "incompatible: clients of the old model break:"
    )
    yield from (f"  {line}" for line in found.breaks)
    yield from describe_rows(len(found.shifts), found.judged)
    yield from _describe_refusals(found.judged)
    yield from _describe_changes(found)
    if (largest := find_largest(found, n_largest)) and found.shifts.any():
        yield ""
        yield "largest changes"
        rows = [[f"{one['file']}:{one['line']}", one["old"], one["new"], f"{one['shift']:.4f}"] for one in largest]
        yield from show_table(["line", "old label", "new label", "change"], rows)
    yield ""
    quality = [] if found.qualities is None else [_show_measure(name, found.qualities) for name in _measures()]
    yield from show_table(
        ["", "old", "new"],
        [
            *quality,
            ["bytes", *(f"{size:,}" for size in sizes)],
            ["µs per 1,000 rows", *(f"{time:,.0f}" for time in times)],
        ],
    )
    if found.test is not None:
        yield ""
        yield _describe_test(found.test)


def _describe_refusals(judged: Judged) -> Iterator[str]:
    for n, who, other in zip(judged.n_refused, ("old", "new"), ("new", "old"), strict=True):
        if n:
            yield f"  {n:,} of them refused only by the {who} model, and answered by the {other} one"


def _describe_changes(found: Comparison) -> Iterator[str]:
    n_changed, n_rows = len(found.changed), len(found.shifts)
    yield ""
    yield f"labels change in {n_changed:,} rows of {n_rows:,}, {n_changed / n_rows:.2%}"
    pairs = Counter(_name_pairs(found, found.changed)).most_common()
    yield from (f"  {n:,}: {old} → {new}" for (old, new), n in pairs[:MOST_CHANGES])
    if others := sum(n for _, n in pairs[MOST_CHANGES:]):
        yield f"  {others:,}: {len(pairs) - MOST_CHANGES:,} other changes"
    half, most, nearly_all, largest = (float(np.percentile(found.shifts, percent)) for percent in PERCENTILES)
    yield (
        f"largest change of a probability in a row: median {half:.4f}, 90 % of rows up to {most:.4f}, "
        f"99 % up to {nearly_all:.4f}, all up to {largest:.4f}"
    )


def _show_measure(name: str, qualities: Sequence[Quality]) -> list[str]:
    return [name.replace("_", " "), *(show(getattr(quality, name)) for quality in qualities)]


def _describe_test(test: McNemar) -> str:
    verdict = "that is more than chance" if test.is_more_than_chance else "that may be chance"
    return (
        f"only the old model is right in {test.only_old:,} rows, only the new one in {test.only_new:,}; "
        f"{verdict} (McNemar's exact test, p = {test.p:.2g})"
    )


def find_misses(found: Comparison, reasons: Sequence[str]) -> list[str]:
    """Return the reasons to fail that apply."""
    misses = []
    if "worse" in reasons and found.is_worse:
        refused, qualities = found.judged.n_refused, found.qualities or []
        accuracies = " → ".join(f"{quality.accuracy:.4f}" for quality in qualities)
        only = f"rows refused only by the old model {refused[0]:,}, only by the new one {refused[1]:,}"
        misses.append(f"worse: accuracy {accuracies}; {only}")
    if "incompatible" in reasons and found.breaks:
        misses.append(f"incompatible: {'; '.join(found.breaks)}")
    if "changed" in reasons and len(found.changed):
        misses.append(f"changed: the labels of {len(found.changed):,} rows of {len(found.shifts):,}")
    return misses


def _reasons(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    if unknown := [reason for reason in found if reason not in REASONS]:
        raise argparse.ArgumentTypeError(f"expected {', '.join(REASONS)}; got {', '.join(unknown)}")
    return found


def main(given: Sequence[str] | None = None) -> None:
    """Compare two artifacts, and print the result."""
    parser = Parser(description="Compare a new version of a model with the old one.")
    add_artifact(parser, "old")
    add_artifact(parser, "new")
    add_reading(parser, target_is_required=False)
    parser.add_argument(
        "--fail-if",
        type=_reasons,
        default=[],
        metavar="REASON,…",
        help="end with status 1 if it is worse (by more than chance, or refuses more rows), incompatible, or changed",
    )
    parser.add_argument("--largest", type=int, default=10, metavar="N", help="changes that are listed (default: 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(given)
    try:
        misses = _run(arguments)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if misses:
        sys.exit("\n".join(misses))


def _run(arguments: argparse.Namespace) -> list[str]:
    if "worse" in arguments.fail_if and arguments.target is None:
        raise FileError("--fail-if worse: expected --target, the column of the true labels")
    paths: list[Path] = [arguments.old, arguments.new]
    # MODEL_SHA256 can't be the digest of both.
    settings = [read_settings(path, arguments.labels).model_copy(update={"model_sha256": None}) for path in paths]
    old, new = map(load_served, settings)
    found = compare(old, new, judge([old, new], read_arguments(arguments)))
    sizes = [path.stat().st_size for path in paths]
    times = [time_rows(classifier, 1000) for classifier in (old, new)]
    n_largest = max(0, arguments.largest)
    if arguments.json:
        print(json.dumps(to_document(found, sizes, times, n_largest), indent=1, ensure_ascii=False))
    else:
        print(*describe(found, sizes, times, n_largest), sep="\n", flush=True)
    return find_misses(found, arguments.fail_if)


if __name__ == "__main__":
    main()
