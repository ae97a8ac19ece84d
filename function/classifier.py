"""The model: artifact -> session -> signature -> predictions. The only home of onnxruntime."""

import contextlib
import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from function.artifact import Feature, Sample, read_categories, read_class_ids, read_facts, read_labels
from function.columns import TEXT, WHOLE, Arrays, Columns, Input, Rows, cut
from function.errors import ArtifactError, FeaturesError

# Since 1.29 onnxruntime reports to Microsoft from a thread of its own, unless told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379. A process forked with that thread also hangs at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

Probabilities = NDArray[np.float32]

IRIS_SAMPLE = (5.1, 3.5, 1.4, 0.2)  # the original pattern's sample, for an artifact that carries none
TOLERANCE = 1e-4  # between carried and computed probabilities: other processors round float32 differently
# The inputs that are served, as NumPy names them.
TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(string)": TEXT,
}
FLOATS = ("tensor(float)", "tensor(double)")
# What onnxruntime says of a file that it can't load -> what to do about it.
LOAD_FIXES = {
    "tensor(double)": "export it from float32 values",  # skl2onnx mixes the two up
    "construct locale": "export its TfidfVectorizer with the option locale: C.UTF-8",  # the one that Lambda has
    "External data": "save it with its weights inside",
    "pset": "export it with an older target_opset",
    "IR version": "export it with an older onnx",
}
PROBABILITIES_FIX = "is it a regressor, or logits? export a classifier with predict_proba, softmax or sigmoid"
N_PROBES = 16  # rows around the sample, by 1, 10, 100 and 1,000
RUN_ERRORS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException)
LABEL_FILE, POSITIONS = "a label file", "their positions"  # where labels come from
NO_VERSION = 2**63 - 1  # what onnxruntime gives for an artifact without one


class Signature(NamedTuple):
    """Names, types and widths, read from the session."""

    inputs: tuple[Input, ...]
    is_one_by_one: bool
    output_name: str
    is_zipmap: bool
    label_name: str | None
    label_type: str


class Classifier:
    """One ONNX Runtime session that answers probabilities, and the facts about its model.

    Attributes:
        signature: as the session has it.
        columns: what a row must hold.
        features: one `Feature` a column.
        class_ids: what the model itself calls its classes, in the order of the probabilities; None if the file
            doesn't say.
        labels: human names in the order of the probabilities.
        labels_from: where they come from, for messages.
        sample: a row that the model is known to answer.
        sample_probabilities: its answer to that row, float32, shape (n_classes,).
        label_output: the session's output of class ids, where it has one and its class ids are known.
        sha256: of the artifact's bytes, hexadecimal.
    """

    def __init__(self, artifact: bytes, *, name: str, labels: Sequence[str] | None = None) -> None:
        """Make the session and run the sample, alone and as a batch of two rows, and some rows around it.

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
        self.features = facts.features or _default_features(self.signature.inputs, artifact)
        self.columns = Columns(self.signature.inputs, self.features)
        self.sample = facts.sample.row if facts.sample else _default_sample(self.columns)
        self._check_widths()
        self.sample_probabilities, keys = self._run_sample()
        self._check_sample(facts.sample)
        given = labels if labels is not None else facts.labels
        maker = self.signature.label_name or self.signature.output_name
        self.class_ids = keys or read_class_ids(artifact, maker, len(self.sample_probabilities))
        class_ids = self.class_ids or _indexes(len(self.sample_probabilities))
        answers = self._own_answers()
        self.label_output = (
            self.signature.label_name if self.class_ids and {own for own, _ in answers} <= set(class_ids) else None
        )
        places = {LABEL_FILE: labels, "its facts": facts.labels, "its class ids": self.class_ids}
        self.labels_from = next((place for place, found in places.items() if found), POSITIONS)
        if self.class_ids is None and given is None:
            self._check_answers(answers, class_ids)
        self.labels = class_ids if given is None else self._order(given, class_ids)
        self._check_labels()

    @classmethod
    def load(cls, path: Path, *, label_path: Path | None = None, sha256: str | None = None) -> Self:
        """Read an artifact and its labels from disk.

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
        found, wanted = hashlib.sha256(artifact).hexdigest(), {"MODEL_SHA256": sha256} if sha256 else {}
        if (packed := path.with_name(f"{path.name}.sha256")).exists():  # what the package was built with
            wanted[packed.name] = packed.read_text(errors="replace").split(" ")[0].strip()
        for who, digest in wanted.items():
            if digest != found:
                raise ArtifactError(f"{path}: its SHA-256 is {found}, {who} wants {digest[:64]}; ship the right file")
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
            rows: shape (n_rows, n_features), n_rows ≥ 1; numbers finite in the type of their input, texts as str.

        Returns:
            float32, shape (n_rows, n_classes), columns in the order of `labels`.

        Raises:
            FeaturesError: the rows aren't such a matrix, or the model has no finite answer for one.
        """
        return self.predict_arrays(self.columns.arrays(rows))

    def predict_arrays(self, arrays: Arrays) -> Probabilities:
        """Give the same for arrays that `columns` has made or checked, one for each input."""
        try:
            probabilities = self._tensor(self._run(arrays), len(arrays[0]))
        except RUN_ERRORS as error:
            raise self._refusal(arrays) or error from None
        if probabilities.shape[1] != len(self.sample_probabilities):
            raise ArtifactError(f"the model gives {probabilities.shape} for {len(arrays[0])} rows")  # a bug of its own
        if not np.isfinite(probabilities).all():
            row = int(np.argwhere(~np.isfinite(probabilities))[0, 0])
            message = f"row {row}: the model's answer isn't finite; are the values in the range it was trained on?"
            raise FeaturesError(message, type="no_answer", where=(row,))
        return probabilities

    def label_rows(self, probabilities: Probabilities) -> list[str]:
        """Name the class with the highest probability in each row; the first of equals, as scikit-learn does."""
        return [self.labels[index] for index in probabilities.argmax(axis=1).tolist()]

    def predict_label(self, rows: Rows) -> list[str]:
        """Give each row's label; arguments and errors as in `predict`."""
        return self.label_rows(self.predict(rows))

    def _refusal(self, arrays: Arrays) -> FeaturesError | None:
        """Find the first row that the model fails on, and in it the first value that it fails on in its sample too."""
        n_rows, types = len(arrays[0]), self.columns.types
        row = bisect_left(
            range(n_rows), True, key=lambda last: self._is_refused([array[: last + 1] for array in arrays])
        )
        if row == n_rows:
            return None
        values = np.hstack([array[row : row + 1].astype(object) for array in arrays])
        sample = np.hstack([array.astype(object) for array in self.columns.arrays([self.sample])])

        def is_refused(first: int, last: int) -> bool:
            mixed = sample.copy()
            mixed[:, first : last + 1] = values[:, first : last + 1]
            return self._is_refused(self.columns.check(self.columns.split(mixed)))

        column = bisect_left(range(len(types)), True, key=lambda last: is_refused(0, last))
        if column == len(types) or not is_refused(column, column):
            message = f"row {row}: the model fails on its values; are they such as it was trained on?"
            return FeaturesError(message, type="no_answer", where=(row,))
        known = self.features[column].values
        expected = f"one of {cut(', '.join(known), 400)}" if known else "one that the model was trained on"
        message = f"{self.columns.locate(row, column)}: expected {expected}, got another value"
        return FeaturesError(message, type="unknown_value", where=(row, column))

    def _is_refused(self, arrays: Arrays) -> bool:
        try:
            self._run(arrays)
        except RUN_ERRORS:
            return True
        return False

    def _run(self, arrays: Arrays) -> Any:
        session, outputs = self._session, [self.signature.output_name]
        if not self.signature.is_one_by_one:
            (output,) = session.run(outputs, self._feed(arrays))
            return output
        rows = zip(*arrays, strict=True)
        answers = [session.run(outputs, self._feed([values[None] for values in row]))[0] for row in rows]
        return [row for answer in answers for row in answer] if self.signature.is_zipmap else np.concatenate(answers)

    def _feed(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        return {input.name: array for input, array in zip(self.signature.inputs, arrays, strict=True)}

    def _tensor(self, output: Any, n_rows: int) -> Probabilities:
        if self.signature.is_zipmap:
            return np.array([list(row.values()) for row in output], dtype=np.float32)
        output = output.reshape(n_rows, -1)  # a squeeze may have taken either dimension away
        if output.shape[1] == 1:  # a sigmoid: the probability of the second of two classes
            output = np.hstack([1 - output, output])
        return output.astype(np.float32, copy=False)  # type: ignore[no-any-return]

    def _run_sample(self) -> tuple[Probabilities, tuple[str, ...]]:
        """Give the sample's probabilities, and the keys of a ZipMap."""
        try:
            alone, pair = (self._run(self.columns.arrays([self.sample] * n_rows)) for n_rows in (1, 2))
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
            message = f"the model fails on its sample {cut(str(list(self.sample)), 300)}: {_one_line(error)}"
            raise ArtifactError(f"{message}; give it one with python -m model.describe") from None
        sizes = [len(answer) * len(answer[0]) if self.signature.is_zipmap else answer.size for answer in (alone, pair)]
        if sizes[1] != 2 * sizes[0]:
            message = (
                f"expected probabilities of shape (n_rows, n_classes), got {sizes[0]} for a row and {sizes[1]} for two"
            )
            raise ArtifactError(f"{message}; export a classifier with a free number of rows")
        keys = tuple(str(class_id) for class_id in alone[0]) if self.signature.is_zipmap else ()
        return self._tensor(alone, 1)[0], keys

    def _probe(self, output: str) -> list[tuple[Any, Any]]:
        """Run rows around the sample and far from it, and give this output and the probabilities for those that run."""
        sample = self.columns.arrays([self.sample])
        answers = []
        for step in range(N_PROBES):
            row, start = [], step * np.pi
            for array in sample:
                offset = 10.0 ** (step % 4) * np.sin(start + step * np.arange(1, array.shape[1] + 1))
                row.append(array if array.dtype == object else (array + offset).astype(array.dtype))
                start += 1
            with contextlib.suppress(*RUN_ERRORS):  # a model needn't know every row
                answers.append(self._session.run([output, self.signature.output_name], self._feed(row)))
        return [tuple(answer) for answer in answers]

    def _own_answers(self) -> list[tuple[str, int]]:
        """Hold the model's probabilities to 0 to 1, and give its own class ids beside the columns of the highest."""
        name = self.signature.output_name
        answers = []
        for own, output in self._probe(self.signature.label_name or name):
            probabilities = self._tensor(output, 1)[0]
            if (probabilities < -TOLERANCE).any() or (probabilities > 1 + TOLERANCE).any():
                got = f"{cut(str(probabilities.tolist()), 100)} for a row near its sample"
                raise ArtifactError(f"{name!r} isn't probabilities, from 0 to 1: {got}; {PROBABILITIES_FIX}")
            if self.signature.label_name and np.isfinite(probabilities).all():
                answers.append((str(own.ravel()[0]), int(probabilities.argmax())))
        return answers

    def _order(self, labels: Sequence[str], class_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Put labels into the order of the probabilities; what the model itself calls its classes counts most."""
        if set(labels) == set(class_ids):
            return class_ids
        if set(class_ids) == set(_indexes(len(labels))):
            return tuple(labels[int(class_id)] for class_id in class_ids)
        return tuple(labels)

    def _check_answers(self, answers: Sequence[tuple[str, int]], class_ids: tuple[str, ...]) -> None:
        """Hold assumed class ids against the model's own, where it gives them."""
        for own, index in answers:
            if own != class_ids[index]:
                message = f"{self.signature.label_name!r} gives {cut(own, 100)!r}, and the file doesn't say which class"
                raise ArtifactError(f"{message} has which column; name them in a label.json beside it")

    def _check_widths(self) -> None:
        n_features = len(self.columns.types)
        for what, width in (("features", len(self.features)), ("sample values", len(self.sample))):
            if width != n_features:
                message = f"its facts give {width} {what}, its input takes {n_features}; write the facts anew"
                raise ArtifactError(message)
        if len({feature.name for feature in self.features}) != n_features:  # rows may come as objects by name
            raise ArtifactError("its facts give two features one name; write the facts anew, each with its own")

    def _check_sample(self, carried: Sample | None) -> None:
        found = self.sample_probabilities
        if len(found) < 2:
            raise ArtifactError("expected probabilities of at least 2 classes, got 1; export a classifier")
        if not (np.isfinite(found).all() and (found >= 0).all() and abs(found.sum() - 1) < TOLERANCE):
            given = f"the sample's are {cut(str(found.tolist()), 100)}, in sum {found.sum():.6g}"
            message = f"{self.signature.output_name!r} isn't probabilities, at least 0 and in sum 1: {given}"
            raise ArtifactError(f"{message}; {PROBABILITIES_FIX}")
        if carried and carried.probabilities is not None and not _are_close(found, carried.probabilities):
            message = f"its sample gives {found.tolist()}, its facts say {list(carried.probabilities)}"
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
    # Else it looks for external data in the working directory, which the package lacks.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = 4  # fatal: other failures are raised, and told once
    if not artifact:
        raise ArtifactError("the file is empty; export the model again")
    try:
        # From bytes, so that the file can't pull in others as external data.
        return ort.InferenceSession(artifact, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
        cause = _one_line(re.sub(r"/onnxruntime_src/.*\) (?=[A-Z])", "", str(error)))  # the place in its C++ source
        fix = next((fix for word, fix in LOAD_FIXES.items() if word in cause), "export it again")
        if artifact.startswith(b"\x80"):
            fix = "this is a Python pickle; export the model to ONNX"
        raise ArtifactError(f"no ONNX model that onnxruntime can load, {fix}: {cause}") from None


def _signature(session: ort.InferenceSession) -> Signature:
    inputs = session.get_inputs()
    if not inputs:
        raise ArtifactError("expected at least one input, got none; export it from a row of values")
    for found in inputs:
        _check_input(found)
    is_one_by_one = [found.shape[0] == 1 for found in inputs]
    if len(set(is_one_by_one)) > 1:
        raise ArtifactError("some of its inputs take one row, some any number; export it with a free number of rows")
    outputs = [o for o in session.get_outputs() if _is_zipmap(o) or (o.type in FLOATS and len(o.shape) in (1, 2))]
    if len(outputs) != 1:
        got = ", ".join(f"{o.name} {o.type} {o.shape}" for o in session.get_outputs())
        message = f"expected one output of probabilities, tensor(float) (None, n_classes) or ZipMap, got {got}"
        raise ArtifactError(f"{message}; export it with that one")
    labels = [o for o in session.get_outputs() if o.type in ("tensor(int64)", "tensor(string)")]
    return Signature(
        inputs=tuple(Input(found.name, TYPES[found.type], found.shape[1]) for found in inputs),
        is_one_by_one=is_one_by_one[0],
        output_name=outputs[0].name,
        is_zipmap=_is_zipmap(outputs[0]),
        label_name=labels[0].name if len(labels) == 1 else None,
        label_type=TYPES[labels[0].type] if labels else TEXT,
    )


def _check_input(found: ort.NodeArg) -> None:
    expected = f"expected inputs of shape (None, n_features) and type {', '.join(TYPES)}"
    got = f"got {found.name} {found.type} {found.shape}"
    if found.type not in TYPES:
        raise ArtifactError(f"{expected}; {got}; export it from numbers or texts")
    if len(found.shape) != 2:
        raise ArtifactError(f"{expected}; {got}; export it with a row as one line of values, such as a flattened image")
    n_rows, width = found.shape
    if (isinstance(n_rows, int) and n_rows != 1) or not isinstance(width, int) or width < 1:
        raise ArtifactError(f"{expected}; {got}; export it with a free number of rows and a fixed one of features")
    if TYPES[found.type] == TEXT and width > 1:
        raise ArtifactError(f"{expected}; {got}; export it with a named input for each column of texts")


def _is_zipmap(output: ort.NodeArg) -> bool:
    return str(output.type) in ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")


def _default_features(inputs: Sequence[Input], artifact: bytes) -> tuple[Feature, ...]:
    if len(inputs) == 1 and inputs[0].type != TEXT:
        return tuple(Feature(name=f"feature {index}") for index in range(inputs[0].width))
    texts = read_categories(artifact) if TEXT in (input.type for input in inputs) else {}
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


def _indexes(n_classes: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(n_classes))


def _one_line(error: Exception | str) -> str:
    return cut(" ".join(str(error).split()), 300)
