"""Exports a trained model to an artifact that is ready to serve, verified row by row.

from model.export import export

export(model, X, y, "titanic.onnx")

python -m model export titanic.joblib titanic.csv --target survived --output titanic.onnx
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier.facts import Certificate, read_labels
from function.classifier.model import cut
from function.errors import ArtifactError, FeaturesError, ServiceError

try:
    import onnx
except ImportError:
    message = "model.export writes with the package onnx, which is missing: `make model` installs it"
    raise ImportError(message, name="onnx") from None
from model import artifact, frameworks
from model.facts import Described, LabelError, check_labels, find_facts, load
from model.frameworks import Answers, Framework, join
from model.parser import Parser
from model.predictions import predict
from model.table import Row, Table, count_rows, drop_decimals, is_gap, read_features, read_rows

TOLERANCE = 1e-5  # of a probability: float32 has 7 digits, sums of many have fewer
TREES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"}  # operators
# Operators that pass numbers on, or compare them for equality; others compute, and round.
EXACT = {
    *("ArrayFeatureExtractor", "Cast", "Concat", "Equal", "Gather", "Identity", "IsNaN", "LabelEncoder", "Not"),
    *("Reshape", "Where"),
}
FLOAT64 = "the steps before its trees compute in float32, and round otherwise; train it on float64: X.astype('float64')"
FLOAT32 = (
    "a step before its trees is converted only with float32, as PowerTransformer, KBinsDiscretizer and vectorizers of "
    "texts are, so a row at a threshold may take another branch"
)
TIES = ", all where two labels are equally likely"  # the others are refused
LOST_GAPS = "all of them have missing values; fill these before the model, with a SimpleImputer in a Pipeline"
LEFT_NONE = (
    "all of them have missing values; a SimpleImputer fills NaN and leaves None, so train the model on X.fillna(np.nan), "
    "or set missing_values=None"
)


class Rows(NamedTuple):
    """Rows as a framework takes them, the same by column, and their labels, if known."""

    X: Any
    table: Table
    truth: list[str | None] | None

    def name(self, known: Sequence[str] | None) -> "Rows":
        """Drop the decimals of labels that are whole numbers, unless the model has them."""
        return self if self.truth is None else self._replace(truth=drop_decimals(self.truth, known or ()))

    def rename(self, classes: Sequence[str], labels: Sequence[str]) -> "Rows":
        """Rename the labels that are the model's classes, unless one would get the name of another."""
        indexes = [str(index) for index in range(len(classes))]  # as in a label.json, "10" comes after "2"
        new = dict(zip(indexes if set(indexes) == set(classes) else classes, labels, strict=False))
        if self.truth is None or any(label in new and label != name for name, label in new.items()):
            return self
        return self._replace(truth=[label if label is None else new.get(label, label) for label in self.truth])

    @property
    def has_float32(self) -> bool:
        """Whether a column is float32, in which scikit-learn computes then."""
        types = list(self.X.dtypes) if hasattr(self.X, "columns") else [np.asarray(self.X).dtype]
        return any(str(type).lower() == "float32" for type in types)

    @property
    def has_none(self) -> bool:
        """Whether a column has None for a missing value, which frameworks don't take for NaN."""
        columns = [self.X[name] for name in self.X.columns] if hasattr(self.X, "columns") else [np.ravel(self.X)]
        return any(value is None for column in columns for value in column.tolist())


class Candidate(NamedTuple):
    """A model as ONNX, and its columns."""

    model: onnx.ModelProto
    columns: list[str]

    @property
    def compared(self) -> set[str]:
        """The operators that compute from numbers what its trees compare with thresholds."""
        graph, found = self.model.graph, set[str]()
        if all(input.type.tensor_type.elem_type == onnx.TensorProto.STRING for input in graph.input):
            return found
        makers = {name: node for node in graph.node if node.op_type != "OneHotEncoder" for name in node.output}
        pending = [node.input[0] for node in graph.node if node.op_type in TREES]
        while pending:
            node = makers.pop(pending.pop(), None)  # none for inputs, constants, categories, and what was seen before
            if node and node.op_type in EXACT:
                pending += node.input
            elif node:
                found.add(node.op_type)
        return found

    def take(self, table: Table) -> Table:
        """Return the model's columns, with booleans as 1 and 0 if it takes numbers."""
        types = [input.type.tensor_type.elem_type for input in self.model.graph.input]
        types *= len(self.columns) // len(types)
        as_they_are = (onnx.TensorProto.BOOL, onnx.TensorProto.STRING)
        return {
            name: table[name]
            if type in as_they_are
            else [None if value is None else float(value) for value in table[name]]
            for name, type in zip(self.columns, types, strict=True)
        }


def export(  # noqa: PLR0913 - one call in a notebook
    model: Any,
    X: Any,
    y: Any,
    path: str | Path,
    *,
    holdout: Any = None,
    labels: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    version: int | None = None,
) -> Certificate:
    """Write a trained classifier as an artifact, if ONNX Runtime answers each row as its framework does.

    Args:
        model: of scikit-learn, XGBoost, LightGBM, CatBoost, PyTorch or Keras, or a Pipeline of the first three.
        X: the training data, a DataFrame or an array, shape (n_rows, n_features); None and NaN are missing values, which
            the model must take as the same.
        y: the true labels, shape (n_rows,): texts, numbers or booleans.
        path: the artifact to write.
        holdout: rows that it wasn't trained on, to certify it on too and, as (X, y), to measure how good it is.
        labels: other names of the classes, a list in the order of the model's `classes_`.
        tolerance: of a probability.
        version: of the model, from 1 on, which the service shows.

    Raises:
        ArtifactError: the model can't be converted, gives other answers in ONNX Runtime, or can't be served; nothing
            is written.
    """
    artifact.check_version(version)
    artifact.check_output(path := Path(path))
    attempt = _prepare(model, X, y, holdout, _read_names(labels), tolerance)
    candidate, certificate = attempt.find()
    name = getattr(y, "name", None)  # the name of a Series
    described = attempt.describe(candidate, certificate).name_target(None if name is None else str(name))
    artifact.save(path, candidate.model, described.facts, version)
    parity = f"largest difference {certificate.largest_difference:.2g}, {certificate.labels_differ} labels differ"
    parity += TIES if certificate.labels_differ else ""
    compared = f"{certificate.rows:,} rows compared with {certificate.framework}: {parity}"
    print(f"{path}: {described.summarize(count_rows(attempt.trained.table))}; {compared}", flush=True)
    if warning := described.warn():
        print(warning, file=sys.stderr)
    return certificate


def _prepare(model: Any, X: Any, y: Any, holdout: Any, labels: Sequence[str] | None, tolerance: float) -> "Export":
    """Read the rows, let the framework answer them, and name their labels as the model does."""
    framework = frameworks.find_framework(model)
    if framework.module == "torch":
        model = copy.deepcopy(model).eval()  # without dropout
    trained = _read(model, X, y)
    unseen = None if holdout is None else _read(model, *(holdout if isinstance(holdout, tuple) else (holdout,)))
    certified = [trained] if unseen is None else [trained, unseen]
    answers = join([frameworks.predict(framework, model, rows.X, rows.table) for rows in certified])
    trained, unseen = trained.name(answers.labels), unseen and unseen.name(answers.labels)
    if labels is not None and answers.labels:
        trained = trained.rename(answers.labels, labels)
        unseen = unseen and unseen.rename(answers.labels, labels)
    if labels is None and answers.labels and set(trained.truth or ()) <= {*answers.labels, None}:
        labels = answers.labels
    return Export(framework, model, trained, unseen, answers, labels, tolerance)


@dataclass(frozen=True)
class Export:
    """A model, and the rows that its export is tested with."""

    framework: Framework
    model: Any
    trained: Rows
    unseen: Rows | None
    answers: Answers  # to all of them
    labels: Sequence[str] | None
    tolerance: float

    @property
    def cause(self) -> str | None:
        """Why the model would get other answers in ONNX Runtime, if it shows that."""
        return frameworks.find_cause(self.framework, self.model, self.trained.X)

    def find(self) -> tuple[Candidate, Certificate]:
        """Convert the model so that its trees compare what they do in their framework, else as its rows pass.

        A float32 may fall on the other side of a threshold if it was computed, or if the framework compares float64.

        Raises:
            ArtifactError: it passes neither with float32 numbers nor with float64.
        """
        single = self.convert()
        if not self.framework.tries_double:
            return self.certify(single)
        compared = single.compared
        is_first = bool(compared) or frameworks.compares_double(self.model)
        faults: dict[bool, str] = {}
        for is_double in (is_first, not is_first):
            try:
                found = self.certify(self.convert(is_double=True) if is_double else single)
            except ArtifactError as error:
                faults[is_double] = str(error)
            else:
                if doubt := self._doubt(compared, faults.get(True)):
                    print(f"warning: rows that weren't compared may get other answers; {doubt}", file=sys.stderr)
                return found
        fault = None if "rows differ" in faults[True] else faults[True]  # float64 isn't lacking then
        doubt = None if self.cause or faults[True] == faults[False] else self._doubt(compared, fault)
        raise ArtifactError("; ".join(filter(None, (faults[False], doubt))))

    def _doubt(self, compared: set[str], fault: str | None) -> str | None:
        """Say why trees may compare other numbers than in their framework, after a fault with float64."""
        if not compared:
            return None
        if self.trained.has_float32:
            return FLOAT64
        if compared & TREES:
            return "its trees compare the answers of other trees, which are float32 in ONNX Runtime"
        return None if fault is None else FLOAT32

    def convert(self, **options: bool) -> Candidate:
        """Convert the model."""
        return Candidate(*frameworks.convert(self.framework, self.model, self.trained.table, **options))

    def certify(self, candidate: Candidate) -> tuple[Candidate, Certificate]:
        """Compare ONNX Runtime's answers with the framework's."""
        classifier = load(candidate.model, candidate.take(self.trained.table), self.labels)
        rows, wanted = self._read_rows(candidate), self.answers
        try:
            probabilities, classes = predict(classifier, rows)
        except FeaturesError as error:
            expected = f"expected ONNX Runtime to answer each row as {self.framework.release} does"
            raise ArtifactError(f"{expected}; {error.message}") from None
        if probabilities.shape != wanted.probabilities.shape:
            message = f"expected probabilities of shape {wanted.probabilities.shape}, as {self.framework.release} gives"
            raise ArtifactError(f"{message}; got {probabilities.shape}")
        differences = Differences(
            abs(probabilities - wanted.probabilities).max(axis=1),
            classes != wanted.classes,
            _are_ties(wanted, classes, self.tolerance),
            np.array([None in row for row in rows]),
        )
        hint = LEFT_NONE if self.trained.has_none else LOST_GAPS
        if fault := differences.explain(self.tolerance, count_rows(self.trained.table), hint, self.cause):
            raise ArtifactError(f"expected ONNX Runtime to answer as {self.framework.release} does, {fault}")
        return candidate, differences.certify(self.framework.release, self.tolerance)

    def describe(self, candidate: Candidate, certificate: Certificate) -> Described:
        """Find the facts in the training data, and the accuracy on the holdout rows, if there are any."""
        trained = {name: self.trained.table[name] for name in candidate.columns}
        unseen = None if self.unseen is None else candidate.take(self.unseen.table)
        gaps = {name for table in (trained, unseen or {}) for name, values in table.items() if None in values}
        described = find_facts(
            candidate.model, trained, self.trained.truth, self.labels, takes_missing=gaps, certificate=certificate
        )
        if self.unseen is None or self.unseen.truth is None or unseen is None:
            return described
        names = (*(described.facts.labels or ()), *(label for label in self.trained.truth or () if label is not None))
        true = {row: label for row, label in enumerate(self.unseen.truth) if label is not None}
        check_labels(true, tuple(dict.fromkeys(names)), "holdout")
        found = find_facts(candidate.model, unseen, self.unseen.truth, described.facts.labels, takes_missing=gaps)
        rating = {
            "accuracy": (found.facts.training or {})["accuracy"],
            "accuracy_from": f"{found.n_rows} rows that it wasn't trained on",
        }
        training = {**(described.facts.training or {}), **rating}
        facts = described.facts.model_copy(update={"training": training})
        return described._replace(facts=facts, unseen=(found.n_right or 0, found.n_rows))

    def _read_rows(self, candidate: Candidate) -> list[Row]:
        tables = [self.trained.table] + ([] if self.unseen is None else [self.unseen.table])
        return [row for table in tables for row in read_rows(candidate.take(table))]


def _are_ties(wanted: Answers, classes: NDArray[np.intp], tolerance: float) -> NDArray[np.bool_]:
    """Return for each row whether two labels are equally likely, so that rounding decides."""
    lines = np.arange(len(classes))
    between = wanted.probabilities[lines, wanted.classes] - wanted.probabilities[lines, classes]
    return np.asarray(abs(between) <= 2 * tolerance)


class Differences(NamedTuple):
    """For each row: the error of its probabilities, whether its label differs or is a tie, and whether it has gaps."""

    largest: NDArray[np.float64]
    labels: NDArray[np.bool_]
    ties: NDArray[np.bool_]
    gaps: NDArray[np.bool_]

    def explain(self, tolerance: float, n_trained: int, of_gaps: str, cause: str | None) -> str | None:
        """Say what exceeds the tolerance, and a likely reason; None if nothing does.

        Rows from `n_trained` on are held out. `cause` is the reason if it is known, else `of_gaps` if all rows that
        differ have missing values.
        """
        is_far = ~(self.largest <= tolerance)  # true for NaN
        is_wrong = is_far | (self.labels & ~self.ties)
        if not is_wrong.any():
            return None
        n_wrong, row = int(is_wrong.sum()), int(np.argmax(np.where(is_wrong, self.largest, -1)))
        where = f"row {row}" if row < n_trained else f"row {row - n_trained} of holdout"
        text = f"within {tolerance:g}; {n_wrong:,} of {len(is_wrong):,} rows differ, {where} by {self.largest[row]:.2g}"
        if not is_far.any():
            return f"{text}, and by their labels: the file's own label isn't what predict gives"
        if cause or self.gaps[is_wrong].all():
            return f"{text}; {cause or of_gaps}"
        n_gaps = int(self.gaps[is_wrong].sum())
        return "; ".join([text, *[f"{n_gaps:,} of them have missing values"] * bool(n_gaps)])

    def certify(self, framework: str, tolerance: float) -> Certificate:
        """Summarize the differences as a certificate."""
        return Certificate(
            framework=framework,
            rows=len(self.largest),
            rows_missing=int(self.gaps.sum()),
            largest_difference=float(self.largest.max()),
            labels_differ=int(self.labels.sum()),
            tolerance=tolerance,
            date=datetime.now(UTC).date().isoformat(),
        )


def _read(model: Any, X: Any, y: Any = None) -> Rows:
    """Read rows, in the model's order of columns if it knows their names."""
    if hasattr(X, "columns"):
        X = _choose(frameworks.find_names(model), X)
    if (n_columns := np.size(y, 1) if np.ndim(y) == 2 else 1) > 1:
        raise ArtifactError(f"expected y to have one column, got {n_columns}; multi-label isn't served")
    table = read_features(X)
    if (n_features := getattr(model, "n_features_in_", 0)) not in (0, len(table)):  # 0: CatBoost's, once it is loaded
        names = ", ".join(name or '""' for name in table)
        got = f"got {len(table)}: {cut(names, 300)}"
        got += "; leave out what is no feature, in files by --ignore" if len(table) > n_features else ""
        raise ArtifactError(f"expected X to have {n_features} columns, as the model was trained on, {got}")
    labels = None if y is None else [None if is_gap(label) else str(label) for label in np.asarray(y).ravel().tolist()]
    if labels is not None and len(labels) != count_rows(table):
        raise ArtifactError(f"expected a label for each row, got {len(labels)} for {count_rows(table)}")
    return Rows(X, table, labels)


def _choose(names: Sequence[str], X: Any) -> Any:
    """Return the columns of these names, in their order; of no names, all."""
    columns = list(map(str, X.columns))
    known = {*columns, *(column.replace(" ", "_") for column in columns)}  # as LightGBM renames them
    if missing := [name for name in names if name not in known]:
        others = [column for column in columns if not {column, column.replace(" ", "_")} & set(names)]
        got = f"got none called {cut(', '.join(missing), 300)}" + (
            f", but {cut(', '.join(others), 300)}" if others else ""
        )
        raise ArtifactError(f"expected X to have the columns that the model was trained on, {got}")
    return X[list(names)] if names and set(names) <= set(X.columns) else X


def _read_names(labels: Any) -> list[str] | None:
    """Read other names of the classes; of a mapping the keys would become the labels."""
    if labels is None:
        return None
    is_list = isinstance(labels, list | tuple) or hasattr(labels, "tolist")
    names = list(labels) if is_list else []
    if not is_list or not all(isinstance(name, str) for name in names):
        kinds = ", ".join(sorted({type(name).__name__ for name in names}))
        expected = "a list of texts, one per class in the order of the model's classes_"
        raise ArtifactError(f"expected labels to be {expected}, got {type(labels).__name__}{kinds and f' of {kinds}'}")
    return names


def main(given: Sequence[str] | None = None) -> None:
    """Export a model from a pickle."""
    parser = Parser(description="Export a trained model to an artifact, verified row by row.")
    parser.add_argument(
        "model", type=Path, help="a file of joblib.dump or pickle.dump; loading it runs its code, so use only your own"
    )
    parser.add_argument("files", nargs="+", help="the training data: CSV, JSON lines or Parquet, by its name")
    parser.add_argument("--target", required=True, help="the column of the true labels")
    parser.add_argument("--ignore", action="append", default=[], help="a column that is no feature; may be repeated")
    parser.add_argument(
        "--holdout", nargs="+", default=[], help="rows that it wasn't trained on, to measure how good it is"
    )
    parser.add_argument(
        "--labels", type=Path, help="index -> label, JSON, other names for the model's own classes by their places"
    )
    parser.add_argument("--version", type=int, metavar="N", help="the version that the service shows, from 1 on")
    parser.add_argument("--output", type=Path, required=True, help="where to write")
    arguments = parser.parse_args(given)
    try:
        _run(arguments)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _run(arguments: argparse.Namespace) -> None:
    from model.files import FileError, find_files, list_names, open_file  # noqa: PLC0415 - export() needs no pyarrow or joblib
    from model.frames import read_frame, read_pickle  # noqa: PLC0415
    from model.rows import locate  # noqa: PLC0415

    artifact.check_output(arguments.output)
    model = read_pickle(arguments.model)
    names = frameworks.find_names(model)
    if features := [name for name in (arguments.target, *arguments.ignore) if name in names]:
        raise FileError(f"expected --target and --ignore to be no features, got {list_names(features)}")
    frames = [
        read_frame(files, arguments.target, arguments.ignore, has_names=bool(names))
        for files in (arguments.files, arguments.holdout)
        if files
    ]
    (X, y), holdout = frames[0], frames[1] if len(frames) > 1 else None
    labels = None if arguments.labels is None else read_labels(arguments.labels)
    try:
        export(model, X, y, arguments.output, holdout=holdout, labels=labels, version=arguments.version)
    except LabelError as error:
        files = map(open_file, find_files(arguments.files if error.of == "training" else arguments.holdout))
        raise FileError(f"{locate(list(files), arguments.target, error.row)}: {error.message}") from None


if __name__ == "__main__":
    main()
