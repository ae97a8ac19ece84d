"""Finds the columns of a file that are a model's features, and the column of the labels."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from function.classifier.model import Columns, cut
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
    for name in (*ignore, *([] if target is None else [target])):
        if name not in file.names:
            raise FileError(f"{file.path}: no column is called {name}; it has {_list(file.names)}")
    others = [name for name in file.names if name != target and name not in ignore]
    if by_position:
        if len(others) != len(wanted):
            message = f"expected {len(wanted)} columns, as the model takes, besides --target and --ignore"
            raise FileError(f"{file.path}: {message}; got {len(others)}: {_list(others)}")
        return _check_types(file, Choice(others, target))
    found = match(wanted, others)
    if missing := [name for name in wanted if name not in found]:
        message = f"expected a column for each feature, none is called {_list(missing)}; it has {_list(file.names)}"
        fix = "give the columns the features' names, or use --by-position for their order"
        raise FileError(f"{file.path}: {message}; {fix}")
    return _check_types(file, Choice([found[name] for name in wanted], target))


def _check_types(file: RowFile, choice: Choice) -> Choice:
    """Refuse columns of types that no feature has."""
    for name in choice.features:
        if (type := file.types.get(name)) is not None and not _is_value(type):
            raise FileError(f"{file.path}: expected numbers, texts or booleans in column {name}, got {type}")
    return choice


def _is_value(type: pa.DataType) -> bool:
    if pa.types.is_dictionary(type):
        type = type.value_type
    is_of = pa.types
    return any(
        is_kind(type)
        for is_kind in (is_of.is_integer, is_of.is_floating, is_of.is_decimal, is_of.is_boolean, is_of.is_null)
    ) or any(is_kind(type) for is_kind in (is_of.is_string, is_of.is_large_string, is_of.is_string_view))


def _list(names: Sequence[str]) -> str:
    return cut(", ".join(name or '""' for name in names), 400)
