"""Finds the columns of a file that are a model's features, and the column of the labels."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from function.classifier.model import Columns, cut
from model.cells import parse_cell
from model.delimited import DelimitedFile
from model.files import FileError, RowFile
from model.names import match


class Choice(NamedTuple):
    """The columns that are read from a file: one per feature, and that of the labels."""

    features: Sequence[str]
    target: str | None


def choose(
    file: RowFile, columns: Columns, target: str | None, *, by_position: bool = False, ignore: Collection[str] = ()
) -> Choice:
    """Find the column of each feature by its name or, if requested, by its position.

    Raises:
        FileError: one is missing, or that of the labels.
    """
    wanted = [feature.name for feature in columns.features]
    others = name_features(file, target, ignore, () if by_position else wanted)
    if not by_position and (features := [name for name in wanted if name == target or name in ignore]):
        raise FileError(f"{file.path}: expected --target and --ignore to be no features, got {_list(features)}")
    if by_position:
        check_header(file, others, "--no-header takes the first line for a row")
        if len(others) != len(wanted):
            message = f"expected {len(wanted)} columns, as the model takes, besides --target and --ignore"
            raise FileError(f"{file.path}: {message}; got {len(others)}: {_list(others)}")
        return check_types(file, Choice(others, target))
    found = match(wanted, others)
    if missing := [name for name in wanted if name not in found]:
        missing = [name for name in missing if name not in others] or missing
        message = f"expected a column for each feature, none is called {_list(missing)}; it has {_list(file.names)}"
        fix = "give the columns the features' names, or use --by-position for their order"
        raise FileError(f"{file.path}: {message}; {fix}")
    return check_types(file, Choice([found[name] for name in wanted], target))


def name_features(
    file: RowFile, target: str | None, ignore: Collection[str], wanted: Collection[str] = ()
) -> list[str]:
    """Return the columns that may be features; an index of pandas is none, unless it is `wanted`.

    Raises:
        FileError: the column of the labels, or one to ignore, is missing.
    """
    for name in (*ignore, *([] if target is None else [target])):
        if name not in file.names:
            raise FileError(f"{file.path}: no column is called {_list([name])}; it has {_list(file.names)}")
    left_out = {target, *ignore, *(name for name in file.index if name not in wanted)}
    return [name for name in file.names if name not in left_out]


def check_header(file: RowFile, names: Sequence[str], fix: str = "put names above the first row") -> None:
    """Refuse a CSV whose header is a row of numbers; by position nothing else would show it.

    Whole numbers are names, as pandas gives them.
    """
    if isinstance(file, DelimitedFile) and (numbers := [name for name in names if _is_measured(name)]):
        raise FileError(f"{file.path}: expected a header with names, got the numbers {_list(numbers)}; {fix}")


def _is_measured(name: str) -> bool:
    number = parse_cell(name, "float64", takes_comma=False)
    return isinstance(number, float) and not name.strip().isdigit()


def check_types(file: RowFile, choice: Choice) -> Choice:
    """Refuse columns of types that no feature or label has.

    Raises:
        FileError: names the column.
    """
    for name in (*choice.features, *([] if choice.target is None else [choice.target])):
        if (type := file.types.get(name)) is not None and not is_value(type):
            raise FileError(f"{file.path}: expected numbers, texts or booleans in column {name}, got {type}")
    return choice


def is_value(type: pa.DataType) -> bool:
    """Say whether a type is of numbers, texts or booleans."""
    if pa.types.is_dictionary(type):
        type = type.value_type
    is_of = pa.types
    return any(
        is_kind(type)
        for is_kind in (is_of.is_integer, is_of.is_floating, is_of.is_decimal, is_of.is_boolean, is_of.is_null)
    ) or any(is_kind(type) for is_kind in (is_of.is_string, is_of.is_large_string, is_of.is_string_view))


def _list(names: Sequence[str]) -> str:
    return cut(", ".join(name or '""' for name in names), 400)
