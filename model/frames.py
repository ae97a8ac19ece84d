"""Files of rows → a DataFrame for a framework; a pickle → its model."""

import contextlib
import re
import sys
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import pyarrow.compute as pc
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from function.classifier.model import BOOL
from function.classifier.session import ONNX, recognize
from function.errors import ArtifactError
from model.cells import parse_all, read_texts
from model.columns import check_header, check_repeated, is_value, name_features
from model.files import FileError, RowFile, find_files, one_line, open_file
from model.rows import read_batches


def read_frame(
    given: Sequence[str], target: str, ignore: Collection[str], *, has_names: bool = True
) -> tuple[Any, Any]:
    """Read the rows of files, and their labels, as pandas would.

    Args:
        given: names, globs and folders.
        target: the column of the labels.
        ignore: columns that are no features.
        has_names: of the columns matter to the model, so that it notices others.

    Raises:
        FileError: a file can't be read, or has no such column.
    """
    files = [open_file(path) for path in find_files(given)]
    for file in files:
        check_repeated(file)
    names = name_features(files[0], target, ignore)
    if not has_names:
        check_header(files[0], names)
    try:
        table = pa.concat_tables(map(_read, files), promote_options="permissive")
    except pa.ArrowException as error:
        raise FileError(f"{', '.join(given)}: expected files of the same columns; {one_line(error)}") from None
    if not is_value(type := table.schema.field(target).type):
        raise FileError(f"{given[0]}: expected numbers, texts or booleans in column {target}, got {type}")
    frame = table.to_pandas()
    return frame.drop(columns=[target, *ignore], errors="ignore"), frame[target]  # an index is no column already


def _read(file: RowFile) -> pa.Table:
    batches = list(read_batches(file, file.names))
    if not sum(batch.table.num_rows for batch in batches):
        raise FileError(f"{file.path}: expected rows, got none")
    table = pa.concat_tables([batch.table for batch in batches], promote_options="permissive")
    if not batches[0].is_text:
        return table
    takes_comma = batches[0].takes_comma
    return pa.table({name: _infer(table[name].combine_chunks(), takes_comma=takes_comma) for name in file.names})


def _infer(cells: pa.Array, *, takes_comma: bool) -> pa.Array:
    """Give a column of a CSV as whole numbers, numbers, booleans or else texts: the first that all cells are."""
    trimmed = pc.utf8_trim_whitespace(cells)
    with contextlib.suppress(pa.ArrowInvalid):
        return read_texts(trimmed, None, is_free=False).cast(pa.int64())
    for type in ("float64", BOOL):
        if (found := parse_all(cells, type, takes_comma=takes_comma)) is not None:
            return found
    return read_texts(cells, None, is_free=False)


def read_pickle(path: Path) -> Any:
    """Load a file of joblib or pickle, which runs the code in it.

    Raises:
        ArtifactError: it can't be loaded.
    """
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = joblib.load(path)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror or error})") from None
    except Exception as error:  # noqa: BLE001 - a pickle may raise any
        reason = _explain(path.read_bytes(), error)
        raise ArtifactError(f"{path}: not a model that can be loaded here; {reason}") from None
    _tell_versions(path, [each.message for each in told])
    return model


def _tell_versions(path: Path, told: Sequence[Warning | str]) -> None:
    """Print once, instead of a warning for each part of the model, that another scikit-learn has written it."""
    versions = [each for each in told if isinstance(each, InconsistentVersionWarning)]
    for other in (each for each in told if each not in versions):
        warnings.warn(other, stacklevel=2)
    if versions:
        theirs, ours = versions[0].original_sklearn_version, versions[0].current_sklearn_version
        fix = f"if the export fails or differs, `.venv/bin/pip install scikit-learn=={theirs}`"
        print(f"warning: {path}: written by scikit-learn {theirs}, here is {ours}; {fix}", file=sys.stderr)


def _explain(content: bytes, error: Exception) -> str:
    """Say why a file isn't a model that can be loaded, by its content and the error."""
    kind = recognize(content)
    if kind == ONNX:
        return "this is an ONNX model already; python -m model describe adds the facts"
    if kind and not content.startswith(b"\x80"):
        return f"this is {kind}; load it in Python where it was trained, and call export() there, or joblib.dump it"
    if content.startswith(b"PAR1") or _is_text(content[:1000]):
        return "this seems to be a table; give the model first, then the files of its training data"
    said = one_line(error)
    is_cut = content.startswith(b"\x80") and not content.endswith(b".")  # pickle.STOP
    if is_cut or isinstance(error, EOFError) or re.search("EOF|truncated|exhausted", said):
        return "the file ends too early; write or copy it again"
    if found := re.search(r"Can't get attribute '([^']+)' on <module '[\w.]*__main__'", said):
        return f"{found[1]} was defined in a script or a notebook; call export() there, in Python"
    if re.search(r"Can't get attribute .* on <module 'sklearn\.", said):
        return f"{said}; another version than scikit-learn {sklearn.__version__} has written it: install that one into .venv"
    if isinstance(error, ModuleNotFoundError):
        return f"{said}; install it or, if it is a module of yours, name its folder in PYTHONPATH"
    return f"{type(error).__name__}: {said}"


def _is_text(start: bytes) -> bool:
    return start != b"" and all(byte >= ord(" ") or byte in b"\t\r\n" for byte in start)
