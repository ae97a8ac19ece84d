"""Files that are scored in bulk: what their cells and lines mean, and what is written. S3 is left to tests/e2e."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from function.classifier import Classifier, Model
from function.errors import ObjectError
from function.scoring.answer import answer
from function.scoring.csv_table import CsvTable
from function.scoring.json_table import JsonTable
from function.scoring.table import LONGEST, Table, count_batch
from function.scoring.values import read_cells
from tests.support.iris import FEATURES

HEADER = ",".join(FEATURES)
ROW = "5.1,3.5,1.4,0.2"
ANSWERED = "setosa,0.974183,0.024898142,0.00091884134"
ANSWERS = "label,probability_setosa,probability_versicolor,probability_virginica"
TAKES = f"the model takes 4: {', '.join(FEATURES)}"
Open = Callable[[io.BytesIO, str, Model], Table]


def score(classifier: Classifier, open_: Open, content: str | bytes) -> tuple[str, dict[int, str]]:
    """Give what is written of a file, and line -> why that one isn't answered."""
    file = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    table = open_(file, "rows", classifier.model)
    written, refused = [table.write_head()], dict[int, str]()
    for lines, contents, rows, known in table.read():
        kept, prediction, faults = answer(classifier, rows, known)
        refused |= {lines[index]: fault for index, fault in faults.items()}
        if prediction is not None:
            labels = classifier.name_classes(prediction)
            written.append(table.write([contents[index] for index in kept], labels, prediction))
    return b"".join(written).decode(), dict(sorted(refused.items()))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_keeps_its_form(delimiter: str, end: str, classifier: Classifier) -> None:
    """Its delimiter, line ends and other columns; the answers come behind them, empty lines and the mark are gone."""
    lines = (f"id,{HEADER}", f"a,{ROW}", "", f"b,{ROW}")
    found = score(classifier, CsvTable, "\ufeff" + end.join(lines).replace(",", delimiter))

    expected = (f"id,{HEADER},{ANSWERS}", f"a,{ROW},{ANSWERED}", f"b,{ROW},{ANSWERED}", "")
    assert found == (end.join(expected).replace(",", delimiter), {})


def test_a_column_of_numbers_may_be_true_and_false(classifier: Classifier) -> None:
    """If the model was trained on these there."""
    columns = classifier.model.columns
    features = (*columns.features[:3], columns.features[3].model_copy(update={"boolean": True}))
    taking = Classifier(classifier.session, replace(classifier.model, columns=replace(columns, features=features)))
    rows = ["5.1,3.5,1.4,True", "5.1,3.5,1.4,1", "5.1,3.5,1.4,yes"]

    lines, refused = score(taking, CsvTable, "\n".join([HEADER, *rows]))

    first, second = [line.split(",")[4:] for line in lines.splitlines()[1:]]
    assert first == second
    assert refused == {4: '"petal width (cm)": expected a number, true or false, got a string'}
    assert score(classifier, CsvTable, f"{HEADER}\n{rows[0]}")[1] == {
        2: '"petal width (cm)": expected a number, got a string'
    }


def test_refused_rows_of_a_csv_are_named_by_their_lines(classifier: Classifier) -> None:
    """A line break in a cell, and empty lines, count; each reason is that of /predict/batch."""
    rows = f'id,{HEADER}\n"a\nb",{ROW}\n\nc,5.1,3.5,1.4,x\nd,5.1\n"e\nf",{ROW}\ng,5.1,3.5,1.4,1e39\n'

    written, refused = score(classifier, CsvTable, rows)

    assert written == f'id,{HEADER},{ANSWERS}\n"a\nb",{ROW},{ANSWERED}\n"e\nf",{ROW},{ANSWERED}\n'
    assert refused == {
        5: '"petal width (cm)": expected a number, got a string',
        6: "expected 5 cells, as the header has, got 2",
        9: '"petal width (cm)": expected a finite number, got one beyond float32\'s ±3.403e+38',
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"rows: expected a header with the model's features, 4: {', '.join(FEATURES)}; the file is empty"),
        (
            "a,b\n",
            f"rows: expected a header with the model's features, 4: {', '.join(FEATURES)}; missing: {', '.join(FEATURES)}",
        ),
        (f"{HEADER},{FEATURES[0]}\n", f"rows: expected {FEATURES[0]} once in its header, got it more often"),
        (b"\xff\n", "rows, line 1: expected UTF-8, got other bytes"),
        (f"{HEADER}\n{ROW}\n".encode() + b"\xff\n", "rows, line 3: expected UTF-8, got other bytes"),
        (f'{HEADER}\n"a"b,1,2,3\n', "rows, line 2: expected CSV; ',' expected after '\"'"),
        ("x" * LONGEST, f"rows, line 1: expected lines of less than {LONGEST:,} bytes, got a longer one"),
    ],
    ids=["empty", "other names", "a name twice", "no text", "no text later", "quotes", "a long line"],
)
def test_a_csv_that_cant_be_read_says_why(content: str | bytes, message: str, classifier: Classifier) -> None:
    """As a whole, for the rest can't be trusted."""
    with pytest.raises(ObjectError) as caught:
        score(classifier, CsvTable, content)

    assert str(caught.value) == message


def test_a_wide_row_makes_small_batches(classifier: Classifier) -> None:
    """Batches have 2,000 rows, and less of what would take much memory."""
    content = f"{HEADER}\n" + f"{ROW}\n" * 4_001
    table = CsvTable(io.BytesIO(content.encode()), "rows", classifier.model)

    assert count_batch(classifier.model.columns) == 2_000
    assert [len(batch.rows) for batch in table.read()] == [2_000, 2_000, 1]


def test_json_lines_keep_their_keys(classifier: Classifier) -> None:
    """A list becomes an object; empty lines are gone."""
    row = dict(zip(FEATURES, [5.1, 3.5, 1.4, 0.2], strict=True))
    found = score(classifier, JsonTable, f"{json.dumps({'id': 7, **row})}\n\n[{ROW}]\n")

    answered = dict(zip(ANSWERS.split(","), ["setosa", 0.974183, 0.024898142, 0.00091884134], strict=True))
    assert [json.loads(line) for line in found[0].splitlines()] == [{"id": 7, **row, **answered}, {**row, **answered}]
    assert found[1] == {}


def test_json_lines_have_keys_by_the_names_of_answers(classifier: Classifier) -> None:
    """Of the first object: the answers' get a prefix. Of a later one: it is refused."""
    row = dict(zip(FEATURES, [5.1, 3.5, 1.4, 0.2], strict=True))
    lines = [{**row, "label": "mine"}, {**row, "predicted_label": "x"}]

    written, refused = score(classifier, JsonTable, "\n".join(map(json.dumps, lines)))

    assert (json.loads(written)["label"], json.loads(written)["predicted_label"]) == ("mine", "setosa")
    names = ", ".join(f"predicted_{name}" for name in ANSWERS.split(","))
    assert refused == {2: f"expected no keys with the answer's names, {names}"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[{"a": 1}, {"a": 2}]',
            "expected one object a line, got a list of objects; pandas writes one a line with lines=True",
        ),
        (
            '[\n{"a": 1},\n{"a": 2}\n]',
            "expected one object a line, got a list of objects; pandas writes one a line with lines=True",
        ),
        ("[[1, 2, 3, 4], [1, 2, 3, 4]]", "expected one row a line, got a list of lists"),
    ],
)
def test_one_list_of_all_rows_is_no_json_lines(content: str, message: str, classifier: Classifier) -> None:
    """The object as a whole is refused."""
    with pytest.raises(ObjectError) as caught:
        score(classifier, JsonTable, content)

    assert str(caught.value) == f"rows, line 1: {message}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "the line isn't valid JSON: EOF while parsing an object at line 1 column 1"),
        ("null", f"expected an object of features or a list of numbers, got null; {TAKES}"),
        ('"x"', f"expected an object of features or a list of numbers, got a string; {TAKES}"),
        ("{}", f'"{FEATURES[0]}": it is missing; {TAKES}'),
    ],
)
def test_lines_that_are_no_rows(line: str, reason: str, classifier: Classifier) -> None:
    """Are refused, and the lines around them answered."""
    written, refused = score(classifier, JsonTable, f"[{ROW}]\n{line}\n[{ROW}]\n")

    assert [json.loads(line)["label"] for line in written.splitlines()] == ["setosa"] * 2
    assert refused == {2: reason}


@pytest.mark.parametrize(
    "line", ["[5.1, 3.5, 1.4]", "[5.1, 3.5, 1.4, 0.2, 1]", "[]", "[5.1, 3.5, 1.4, true]", "[NaN, 3.5, 1.4, 0.2]"]
)
def test_a_line_is_refused_in_the_words_of_predict_batch(line: str, classifier: Classifier, client: TestClient) -> None:
    """But for the number of the row, which the file's line says."""
    response = client.post("/predict/batch", content=f'{{"data": [[{ROW}], {line}]}}')

    (detail,) = response.json()["detail"]
    reason = re.sub("^row 1[,:]? ", "it " if "row 1 has" in detail["msg"] else "", detail["msg"])
    assert score(classifier, JsonTable, f"[{ROW}]\n{line}\n")[1] == {2: reason}


@pytest.mark.parametrize("takes_missing", [True, False])
def test_an_empty_cell_is_no_text_of_a_choice(*, takes_missing: bool) -> None:
    """Whoever judges it refuses null; an encoder that ignores what it doesn't know would answer an empty text."""
    cells = read_cells(["male", "", "NA", "x"], "string", takes_missing=takes_missing, known=("male", "female"))

    assert cells == ["male", None, None, "x"]


def test_a_text_that_the_model_knows_is_itself() -> None:
    """Though others write it for a value that is missing."""
    assert read_cells(["NA", "", "null"], "string", takes_missing=True, known=("NA", "")) == ["NA", "", None]


@pytest.mark.parametrize(("takes_missing", "expected"), [(True, [None, "so so"]), (False, ["", "so so"])])
def test_a_column_of_any_text(*, takes_missing: bool, expected: list[str | None]) -> None:
    """Has empty ones, unless a value may be missing."""
    assert read_cells(["", "so so"], "string", takes_missing=takes_missing, known=None) == expected


def test_booleans_with_decimals() -> None:
    """As pandas writes a column of 1 and 0 that has a gap."""
    cells = ["1.0", "0.0", "", "2.0"]
    assert read_cells(cells, "bool", takes_missing=False, known=None) == [True, False, None, "2.0"]


def test_booleans_in_any_case() -> None:
    """As pandas, R and databases write them."""
    cells = ["True", "FALSE", "tRUE", " 0 ", "1", "", "yes"]

    assert read_cells(cells, "bool", takes_missing=False, known=None) == [True, False, True, False, True, None, "yes"]


def test_booleans_among_numbers() -> None:
    """Where the model was trained on them."""
    cells = ["True", "false", "1", "0.5", "yes", ""]

    found = read_cells(cells, "float32", takes_missing=False, known=None, takes_booleans=True)

    assert found == [True, False, 1.0, 0.5, "yes", None]
