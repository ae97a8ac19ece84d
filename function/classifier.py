"""The model: artifact -> session -> signature -> predictions. The only home of onnxruntime."""

import hashlib
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from function.artifact import Feature, Sample, read_class_ids, read_facts, read_labels
from function.errors import ArtifactError, FeaturesError

# Since 1.29 onnxruntime reports to Microsoft from a thread of its own, unless told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379. A process forked with that thread also hangs at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours
import onnxruntime as ort

Rows = Sequence[Sequence[float]] | NDArray[np.floating[Any]]
Features = NDArray[Any]
Probabilities = NDArray[np.float32]

IRIS_SAMPLE = (5.1, 3.5, 1.4, 0.2)  # the original pattern's sample, for an artifact that carries none
TOLERANCE = 1e-4  # between carried and computed probabilities: other processors round float32 differently
# The inputs that are served, as NumPy names them.
DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64", "tensor(int32)": "int32"}
# JSON's numbers are float64, in which each whole number up to this one has a place of its own.
MAX_WHOLE = {"int64": 2**53, "int32": 2**31 - 1}
FLOATS = ("tensor(float)", "tensor(double)")
# What onnxruntime says of a file that it can't load -> what to do about it.
FIXES = {
    "External data": "save it with its weights inside",
    "pset": "export it with an older target_opset",
    "IR version": "export it with an older onnx",
}
NO_VERSION = 2**63 - 1  # what onnxruntime gives for an artifact without one


class Signature(NamedTuple):
    """Names, types and widths, read from the session."""

    input_name: str
    dtype: str
    n_features: int
    is_one_by_one: bool
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
        facts = read_facts(meta.custom_metadata_map)
        self.training = facts.training
        self.features = facts.features or tuple(Feature(name=f"feature {i}") for i in range(self.signature.n_features))
        self.sample = facts.sample.row if facts.sample else _default_sample(self.signature)
        self.wanted = f"{len(self.features)}: {_cut(', '.join(feature.name for feature in self.features), 400)}"
        self._check_widths()
        probabilities, keys = self._run_sample()
        self._check_sample(probabilities, facts.sample)
        self.sample_probabilities = probabilities[0]
        given = labels if labels is not None else facts.labels
        class_ids = keys or read_class_ids(artifact, len(probabilities[0]))
        if class_ids is None:
            class_ids = _indexes(len(probabilities[0]))
            if given is None:
                self._check_answer(class_ids)
        self.labels = class_ids if given is None else self._order(given, class_ids)
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
        labels = read_labels(label_path) if label_path else None
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
        dtype = self.signature.dtype
        is_whole = dtype in MAX_WHOLE
        try:
            with np.errstate(over="ignore"):  # an overflow becomes infinite, which is reported below
                features = np.asarray(rows, dtype="float64" if is_whole else dtype)
        except (ValueError, OverflowError):
            features = None
        if features is None or features.ndim != 2 or 0 in features.shape or features.shape[1] != len(self.features):
            raise self._shape_error(rows)
        is_right = np.isfinite(features)
        if is_whole:
            is_right &= (features == np.floor(features)) & (np.abs(features) <= MAX_WHOLE[dtype])
        if not is_right.all():
            row, column = (int(i) for i in np.argwhere(~is_right)[0])
            raise self._value_error(row, column, rows[row][column])
        return features.astype(dtype) if is_whole else features

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
                if (
                    len(rows) == len(self.features) > 1
                    and len({len(row) for row in rows if hasattr(row, "__len__")}) == 1
                ):
                    message += "; are rows and columns swapped?"
                return FeaturesError(message, type="row_width", where=(index,))
        return FeaturesError(f"expected rows of numbers; the model takes {self.wanted}", type="not_a_matrix")

    def _value_error(self, row: int, column: int, value: float) -> FeaturesError:
        dtype = self.signature.dtype
        wanted = "a whole number" if dtype in MAX_WHOLE else "a finite number"
        if math.isnan(value):
            got = "NaN"
        elif math.isinf(value):
            got = "Infinity" if value > 0 else "-Infinity"
        elif dtype not in MAX_WHOLE:
            got = f"one beyond {dtype}'s ±{float(np.finfo(dtype).max):.4g}"
        elif value == math.floor(value):
            got = f"one beyond ±{MAX_WHOLE[dtype]}"
        else:
            got = "one with decimals"
        kind = wanted.removeprefix("a ").replace(" ", "_")
        return FeaturesError(
            f"{self.locate(row, column)}: expected {wanted}, got {got}", type=kind, where=(row, column)
        )

    def _run(self, features: Features) -> Any:
        name, session = self.signature.input_name, self._session
        if not self.signature.is_one_by_one:
            (output,) = session.run([self.signature.output_name], {name: features})
            return output
        outputs = [session.run([self.signature.output_name], {name: row[None]})[0] for row in features]
        return [row for output in outputs for row in output] if self.signature.is_zipmap else np.concatenate(outputs)

    def _tensor(self, output: Any) -> Probabilities:
        if self.signature.is_zipmap:
            return np.array([list(row.values()) for row in output], dtype=np.float32)
        if output.ndim == 1 or output.shape[1] == 1:  # a sigmoid: the probability of the second of two classes
            second = output.reshape(-1, 1)
            output = np.hstack([1 - second, second])
        return output.astype(np.float32, copy=False)  # type: ignore[no-any-return]

    def _run_sample(self) -> tuple[Probabilities, tuple[str, ...]]:
        try:
            output = self._run(self._matrix([self.sample, self.sample]))
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
            raise ArtifactError(f"the model fails on its sample {list(self.sample)}: {_one_line(error)}") from None
        if self.signature.is_zipmap:
            return self._tensor(output), tuple(str(class_id) for class_id in output[0])
        if output.shape in ((2,), (2, 1)):
            self._check_sigmoid()
        return self._tensor(output), ()

    def _check_sigmoid(self) -> None:
        """Tell one column of probabilities from a regressor's: it stays within 0 to 1 however far out a row is."""
        sample = np.array(self.sample)
        far = np.vstack([sample * 0, sample + 1000, sample - 1000, sample * 10, sample * -10])
        values = self._run(self._matrix(far))
        if not ((values >= 0) & (values <= 1)).all():
            message = f"{self.signature.output_name!r} is one column with values beyond 0 to 1, as a regressor has"
            raise ArtifactError(f"{message}; export a classifier, or a sigmoid as its output")

    def _order(self, labels: Sequence[str], class_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Put labels into the order of the probabilities: ZipMap's come sorted by class id, whatever their columns."""
        if self.signature.is_zipmap and set(labels) == set(class_ids):
            return class_ids
        if set(class_ids) == set(_indexes(len(labels))):
            return tuple(labels[int(class_id)] for class_id in class_ids)
        return tuple(labels)

    def _check_answer(self, class_ids: tuple[str, ...]) -> None:
        """Hold assumed class ids against the model's own choice for its sample, where it gives one."""
        outputs = [o.name for o in self._session.get_outputs() if o.type in ("tensor(int64)", "tensor(string)")]
        if len(outputs) != 1:
            return
        (answer,) = self._session.run(outputs, {self.signature.input_name: self._matrix([self.sample])})
        found, expected = str(answer.ravel()[0]), class_ids[int(self.sample_probabilities.argmax())]
        if found != expected:
            message = f"{outputs[0]!r} gives {_cut(found, 100)!r} for the sample, and the file doesn't say which class"
            raise ArtifactError(f"{message} has which column; name them in a label.json beside it")

    def _check_widths(self) -> None:
        n_features = self.signature.n_features
        for what, width in (("features", len(self.features)), ("sample values", len(self.sample))):
            if width != n_features:
                message = f"its facts give {width} {what}, its input takes {n_features}; write the facts anew"
                raise ArtifactError(message)
        if len({feature.name for feature in self.features}) != n_features:  # rows may come as objects by name
            raise ArtifactError("its facts give two features one name; write the facts anew, each with its own")

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
        cause = _one_line(re.sub(r"/onnxruntime_src/.*\) (?=[A-Z])", "", str(error)))  # the place in its C++ source
        fix = next((fix for word, fix in FIXES.items() if word in cause), "export it again")
        raise ArtifactError(f"no ONNX model that onnxruntime can load, {fix}: {cause}") from None


def _signature(session: ort.InferenceSession) -> Signature:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in DTYPES or len(inputs[0].shape) != 2:
        got = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        message = f"expected one input of shape (None, n_features) and type {', '.join(DTYPES)}; got {got}"
        raise ArtifactError(f"{message}; export it from one matrix of numbers")
    n_rows, n_features = inputs[0].shape
    if (isinstance(n_rows, int) and n_rows != 1) or not isinstance(n_features, int) or n_features < 1:
        raise ArtifactError(f"expected an input of shape (None, n_features), got {inputs[0].shape}; export it so")
    outputs = [o for o in session.get_outputs() if _is_zipmap(o) or (o.type in FLOATS and len(o.shape) in (1, 2))]
    if len(outputs) != 1:
        got = ", ".join(f"{o.name} {o.type} {o.shape}" for o in session.get_outputs())
        message = f"expected one output of probabilities, tensor(float) (None, n_classes) or ZipMap, got {got}"
        raise ArtifactError(f"{message}; export it so")
    dtype = DTYPES[inputs[0].type]
    return Signature(inputs[0].name, dtype, n_features, n_rows == 1, outputs[0].name, _is_zipmap(outputs[0]))


def _is_zipmap(output: ort.NodeArg) -> bool:
    return str(output.type) in ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")


def _default_sample(signature: Signature) -> tuple[float, ...]:
    is_like_iris = signature.n_features == len(IRIS_SAMPLE) and signature.dtype not in MAX_WHOLE
    return IRIS_SAMPLE if is_like_iris else (0.0,) * signature.n_features


def _indexes(n_classes: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(n_classes))


def _one_line(error: Exception | str) -> str:
    return _cut(" ".join(str(error).split()), 300)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
