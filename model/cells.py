"""The cells of a CSV, which are texts, → numbers or booleans."""

import contextlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from function.classifier.model import BOOL
from model.table import EMPTY

_BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_IS_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)


def parse_cell(cell: str, type: str, *, takes_comma: bool, takes_booleans: bool = False) -> float | bool | str | None:
    """Return a cell's number or boolean, or None for a missing value; anything else stays a text."""
    text = cell.strip()
    if text in EMPTY:
        return None
    if takes_comma:
        text = text.replace(",", ".")
    if type == BOOL:
        return _BOOLEANS.get(text.lower(), cell)
    if _IS_NUMBER.fullmatch(text):
        return float(text)
    return _BOOLEANS.get(text.lower(), cell) if takes_booleans else cell


def parse_column(
    cells: pa.Array, type: str, *, takes_comma: bool, takes_booleans: bool = False
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Return the numbers or booleans of a column, null where there is none, and which cells are missing values.

    With `takes_booleans`, numbers may also be true and false.
    """
    if type != BOOL:
        with contextlib.suppress(pa.ArrowInvalid):
            found = cells.cast(pa.float64())
            if not pc.any(pc.is_nan(found)).as_py():
                return found, np.zeros(len(cells), dtype=bool)
        with contextlib.suppress(pa.ArrowInvalid):
            stripped = pc.utf8_trim_whitespace(cells)
            gaps = pc.is_in(stripped, pa.array(EMPTY, cells.type))
            return pc.if_else(gaps, None, stripped).cast(pa.float64()), np.asarray(gaps)
    values = [
        None if cell is None else parse_cell(cell, type, takes_comma=takes_comma, takes_booleans=takes_booleans)
        for cell in cells.to_pylist()
    ]
    is_gap = np.array([value is None for value in values], dtype=bool)
    right = [None if isinstance(value, str) else value for value in values]
    if type == BOOL:
        return pa.array(right, pa.bool_()), is_gap
    return pa.array([None if value is None else float(value) for value in right], pa.float64()), is_gap


def parse_all(cells: pa.Array, type: str, *, takes_comma: bool) -> pa.Array | None:
    """Give the same where each cell is a number or boolean or stands for no value, else nothing."""
    found, is_gap = parse_column(cells, type, takes_comma=takes_comma)
    return found if found.null_count == is_gap.sum() else None


def read_texts(cells: pa.Array, known: tuple[str, ...] | None, *, is_free: bool) -> pa.Array:
    """Return the texts of a column, null for a missing value.

    A text that the model knows is never a missing value, nor is any text if the column `is_free`.
    """
    if is_free:
        return cells
    empty = pa.array([text for text in EMPTY if text not in (known or ())], cells.type)
    return pc.if_else(pc.is_in(cells, empty), None, cells)
