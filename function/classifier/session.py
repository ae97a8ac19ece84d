"""The ONNX Runtime session: bytes → session; arrays → unchanged outputs."""

import copy
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from function.classifier.inputs import Arrays
from function.classifier.model import BOOL, TEXT, WHOLE, Input, cut
from function.errors import ArtifactError

# Since 1.29 onnxruntime reports to Microsoft from its own thread, unless told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379. A process forked with that thread also hangs at its exit.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

# The supported tensors, by NumPy's names.
TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    **{f"tensor({type})": type for type in (*WHOLE, BOOL, TEXT)},
}
ZIPMAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")
# What onnxruntime says about a file that it can't load -> the fix.
LOAD_FIXES = {
    "tensor(double)": "export it from float32 values",  # skl2onnx confuses the two
    "locale with name:C.UTF-8": "give this system the locale C.UTF-8, which Debian's libc-bin has",
    "construct locale": "export its TfidfVectorizer with the option locale: C.UTF-8",  # the only locale in Lambda
    "External data": "save it with its weights inside",
    "pset": "export it with an older target_opset",
    "IR version": "export it with an older onnx",
}
ONNX = "an ONNX model"
KINDS = {  # a file's first bytes -> what it is
    b"\x08": ONNX,
    b"\x80": "a Python pickle",
    b"PK\x03\x04": "a zip file, as PyTorch and Keras write it",
    b"\x89HDF": "HDF5, as Keras writes it",
    b'{"learner"': "XGBoost's own format",
    b"{L": "XGBoost's own format",
    b"CBM1": "CatBoost's own format",
    b"tree\n": "LightGBM's own format",
}
RUN_ERRORS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException)
NO_VERSION = 2**63 - 1  # onnxruntime's value for an artifact without a version


class Output(NamedTuple):
    """One output, with onnxruntime's names of its type and shape."""

    name: str
    type: str
    shape: str

    @property
    def is_zipmap(self) -> bool:
        return self.type in ZIPMAPS


class Session:
    """One ONNX Runtime session, with its inputs and outputs.

    Attributes:
        inputs: names, types and widths.
        outputs: names, types and shapes.
        n_batch: how many rows it takes at once; None for any number.
        version: the version in the artifact, "0" without one.
        producer: the program that wrote the artifact.
        metadata: its metadata_props.
    """

    def __init__(self, artifact: bytes) -> None:
        """Load an artifact.

        Raises:
            ArtifactError: onnxruntime can't load it, or its inputs aren't supported.
        """
        self._session = _load(artifact)
        self.inputs, self.n_batch = _read_inputs(self._session.get_inputs())
        self.outputs = tuple(Output(found.name, found.type, str(found.shape)) for found in self._session.get_outputs())
        self._names = [input.name for input in self.inputs]
        self._flat = [index for index, input in enumerate(self.inputs) if input.is_flat]
        meta = self._session.get_modelmeta()
        self.version = str(meta.version if meta.version < NO_VERSION else 0)
        self.producer: str = meta.producer_name
        self.metadata: Mapping[str, str] = meta.custom_metadata_map

    def one_by_one(self) -> "Session":
        """Return the same session, but one that runs each row alone."""
        alone = copy.copy(self)
        alone.n_batch = 1
        return alone

    def run(self, outputs: Sequence[str], arrays: Arrays) -> list[Any]:
        """Return some outputs unchanged: each is an array, a ZipMap is a list of mappings.

        Args:
            outputs: their names.
            arrays: one per input, shape (n_rows, width).

        Raises:
            RUN_ERRORS: the model can't answer the rows.
        """
        if self._flat:
            arrays = [array.ravel() if index in self._flat else array for index, array in enumerate(arrays)]
        if self.n_batch is None:
            return self._session.run(outputs, dict(zip(self._names, arrays, strict=True)))  # type: ignore[no-any-return]
        return self._run_in_groups(outputs, arrays, self.n_batch)

    def _run_in_groups(self, outputs: Sequence[str], arrays: Arrays, n_batch: int) -> list[Any]:
        """Run rows in groups of the size that the session takes; fill the last group with copies of its first row."""
        answers: list[list[Any]] = [[] for _ in outputs]
        for start in range(0, len(arrays[0]), n_batch):
            group = [array[start : start + n_batch] for array in arrays]
            n_rows = len(group[0])
            filled = [np.concatenate([part, np.repeat(part[:1], n_batch - n_rows, axis=0)]) for part in group]
            found = self._session.run(outputs, dict(zip(self._names, filled, strict=True)))
            for answer, part in zip(answers, found, strict=True):
                answer.append(_cut_group(part, n_rows, n_batch))
        return [_join(answer) for answer in answers]


def one_line(error: Exception | str) -> str:
    """Shorten an error of onnxruntime to one line of a message."""
    return cut(" ".join(str(error).split()), 300)


def recognize(content: bytes) -> str | None:
    """Say what a file seems to be, by its first bytes."""
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), None)


def _load(artifact: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread per request: Gunicorn's workers and Lambda's instances run in parallel, and a session without its own
    # threads survives Gunicorn's fork.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Else it looks for external data in the working directory, which isn't in the package.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = 4  # fatal only: other failures are raised, so they are reported once
    if not artifact:
        raise ArtifactError("the file is empty; export the model again")
    try:
        # From bytes, so that the file can't load others as external data.
        session = ort.InferenceSession(artifact, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
        cause = one_line(re.sub(r"/onnxruntime_src/.*\) (?=[A-Z])", "", str(error)))  # the position in its C++ source
        fix = next((fix for word, fix in LOAD_FIXES.items() if word in cause), "export it again")
        if (kind := recognize(artifact)) and kind != ONNX:
            fix = f"this is {kind}; export the model to ONNX"
        raise ArtifactError(f"not an ONNX model that onnxruntime can load, {fix}: {cause}") from None
    # It keeps the bytes, in case other providers are set later: as much memory as the model, for nothing.
    # https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/python/onnxruntime_inference_collection.py
    session._model_bytes = b""  # noqa: SLF001 - there is no public way
    return session


def _cut_group(answer: Any, n_rows: int, n_batch: int) -> Any:
    """Cut off the answers to the rows that filled the group, whatever the answer's shape."""
    if isinstance(answer, list):
        return answer[:n_rows]
    return answer.reshape(n_batch, -1)[:n_rows] if answer.size % n_batch == 0 else answer


def _join(answers: list[Any]) -> Any:
    if isinstance(answers[0], list):
        return [row for answer in answers for row in answer]
    return np.concatenate(answers)


def _read_inputs(inputs: list[ort.NodeArg]) -> tuple[tuple[Input, ...], int | None]:
    """Return the inputs, and how many rows they take at once."""
    if not inputs:
        raise ArtifactError("expected at least one input, got none; export it from a row of values")
    for found in inputs:
        _check_input(found)
    n_rows = {found.shape[0] if isinstance(found.shape[0], int) else None for found in inputs}
    if len(n_rows) > 1:
        got = ", ".join(f"{found.name} {found.shape}" for found in inputs)
        message = f"expected inputs of the same number of rows, got {cut(got, 300)}"
        raise ArtifactError(f"{message}; export it with a free number of rows")
    read = (Input(found.name, TYPES[found.type], [*found.shape, 1][1], len(found.shape) == 1) for found in inputs)
    return tuple(read), n_rows.pop()


def _check_input(found: ort.NodeArg) -> None:
    expected = f"expected inputs of shape (None, n_features) and type {', '.join(TYPES)}"
    got = f"got {found.name} {found.type} {found.shape}"
    if found.type not in TYPES:
        raise ArtifactError(f"{expected}; {got}; export it from numbers, booleans or texts")
    if len(found.shape) not in (1, 2):
        raise ArtifactError(
            f"{expected}; {got}; export it with each row as a flat list of values, such as a flattened image"
        )
    n_rows, width = [*found.shape, 1][:2]
    if (isinstance(n_rows, int) and n_rows < 1) or not isinstance(width, int) or width < 1:
        raise ArtifactError(f"{expected}; {got}; export it with a free number of rows and a fixed one of features")
    if TYPES[found.type] == TEXT and width > 1:
        raise ArtifactError(f"{expected}; {got}; export it with a named input for each column of texts")
