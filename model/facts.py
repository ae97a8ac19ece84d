"""Finds a model's facts in rows from a CSV or a DataFrame: names, ranges, labels, a sample, training facts."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median, median_low
from typing import Literal, NamedTuple

import onnx

from function.classifier import Classifier, Model, load_bytes
from function.classifier.facts import Certificate, Facts, Feature, Sample
from function.classifier.model import BOOL, TEXT, cut
from function.errors import ArtifactError, FeaturesError
from model import artifact
from model.bins import find_bins
from model.predictions import predict
from model.table import Row, Table, Value, count_rows, drop_decimals, is_boolean, read_rows

MOST_VALUES = 100  # a column with more texts, or whose texts hardly repeat, is free text

Best = Mapping[int, int]  # row -> the model's class; without rows that it doesn't answer
Truth = Sequence[str | None]  # the label of each row, None if it isn't known


class LabelError(ArtifactError):
    """A row's label is none of the model's.

    `row` is its place, counted from 0, in `of`: the rows that the model was trained on, or was held out from.
    """

    def __init__(self, message: str, row: int, of: Literal["training", "holdout"] = "training") -> None:
        super().__init__(f"{'holdout, ' if of == 'holdout' else ''}row {row}: {message}")
        self.message = message
        self.row = row
        self.of = of


class Described(NamedTuple):
    """A model's facts, the number of rows that they come from, and how many it labels correctly, if that is known.

    Attributes:
        balanced: the share of correctly labelled rows of each label, on average.
        error: the standard error of that average; 0 if the model always gives the same label.
        unseen: how many rows that it wasn't trained on it labels correctly, and of how many.
        n_refused: how many rows with a label don't count, for they have missing values in the columns `refused`.
    """

    facts: Facts
    n_rows: int
    n_missing: int
    n_right: int | None = None
    balanced: float = 1
    error: float = 0
    unseen: tuple[int, int] | None = None
    n_refused: int = 0
    refused: tuple[str, ...] = ()

    def rate(self, rated: Sequence[bool], truth: Truth) -> "Described":
        """Count the correctly labelled rows, in all and of each label."""
        n_rows = Counter(truth)
        n_right = Counter(label for label, is_right in zip(truth, rated, strict=True) if is_right)
        shares = {label: n_right[label] / n for label, n in n_rows.items()}
        error = math.sqrt(sum(share * (1 - share) / n_rows[label] for label, share in shares.items())) / len(shares)
        return self._replace(n_right=sum(rated), balanced=sum(shares.values()) / len(shares), error=error)

    def name_target(self, name: str | None) -> "Described":
        """Add the name of the column of the true labels, if it is known."""
        if name is None or self.facts.training is None:
            return self
        return self._replace(facts=self.facts.model_copy(update={"training": {**self.facts.training, "target": name}}))

    def summarize(self, n_rows: int) -> str:
        """Summarize in a line what was found in `n_rows` rows."""
        features, labels = self.facts.features or (), self.facts.labels or ()
        text = f"described {len(features)} feature{'s' if len(features) > 1 else ''} and the labels {', '.join(labels)}"
        if self.n_right is None:
            return text + self._explain_left_out(n_rows)
        rows = f"{self.n_rows} rows of {n_rows}, {self.n_missing} of them with missing values"
        if not self.n_missing:
            rows = f"{self.n_rows} complete rows of {n_rows}"
        text += f" from {rows}, {self.n_right / self.n_rows:.2%} of them labelled correctly"
        if self.unseen is not None:
            n_right, n_unseen = self.unseen
            text += f", and {n_right / n_unseen:.2%} of {n_unseen} rows held out"
        return text + self._explain_left_out(n_rows)

    def _explain_left_out(self, n_rows: int) -> str:
        """Say how many of `n_rows` rows don't count, and why."""
        columns = cut(", ".join(self.refused), 300)
        reasons = {
            "no label": n_rows - self.n_rows - self.n_refused,
            f"missing values in {columns}, which the model wasn't trained with": self.n_refused,
        }
        return "".join(f"; {n} row{'s' if n > 1 else ''} left out: {reason}" for reason, n in reasons.items() if n)

    def warn(self) -> str | None:
        """Return a warning if chance would do as well on these rows, however rare a label is.

        A certified model is as its framework has it, so it may always give the same label.
        """
        chance = 1 / max(1, len(self.facts.labels or ()))
        likely = chance + 2 * self.error
        if self.n_right is None or self.balanced > likely or (self.facts.certificate and self.balanced == likely):
            return None
        text = f"{self.balanced:.2%} of the rows of each label are labelled correctly on average, chance gives {chance:.2%}"
        return f"warning: {text}; are the columns, or the labels, in another order?"


def find_facts(
    model: onnx.ModelProto,
    table: Table,
    truth: Truth | None,
    labels: Sequence[str] | None = None,
    *,
    takes_missing: Collection[str] | None = None,
    certificate: Certificate | None = None,
) -> Described:
    """Find a model's facts in its training data; rows with missing values that it doesn't accept don't count.

    `table` has the model's features in order, `truth` the label of each row; None keeps labels and training facts.
    Without `takes_missing`, the graph shows which features accept missing values; of the others, the labels do.

    Raises:
        ArtifactError: a row doesn't fit the model, or the labels are unclear.
    """
    before = artifact.read_facts(model)
    if truth is None and labels is None:
        labels = before.labels
    if takes_missing is None:
        taken = _find_shown(load(model, table, labels, allow_missing=False), table)
    else:
        taken = set(takes_missing)
    classifier = load(model, table, labels)
    if truth is not None:
        truth = drop_decimals(truth, {*classifier.model.labels, *(classifier.model.class_ids or ())})
    best = _try(classifier, table, truth, asks_with_gaps=truth is not None or bool(taken))
    names, right = _judge(classifier.model, table, truth, best)
    if takes_missing is None and truth is not None:
        taken |= {name for name, values in table.items() if _is_taken(values, right)}
    counted = _count(table, truth, best, taken)
    shown = {name: [values[index] for index in counted] for name, values in table.items()}
    rated = [right[index] for index in counted]
    facts = Facts(
        features=_describe_features(classifier.model, shown, taken),
        labels=_by_class_id(names, classifier.model.class_ids),
        sample=Sample(row=classifier.model.sample, probabilities=tuple(classifier.model.sample_probabilities.tolist())),
        training=before.training if truth is None else _training(rated),
        certificate=certificate or before.certificate,
    )
    n_refused, refused = _find_refused(table, truth, len(counted), taken)
    n_missing = sum(None in row for row in read_rows(shown))
    described = Described(facts, len(counted), n_missing, n_refused=n_refused, refused=refused)
    return described if truth is None else described.rate(rated, [truth[index] for index in counted])


def _find_refused(
    table: Table, truth: Truth | None, n_counted: int, taken: Collection[str]
) -> tuple[int, tuple[str, ...]]:
    """Count the rows with a label that don't count, and name the columns whose missing values are why."""
    known = [index for index in range(count_rows(table)) if truth is None or truth[index] is not None]
    columns = (name for name in table if name not in taken and any(table[name][row] is None for row in known))
    return len(known) - n_counted, tuple(columns)


def load(
    model: onnx.ModelProto, table: Table, labels: Sequence[str] | None, *, allow_missing: bool = True
) -> Classifier:
    """Load a classifier that accepts missing values; its sample is the first complete row, else the first values."""
    sample = next((row for row in read_rows(table) if None not in row), tuple(map(_first, table.values())))
    features = (Feature(name=name, boolean=is_boolean(values) or None) for name, values in table.items())
    facts = Facts(features=tuple(features), sample=Sample(row=sample))
    return load_bytes(artifact.write(model, facts), name="the model", labels=labels, allow_missing=allow_missing)


def _first(values: Sequence[Value]) -> Value:
    return next((value for value in values if value is not None), 0.0)


def _try(classifier: Classifier, table: Table, truth: Truth | None, *, asks_with_gaps: bool) -> Best:
    """Run the model on each row with a known label; it may fail on rows with missing values."""
    rows = read_rows(table)
    known = [index for index in range(len(rows)) if truth is None or truth[index] is not None]
    whole = [index for index in known if None not in rows[index]]
    partial = [index for index in known if None in rows[index]] if asks_with_gaps else []
    try:
        found = _ask(classifier, {index: rows[index] for index in whole})
    except FeaturesError as error:
        row, *column = map(int, error.where)
        raise _row_error(whole[row], *(list(table)[place] for place in column)) from None
    found |= _try_one_by_one(classifier, {index: rows[index] for index in partial})
    if not found:
        raise ArtifactError("expected at least one row without empty cells")
    return found


def _ask(classifier: Classifier, rows: Mapping[int, Row]) -> dict[int, int]:
    return dict(zip(rows, predict(classifier, list(rows.values()))[1].tolist(), strict=True)) if rows else {}


def _try_one_by_one(classifier: Classifier, rows: Mapping[int, Row]) -> dict[int, int]:
    """Return the class of each row that the model answers."""
    try:
        return _ask(classifier, rows)
    except FeaturesError:
        if len(rows) == 1:
            return {}
    indexes = list(rows)
    halves = indexes[: len(indexes) // 2], indexes[len(indexes) // 2 :]
    first, second = (_try_one_by_one(classifier, {index: rows[index] for index in half}) for half in halves)
    return first | second


def _row_error(index: int, column: str | None = None) -> ArtifactError:
    where = f"data row {index + 1}" + ("" if column is None else f", column {column!r}")
    return ArtifactError(f"{where}: the model fails on it; was it trained on these rows?")


def _judge(model: Model, table: Table, truth: Truth | None, best: Best) -> tuple[tuple[str, ...], dict[int, bool]]:
    """Return the labels, and for each answered row whether its label is correct."""
    names = called = model.labels
    if truth is None:
        return names, dict.fromkeys(best, True)
    true = {index: str(truth[index]) for index in best}
    if _shows_names(model, set(true.values())):
        check_labels(true, names)
    else:
        whole = [index for index in best if all(values[index] is not None for values in table.values())]
        called = _vote([(best[index], true[index]) for index in whole or best], len(names))
        check_labels(true, called)
        if model.labels_from != "a label file":
            names = called
    return names, {index: called[found] == true[index] for index, found in best.items()}


def _shows_names(model: Model, found: Collection[str]) -> bool:
    """Decide whether the rows' labels are meant to be the model's, or are names for its numbers or positions."""
    if model.labels_from == "their positions":
        return False
    is_renamed = model.labels_from == "a label file"
    has_texts = not is_renamed and any(not _is_number(name) for name in model.class_ids or ())
    return has_texts or not set(found).isdisjoint(model.labels)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_labels(
    true: Mapping[int, str], names: Sequence[str], of: Literal["training", "holdout"] = "training"
) -> None:
    """Check that each row's label is one of the model's.

    Raises:
        LabelError: names the first row whose label isn't, and all such labels.
    """
    strays = sorted(set(true.values()) - set(names))
    if strays:
        rows = [index for index in sorted(true) if true[index] in strays]
        n_rows = f"{len(rows):,} row{'s' if len(rows) > 1 else ''}"
        message = (
            f"expected the model's labels, {cut(', '.join(names), 300)}; got {cut(', '.join(strays), 300)} in {n_rows}"
        )
        raise LabelError(f"{message}; --labels, or labels= of export, renames the model's classes", rows[0], of)


def _vote(calls: Sequence[tuple[int, str]], n_classes: int) -> tuple[str, ...]:
    """Give each class the most common label of its rows."""
    counts = Counter(calls)
    truth = sorted({label for _, label in calls})
    names = tuple(max(truth, key=lambda name: counts[index, name]) for index in range(n_classes))
    if len(set(names)) < n_classes or not all(counts[index, name] for index, name in enumerate(names)):
        raise ArtifactError(
            "the rows don't show which class has which label; are the columns in the model's order, and is the target "
            "right? Then name the labels: --labels, or labels= of export"
        )
    return names


def _find_shown(classifier: Classifier, table: Table) -> set[str]:
    """Find the columns with missing values for which the file itself shows that it accepts them."""
    fills = zip(table, classifier.model.columns.fills, strict=True)
    return {name for name, fill in fills if fill is not None and None in table[name]}


def _is_taken(values: Sequence[Value], right: Mapping[int, bool]) -> bool:
    """Decide whether a model accepts missing values in a column: it answers such rows, and labels them well enough.

    That is, at most two standard errors worse than the rows without missing values.
    """
    with_gap = [right[index] for index, value in enumerate(values) if value is None and index in right]
    others = [right[index] for index, value in enumerate(values) if value is not None and index in right]
    if not with_gap:
        return False
    share = sum(others) / len(others) if others else 0
    return sum(with_gap) / len(with_gap) >= share - 2 * math.sqrt(share * (1 - share) / len(with_gap))


def _count(table: Table, truth: Truth | None, best: Best, takes_missing: Collection[str]) -> list[int]:
    """Return the rows that count: with a known label, and missing values only where the model accepts them."""
    refuses = [values for name, values in table.items() if name not in takes_missing]
    counted = [
        index
        for index in range(count_rows(table))
        if (truth is None or truth[index] is not None) and all(values[index] is not None for values in refuses)
    ]
    if unanswered := [index for index in counted if index not in best]:
        raise _row_error(unanswered[0])
    if not counted:
        raise ArtifactError("expected at least one row without empty cells")
    return counted


def _training(right: Sequence[bool]) -> dict[str, object]:
    return {
        "rows": len(right),
        "accuracy": round(sum(right) / len(right), 4),
        "accuracy_from": "the rows that describe it",
        "described": datetime.now(UTC).date().isoformat(),
    }


def _describe_features(model: Model, table: Table, takes_missing: Collection[str]) -> tuple[Feature, ...]:
    columns = zip(table.items(), model.columns.types, model.columns.fills, strict=True)
    return tuple(
        _feature(name, values, type, fill if name in takes_missing else None) for (name, values), type, fill in columns
    )


def _feature(name: str, values: Sequence[Value], type: str, fill: float | str | None) -> Feature:
    """Describe a column; `fill` replaces missing values, None if there may be none."""
    present = [value for value in values if value is not None]
    texts = [value for value in present if isinstance(value, str)]
    numbers = [] if type in (TEXT, BOOL) else [float(value) for value in present]
    repeats = len(set(texts)) <= len(texts) / 2
    choice = tuple(sorted(set(texts))) if repeats and len(set(texts)) <= MOST_VALUES else ()
    return Feature(
        name=name,
        min=min(numbers, default=None),
        max=max(numbers, default=None),
        values=choice or None,
        median=_median(numbers),
        commonest=_commonest([value for value in present if isinstance(value, str | bool)] if repeats else ()),
        boolean=True if numbers and is_boolean(values) else None,
        missing=None if fill is None else True,
        missing_text=fill if isinstance(fill, str) else None,
        **find_bins(values, type, choice)._asdict(),
    )


def _median(numbers: Sequence[float]) -> float | None:
    """Return the median; for integers one of the values, because half a passenger makes no sense."""
    if not numbers:
        return None
    return median_low(numbers) if all(float(value).is_integer() for value in numbers) else median(numbers)


def _commonest(values: Sequence[str | bool]) -> str | bool | None:
    """Return the most common value; of several, the first by name."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)), default=None)


def _by_class_id(names: Sequence[str], class_ids: Sequence[str] | None) -> tuple[str, ...]:
    """Sort labels as in a label.json."""
    if class_ids is None or set(class_ids) != {str(index) for index in range(len(names))}:
        return tuple(names)
    return tuple(name for _, name in sorted(zip(map(int, class_ids), names, strict=True)))
