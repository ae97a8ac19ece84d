"""How a CSV's cells are read in scoring in bulk."""

import pytest

from function.scoring.values import read_cells


@pytest.mark.parametrize("takes_missing", [True, False])
def test_an_empty_cell_is_no_text_of_a_choice(*, takes_missing: bool) -> None:
    """The check of values refuses null; an encoder that ignores unknown texts would answer an empty text."""
    cells = read_cells(["male", "", "NA", "x"], "string", takes_missing=takes_missing, known=("male", "female"))

    assert cells == ["male", None, None, "x"]


def test_a_text_that_the_model_knows_is_itself() -> None:
    """Even if it usually marks a missing value."""
    assert read_cells(["NA", "", "null"], "string", takes_missing=True, known=("NA", "")) == ["NA", "", None]


@pytest.mark.parametrize(("takes_missing", "expected"), [(True, [None, "so so"]), (False, ["", "so so"])])
def test_a_column_of_any_text(*, takes_missing: bool, expected: list[str | None]) -> None:
    """Has empty ones, unless a value may be missing."""
    assert read_cells(["", "so so"], "string", takes_missing=takes_missing, known=None) == expected


def test_booleans_in_any_case() -> None:
    """As pandas, R and databases write them."""
    cells = ["True", "FALSE", "tRUE", " 0 ", "1", "", "yes"]

    assert read_cells(cells, "bool", takes_missing=False, known=None) == [True, False, True, False, True, None, "yes"]
