"""Finds the columns of a file that are a model's features, and the column of the labels."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from function.classifier.model import Columns, cut
from model.cells import parse_cell
from model.delimited import DelimitedFile
from model.files import FileError, RowFile, check_names, find_repeated, list_names
from model.names import match

NAME_COLUMNS = "put names above the first row"


class Choice(NamedTuple):
    """The columns that are read from a file: one per feature, and that of the labels."""

    features: Sequence[str]
    target: str | None


def choose(
    file: RowFile,
    columns: Columns,
    target: str | None,
    *,
    by_position: bool = False,
    ignore: Collection[str] = (),
    takes_target: bool = True,
) -> Choice:
    """Find the column of each feature by its name or, if requested, by its position.

    Args:
        file: of rows.
        columns: the model's.
        target: the column of the labels, if they are known.
        by_position: the features are the columns in the file's order.
        ignore: columns that are no features.
        takes_target: the command has --target, for messages.

    Raises:
        FileError: one is missing, or that of the labels.
    """
    wanted = [feature.name for feature in columns.features]
    found = match(wanted, [name for name in file.names if name != target and name not in ignore])
    missing = [name for name in wanted if name not in found]
    fix = _advise(file.names, len(wanted), takes_target=takes_target)
    if by_position or missing:
        check_header(file, file.names, fix)
    check_repeated(file, fix)
    others = name_features(file, target, ignore, () if by_position else wanted)
    if not by_position and (features := [name for name in wanted if name == target or name in ignore]):
        options = "--target and --ignore" if takes_target else "--ignore"
        raise FileError(f"{file.path}: expected {options} to be no features, got {list_names(features)}")
    if by_position and len(others) != len(wanted):
        besides = "the column of --target and those of --ignore" if takes_target else "those of --ignore"
        message = f"expected {len(wanted)} columns, as the model takes, besides {besides}"
        raise FileError(f"{file.path}: {message}; got {len(others)}: {list_names(others)}")
    if missing and not by_position:
        raise FileError(f"{file.path}: expected a column for each feature, {_explain_missing(file, missing, others)}")
    return check_types(file, Choice(others if by_position else [found[name] for name in wanted], target))


def _explain_missing(file: RowFile, missing: Sequence[str], others: Sequence[str]) -> str:
    names = [name for name in missing if name not in others] or missing
    if guess := _guess(names, others):
        return f"none is called {list_names(names)}; {guess}"
    fix = "give the columns the features' names, or use --by-position for their order"
    if isinstance(file, DelimitedFile) and all(name.strip().isdigit() for name in file.names):
        fix += ", or --no-header if the first line is a row"
    return f"none is called {list_names(names)}; it has {list_names(file.names)}; {fix}"


def _guess(missing: Sequence[str], names: Sequence[str]) -> str | None:
    """Ask for the columns that are meant, if nothing but case and blanks differ."""
    known = {_fold(name): name for name in names}
    near = [known[_fold(name)] for name in missing if _fold(name) in known]
    if len(near) < len(missing):
        return None
    return f"did you mean {list_names(near)}? Upper and lower case and blanks count"


def _fold(name: str) -> str:
    return "".join(name.casefold().split())


def _advise(names: Sequence[str], n_wanted: int, *, takes_target: bool) -> str:
    """Name the options that read a CSV without a header; the columns that are no numbers are the likeliest labels."""
    if len(names) < n_wanted:
        return f"--no-header is for a file without a header, but it has {len(names)} columns, and the model takes {n_wanted}"
    places = sorted(range(len(names)), key=lambda place: (_is_number(names[place]), -place))[: len(names) - n_wanted]
    options = ["--target" if takes_target and not number else "--ignore" for number in range(len(places))]
    others = [f'{option} "column {place + 1}"' for option, place in zip(options, places, strict=True)]
    example = cut(" ".join(["--no-header", *others]), 200)
    return f"for a file without a header add {'for example ' if others else ''}{example}"


def name_features(
    file: RowFile, target: str | None, ignore: Collection[str], wanted: Collection[str] = ()
) -> list[str]:
    """Return the columns that may be features; an index of pandas is none, unless it is `wanted`.

    Raises:
        FileError: the column of the labels, or one to ignore, is missing.
    """
    for name in (*ignore, *([] if target is None else [target])):
        if name not in file.names:
            check_header(file, file.names)
            fix = _guess([name], file.names) or f"it has {list_names(file.names)}"
            raise FileError(f"{file.path}: no column is called {list_names([name])}; {fix}")
    left_out = {target, *ignore, *(name for name in file.index if name not in wanted)}
    return [name for name in file.names if name not in left_out]


def check_repeated(file: RowFile, fix: str = NAME_COLUMNS) -> None:
    """Refuse columns of the same name; in a CSV without a header they are values that repeat.

    Raises:
        FileError: says that the header is missing, or names the columns.
    """
    if find_repeated(file.names):
        check_header(file, file.names, fix)
    check_names(file.path, file.names)


def check_header(file: RowFile, names: Sequence[str], fix: str = NAME_COLUMNS) -> None:
    """Refuse a CSV whose header is a row of numbers; by position nothing else would show it.

    Whole numbers that ascend are names, as pandas gives them.
    """
    if isinstance(file, DelimitedFile) and (numbers := _find_numbers(names, takes_comma=file.delimiter != ",")):
        raise FileError(f"{file.path}: expected a header with names, got the numbers {list_names(numbers)}; {fix}")


def _find_numbers(names: Sequence[str], *, takes_comma: bool) -> list[str]:
    """Return the names that are no names but the numbers of a row."""
    whole = [int(name) for name in names if name.strip().isdecimal()]
    if len(whole) == len(names) and whole != sorted(set(whole)):
        return list(names)
    return [name for name in names if _is_number(name, takes_comma=takes_comma) and not name.strip().isdecimal()]


def _is_number(cell: str, *, takes_comma: bool = True) -> bool:
    return isinstance(parse_cell(cell, "float64", takes_comma=takes_comma), float)


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
