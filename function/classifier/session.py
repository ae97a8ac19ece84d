"""The ONNX Runtime session: bytes → session and its signature → probabilities."""

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from function.classifier.inputs import Arrays
from function.classifier.model import TEXT, Input, Probabilities, Signature, cut
from function.errors import ArtifactError

# Since 1.29 onnxruntime reports to Microsoft from a thread of its own, unless told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379. A process forked with that thread also hangs at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

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
RUN_ERRORS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException)
NO_VERSION = 2**63 - 1  # what onnxruntime gives for an artifact without one


class Session:
    """One ONNX Runtime session, and what it takes and gives.

    Attributes:
        signature: names, types and widths.
        version: the artifact's own, "0" without one.
        producer: what wrote the artifact.
        metadata: its metadata_props.
    """

    def __init__(self, artifact: bytes) -> None:
        """Load an artifact.

        Raises:
            ArtifactError: onnxruntime can't load it, or it isn't a classifier that can be served.
        """
        self._session = _load(artifact)
        self.signature = _read_signature(self._session)
        self._inputs = [input.name for input in self.signature.inputs]
        self._outputs = [self.signature.output_name]
        self._is_one_by_one, self._is_zipmap = self.signature.is_one_by_one, self.signature.is_zipmap
        meta = self._session.get_modelmeta()
        self.version = str(meta.version if meta.version < NO_VERSION else 0)
        self.producer: str = meta.producer_name
        self.metadata: Mapping[str, str] = meta.custom_metadata_map

    def run(self, arrays: Arrays) -> Any:
        """Give the output of probabilities as it is: an array, or of a ZipMap a list of mappings.

        Raises:
            RUN_ERRORS: the model can't answer the rows.
        """
        if not self._is_one_by_one:
            return self._session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True)))[0]
        rows = zip(*arrays, strict=True)
        answers = [self.run_outputs(self._outputs, [values[None] for values in row])[0] for row in rows]
        return [row for answer in answers for row in answer] if self._is_zipmap else np.concatenate(answers)

    def run_outputs(self, outputs: list[str], arrays: Arrays) -> list[Any]:
        """Give some outputs as they are."""
        return self._session.run(outputs, dict(zip(self._inputs, arrays, strict=True)))  # type: ignore[no-any-return]

    def predict(self, arrays: Arrays) -> Probabilities:
        """Give the probabilities, float32, shape (n_rows, n_classes); raises as `run` does."""
        return self.to_probabilities(self.run(arrays), len(arrays[0]))

    def to_probabilities(self, output: Any, n_rows: int) -> Probabilities:
        """Bring the output of probabilities into one form, float32, shape (n_rows, n_classes)."""
        if self._is_zipmap:
            return np.array([list(row.values()) for row in output], dtype=np.float32)
        if output.ndim != 2 or len(output) != n_rows:
            output = output.reshape(n_rows, -1)  # a squeeze may have taken either dimension away
        if output.shape[1] == 1:  # a sigmoid: the probability of the second of two classes
            output = np.hstack([1 - output, output])
        return output.astype(np.float32, copy=False)  # type: ignore[no-any-return]


def one_line(error: Exception | str) -> str:
    """Fit an error of onnxruntime's into a message."""
    return cut(" ".join(str(error).split()), 300)


def _load(artifact: bytes) -> ort.InferenceSession:
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
        cause = one_line(re.sub(r"/onnxruntime_src/.*\) (?=[A-Z])", "", str(error)))  # the place in its C++ source
        fix = next((fix for word, fix in LOAD_FIXES.items() if word in cause), "export it again")
        if artifact.startswith(b"\x80"):
            fix = "this is a Python pickle; export the model to ONNX"
        raise ArtifactError(f"no ONNX model that onnxruntime can load, {fix}: {cause}") from None


def _read_signature(session: ort.InferenceSession) -> Signature:
    inputs = session.get_inputs()
    if not inputs:
        raise ArtifactError("expected at least one input, got none; export it from a row of values")
    for found in inputs:
        _check_input(found)
    is_one_by_one = [found.shape[0] == 1 for found in inputs]
    if len(set(is_one_by_one)) > 1:
        raise ArtifactError("some of its inputs take one row, some any number; export it with a free number of rows")
    output = _find_probabilities(session.get_outputs())
    labels = [o for o in session.get_outputs() if o.type in ("tensor(int64)", "tensor(string)")]
    return Signature(
        inputs=tuple(Input(found.name, TYPES[found.type], found.shape[1]) for found in inputs),
        is_one_by_one=is_one_by_one[0],
        output_name=output.name,
        is_zipmap=_is_zipmap(output),
        label_name=labels[0].name if len(labels) == 1 else None,
        label_type=TYPES[labels[0].type] if labels else TEXT,
    )


def _find_probabilities(outputs: list[ort.NodeArg]) -> ort.NodeArg:
    found = [o for o in outputs if _is_zipmap(o) or (o.type in FLOATS and len(o.shape) in (1, 2))]
    if len(found) != 1:
        got = ", ".join(f"{o.name} {o.type} {o.shape}" for o in outputs)
        message = f"expected one output of probabilities, tensor(float) (None, n_classes) or ZipMap, got {got}"
        raise ArtifactError(f"{message}; export it with that one")
    return found[0]


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
