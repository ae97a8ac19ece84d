"""The model: artifact -> session -> signature -> predictions. The only home of onnxruntime."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from function.errors import ArtifactError, FeaturesError

# Since 1.29 onnxruntime reports to Microsoft from a thread of its own, unless told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379. A process forked with that thread also hangs at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours
import onnxruntime as ort

Rows = Sequence[Sequence[float]] | NDArray[np.floating[Any]]
Features = NDArray[np.float32]
Probabilities = NDArray[np.float32]

FACTS_KEY = "classifier"  # the metadata_props entry of the artifact that holds its Facts as JSON
IRIS_SAMPLE = (5.1, 3.5, 1.4, 0.2)  # the original pattern's sample, for an artifact that carries none
TOLERANCE = 1e-4  # between carried and computed probabilities: other processors round float32 differently
DTYPES = {"tensor(float)": "float32"}  # the inputs that are served, as NumPy names them
NO_VERSION = 2**63 - 1  # what onnxruntime gives for an artifact without one
FLOAT32_MAX = float(np.finfo(np.float32).max)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One column; `min` and `max` are those of the training data."""

    name: str
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None


class Sample(_Frozen):
    """One row and the probabilities that the model must give for it."""

    row: tuple[FiniteFloat, ...]
    probabilities: tuple[FiniteFloat, ...]


class Facts(_Frozen):
    """What an artifact says about itself, carried as JSON in its ONNX metadata_props."""

    features: tuple[Feature, ...] | None = None
    labels: tuple[str, ...] | None = None
    sample: Sample | None = None
    training: Mapping[str, Any] | None = None


class Signature(NamedTuple):
    """Names, types and widths, read from the session."""

    input_name: str
    dtype: str
    n_features: int
    output_name: str
    is_zipmap: bool


class Classifier:
    """One ONNX Runtime session that answers probabilities, and the facts about its model.

    Attributes:
        features: one `Feature` a column.
        labels: human names in the order of the probabilities.
        sample: a row that the model is known to answer.
        sample_probabilities: its answer to that row, float32, shape (n_classes,).
        sha256: of the artifact's bytes, hexadecimal.
        wanted: what a row must hold, for messages: "4: sepal length (cm), …".
    """

    def __init__(self, artifact: bytes, *, name: str, labels: Sequence[str] | None = None) -> None:
        """Make the session and run the sample, as a batch of two rows.

        Raises:
            ArtifactError: not a classifier that can be served, or its facts, labels and answers disagree.
        """
        self.name = name
        self.sha256 = hashlib.sha256(artifact).hexdigest()
        self._session = _session(artifact)
        self.signature = _signature(self._session)
        meta = self._session.get_modelmeta()
        self.version = str(meta.version if meta.version < NO_VERSION else 0)
        self.producer = meta.producer_name
        facts = _facts(meta.custom_metadata_map)
        self.training = facts.training
        self.features = facts.features or tuple(Feature(name=f"feature {i}") for i in range(self.signature.n_features))
        self.sample = facts.sample.row if facts.sample else _default_sample(self.signature.n_features)
        self.wanted = f"{len(self.features)}: {_cut(', '.join(feature.name for feature in self.features), 400)}"
        self._check_widths()
        probabilities, class_ids = self._run_sample()
        self._check_sample(probabilities, facts.sample)
        self.sample_probabilities = probabilities[0]
        self.labels = self._order(
            next(given for given in (labels, facts.labels, class_ids) if given is not None), class_ids
        )
        self._check_labels()

    @classmethod
    def load(cls, path: Path, *, label_path: Path | None = None, sha256: str | None = None) -> Self:
        """Read an artifact and its labels from disk.

        Labels come from `label_path`, else from a `label.json` beside the artifact, else from the facts
        that the artifact carries, else from its class ids.

        Raises:
            ArtifactError: names the file, the cause and the fix.
        """
        try:
            artifact = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}: can't be read ({error.strerror}); MODEL_FILEPATH names the model") from None
        found = hashlib.sha256(artifact).hexdigest()
        if sha256 not in (None, found):
            raise ArtifactError(f"{path}: its SHA-256 is {found}, MODEL_SHA256 wants {sha256}; ship the right file")
        if label_path is None and (beside := path.with_name("label.json")).exists():
            label_path = beside
        labels = _read_labels(label_path) if label_path else None
        try:
            return cls(artifact, name=path.stem, labels=labels)
        except (ArtifactError, UnicodeDecodeError) as error:
            where = f"{path} with {label_path}" if label_path else path
            cause = error if isinstance(error, ArtifactError) else "a name in it isn't UTF-8; export it again"
            raise ArtifactError(f"{where}: {cause}") from None

    def predict(self, rows: Rows) -> Probabilities:
        """Give each row's class probabilities.

        Args:
            rows: shape (n_rows, n_features), n_rows ≥ 1, finite in float32.

        Returns:
            float32, shape (n_rows, n_classes), columns in the order of `labels`.

        Raises:
            FeaturesError: the rows aren't such a matrix, or the model has no finite answer for one.
        """
        probabilities = self._tensor(self._run(self._matrix(rows)))
        if not np.isfinite(probabilities).all():
            row = int(np.argwhere(~np.isfinite(probabilities))[0, 0])
            message = f"row {row}: the model's answer isn't finite; are the values in the range it was trained on?"
            raise FeaturesError(message, type="no_answer", where=(row,))
        return probabilities

    def label_rows(self, probabilities: Probabilities) -> list[str]:
        """Name the class with the highest probability in each row; the first of equals, as scikit-learn does."""
        return [self.labels[index] for index in probabilities.argmax(axis=1)]

    def predict_label(self, rows: Rows) -> list[str]:
        """Give each row's label; arguments and errors as in `predict`."""
        return self.label_rows(self.predict(rows))

    def locate(self, row: int, column: int) -> str:
        """Say where a value stands, with its feature's name: 'row 3, "petal length (cm)"'."""
        if column < len(self.features):
            return f'row {row}, "{_cut(self.features[column].name, 100)}"'
        return f"row {row}, column {column}"

    def _matrix(self, rows: Rows) -> Features:
        try:
            with np.errstate(over="ignore"):  # an overflow becomes infinite, which is reported below
                features = np.asarray(rows, dtype=np.float32)
        except (ValueError, OverflowError):
            features = None
        if features is None or features.ndim != 2 or 0 in features.shape or features.shape[1] != len(self.features):
            raise self._shape_error(rows)
        if not np.isfinite(features).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(features))[0])
            raise self._value_error(row, column, rows[row][column])
        return features

    def _shape_error(self, rows: Rows) -> FeaturesError:
        if len(rows) == 0:
            return FeaturesError("expected at least 1 row, got none", type="no_rows")
        for index, row in enumerate(rows):
            if not isinstance(row, Sequence | np.ndarray):
                message = f"row {index} isn't a row; the model takes rows of {self.wanted}"
                return FeaturesError(message, type="row_type", where=(index,))
            if len(row) != len(self.features):
                count = f"{len(row)} feature{'' if len(row) == 1 else 's'}"
                message = f"row {index} has {count}; the model takes {self.wanted}"
                return FeaturesError(message, type="row_width", where=(index,))
        return FeaturesError(f"expected rows of numbers; the model takes {self.wanted}", type="not_a_matrix")

    def _value_error(self, row: int, column: int, value: float) -> FeaturesError:
        if math.isnan(value):
            got = "NaN"
        elif math.isinf(value):
            got = "Infinity" if value > 0 else "-Infinity"
        else:
            got = f"one beyond float32's ±{FLOAT32_MAX:.4g}"
        message = f"{self.locate(row, column)}: expected a finite number, got {got}"
        return FeaturesError(message, type="finite_number", where=(row, column))

    def _run(self, features: Features) -> Any:
        (output,) = self._session.run([self.signature.output_name], {self.signature.input_name: features})
        return output

    def _tensor(self, output: Any) -> Probabilities:
        if self.signature.is_zipmap:
            return np.array([list(row.values()) for row in output], dtype=np.float32)
        return cast("Probabilities", output)

    def _run_sample(self) -> tuple[Probabilities, tuple[str, ...]]:
        try:
            output = self._run(self._matrix([self.sample, self.sample]))
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
            raise ArtifactError(f"the model fails on its sample {list(self.sample)}: {_one_line(error)}") from None
        probabilities = self._tensor(output)
        class_ids = output[0] if self.signature.is_zipmap else range(probabilities.shape[-1])
        return probabilities, tuple(str(class_id) for class_id in class_ids)

    def _order(self, labels: Sequence[str], class_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Put labels into the order of the probabilities: ZipMap's come sorted by class id, whatever their columns."""
        if self.signature.is_zipmap and set(labels) == set(class_ids):
            return class_ids
        if set(class_ids) == {str(index) for index in range(len(labels))}:
            return tuple(labels[int(class_id)] for class_id in class_ids)
        return tuple(labels)

    def _check_widths(self) -> None:
        n_features = self.signature.n_features
        for what, width in (("features", len(self.features)), ("sample values", len(self.sample))):
            if width != n_features:
                message = f"its facts give {width} {what}, its input takes {n_features}; write the facts anew"
                raise ArtifactError(message)

    def _check_sample(self, found: Probabilities, carried: Sample | None) -> None:
        if found.ndim != 2 or found.shape[0] != 2 or found.shape[1] < 2:
            message = f"expected probabilities of shape (2, n_classes) for 2 rows, got {found.shape}"
            raise ArtifactError(f"{message}; export a classifier with a free number of rows")
        row = found[0]
        if not (np.isfinite(row).all() and (row >= 0).all() and abs(row.sum() - 1) < TOLERANCE):
            given = f"the sample's are {_cut(str(row.tolist()), 100)}, in sum {row.sum():.6g}"
            message = f"{self.signature.output_name!r} isn't probabilities, at least 0 and in sum 1: {given}"
            raise ArtifactError(f"{message}; export the model with predict_proba or softmax as its output")
        if carried and not _are_close(row, carried.probabilities):
            message = f"its sample gives {row.tolist()}, its facts say {list(carried.probabilities)}"
            raise ArtifactError(f"{message}; the file was changed after training, train it again")

    def _check_labels(self) -> None:
        n_classes = len(self.sample_probabilities)
        if len(self.labels) != n_classes:
            raise ArtifactError(f"expected {n_classes} labels, one for each class, got {len(self.labels)}; mend them")
        if not all(self.labels) or len(set(self.labels)) != n_classes:
            raise ArtifactError(f"empty or repeated labels in {list(self.labels)}; give each class its own label")


def _are_close(found: Probabilities, carried: Sequence[float]) -> bool:
    return len(found) == len(carried) and np.allclose(found, carried, rtol=0, atol=TOLERANCE)


def _session(artifact: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread a request: Gunicorn's workers and Lambda's instances are the parallelism, and a session
    # without threads of its own survives Gunicorn's fork.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # fatal: other failures are raised, and told once
    if not artifact:
        raise ArtifactError("the file is empty; export the model again")
    try:
        # From bytes, so that the file can't pull in others as external data.
        return ort.InferenceSession(artifact, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
        raise ArtifactError(f"no ONNX model that onnxruntime can load, export it again: {_one_line(error)}") from None


def _signature(session: ort.InferenceSession) -> Signature:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in DTYPES or len(inputs[0].shape) != 2:
        got = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        message = f"expected one input tensor(float) of shape (None, n_features), got {got}"
        raise ArtifactError(f"{message}; export it from one matrix of float32")
    n_rows, n_features = inputs[0].shape
    if isinstance(n_rows, int) or not isinstance(n_features, int) or n_features < 1:
        raise ArtifactError(f"expected an input of shape (None, n_features), got {inputs[0].shape}; export it so")
    outputs = [o for o in session.get_outputs() if _is_zipmap(o) or (o.type == "tensor(float)" and len(o.shape) == 2)]
    if len(outputs) != 1:
        got = ", ".join(f"{o.name} {o.type} {o.shape}" for o in session.get_outputs())
        message = f"expected one output of probabilities, tensor(float) (None, n_classes) or ZipMap, got {got}"
        raise ArtifactError(f"{message}; export it so")
    return Signature(inputs[0].name, DTYPES[inputs[0].type], n_features, outputs[0].name, _is_zipmap(outputs[0]))


def _is_zipmap(output: ort.NodeArg) -> bool:
    return str(output.type) in ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")


def _facts(metadata: Mapping[str, str]) -> Facts:
    try:
        return Facts.model_validate(orjson.loads(metadata.get(FACTS_KEY, "{}")))
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"its facts aren't JSON: {error}; write the facts anew") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (FACTS_KEY, *first["loc"]))
        raise ArtifactError(f"its facts are wrong at {place}: {first['msg']}; write the facts anew") from None


def _default_sample(n_features: int) -> tuple[float, ...]:
    return IRIS_SAMPLE if n_features == len(IRIS_SAMPLE) else (0.0,) * n_features


def _read_labels(path: Path) -> list[str]:
    expected = 'expected a JSON object that gives each class index its label, {"0": "setosa", …}'
    try:
        labels = TypeAdapter(dict[int, str]).validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}); LABEL_FILEPATH names the labels") from None
    except ValidationError as error:
        raise ArtifactError(f"{path}: {expected}; {error.errors(include_url=False)[0]['msg']}") from None
    if sorted(labels) != list(range(len(labels))):
        raise ArtifactError(f"{path}: {expected}; got the indexes {json.dumps(sorted(labels))}")
    return [labels[index] for index in range(len(labels))]


def _one_line(error: Exception) -> str:
    return _cut(" ".join(str(error).split()), 300)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
