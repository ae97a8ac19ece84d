"""`python -m model score`: files of any size, with the answers of /predict/batch, whole or not at all."""

import csv
import fcntl
import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from sklearn.datasets import load_iris
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier, load_bytes
from function.scoring.answer import answer as answer_in_the_cloud
from function.scoring.json_table import JsonTable
from function.settings import Settings, shipped_model
from model import footer
from tests.support.command import run
from tests.support.entry_points import ROOT
from tests.support.kinds import GAPS, KINDS
from tests.support.models import penguins

IRIS = shipped_model()
NAMES = load_iris().feature_names
ANSWERS = ["label", "probability_setosa", "probability_versicolor", "probability_virginica"]
PENGUINS = Path(str(files("palmerpenguins") / "data" / "penguins.csv"))
NULL = (
    "null is accepted if the model was trained with missing values: use python -m model describe, or ALLOW_MISSING=true"
)


def score(*arguments: str | Path) -> str:
    result = run("score", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def ask(client: TestClient, rows: Sequence[Sequence[Any]]) -> tuple[np.ndarray, list[str]]:
    """Ask /predict/batch for rows, 10,000 at once, and read its digits as float32."""
    probabilities, labels = [], []
    for start in range(0, len(rows), 10_000):
        body = json.dumps({"data": rows[start : start + 10_000]}).encode()
        answer = client.post("/predict/batch", content=body)
        assert answer.status_code == 200, answer.text
        probabilities.append(np.array(answer.json()["prediction"], dtype=np.float32))
        labels += answer.json()["label"]
    return np.concatenate(probabilities), labels


def served(artifact: bytes) -> TestClient:
    settings = Settings.load({"MAX_BODY_BYTES": "100000000"})
    return TestClient(create_app(settings, load_bytes(artifact, name="brought")))


def iris_table(n_rows: int) -> pa.Table:
    rows = np.random.default_rng(0).uniform(0, 8, (n_rows, 4)).round(1)
    return pa.table({name: rows[:, place] for place, name in enumerate(NAMES)})


def hold(path: Path, probabilities: np.ndarray, labels: Sequence[str], answers: Sequence[str] = ANSWERS) -> None:
    """Check the answers in a file, to the bit."""
    table = read(path)
    found = np.stack([np.asarray(table[name], dtype=np.float32) for name in answers[1:]], axis=1)
    assert found.tobytes() == probabilities.tobytes()
    assert table[answers[0]].to_pylist() == list(labels)


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return parquet.read_table(path)
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        return pa.table(
            {name: frame[name].astype(np.float32) if name.startswith("probability_") else frame[name] for name in frame}
        )
    return pa.Table.from_pylist([json.loads(line) for line in path.read_text().splitlines()])


@pytest.mark.parametrize("name", [*KINDS, *GAPS])
def test_every_kind_of_model_gets_the_answers_of_predict_batch_to_the_bit(name: str, tmp_path: Path) -> None:
    """From Parquet and JSON lines into Parquet, CSV and JSON lines."""
    kind = KINDS[name]() if name in KINDS else GAPS[name]().kind
    (tmp_path / "brought.onnx").write_bytes(kind.artifact)
    client = served(kind.artifact)
    model = load_bytes(kind.artifact, name="brought").model
    rows = (kind.rows * 60)[:3_000]
    names = [feature.name for feature in model.features]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    columns = zip(names, zip(*rows, strict=True), model.columns.types, strict=True)
    parquet.write_table(
        pa.table(
            {
                name: pa.array(values, None if kind in ("string", "bool") else pa.float64())
                for name, values, kind in columns
            }
        ),
        tmp_path / "in.parquet",
    )
    probabilities, labels = ask(client, rows)
    answers = ["label", *(f"probability_{label}" for label in model.labels)]

    for source, target in (("in.parquet", "out.parquet"), ("in.jsonl", "out.csv"), ("in.parquet", "out.jsonl")):
        score(tmp_path / "brought.onnx", tmp_path / source, tmp_path / target, "--keep", "")
        hold(tmp_path / target, probabilities, labels, answers)


def test_an_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    """By position either; in the output only one that has a name, or that is kept by name."""
    table = pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], columns=[*"abcd"], index=[7, 9])
    table.to_parquet(tmp_path / "unnamed.parquet")
    table.rename_axis("id").to_parquet(tmp_path / "named.parquet")

    heads = {}
    for name, *keep in (("unnamed",), ("named",), ("unnamed", "--keep", "__index_level_0__")):
        score(IRIS, tmp_path / f"{name}.parquet", tmp_path / "out.csv", "--by-position", "--overwrite", *keep)
        heads[name, *keep] = (tmp_path / "out.csv").read_text().partition("\n")[0].split(",")

    assert list(heads.values()) == [[*"abcd", *ANSWERS], [*"abcd", "id", *ANSWERS], ["__index_level_0__", *ANSWERS]]


def test_a_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    """Texts to the letter, numbers to the digit, in the columns that are kept; rows/s at the end."""
    text = 'id,petal length (cm),note,sepal length (cm),sepal width (cm),petal width (cm)\n007,1.40,"a, ""b""",5.1,3.5,0.2\n\n008,6.0,plain,6.3,3.3,2.50\n'
    (tmp_path / "in.csv").write_text(text)

    score(IRIS, tmp_path / "in.csv", tmp_path / "all.csv")
    score(IRIS, tmp_path / "in.csv", tmp_path / "some.csv", "--keep", "id,petal width (cm)")

    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        [*text.partition("\n")[0].split(","), *ANSWERS],
        ["007", "1.40", 'a, "b"', "5.1", "3.5", "0.2", "setosa", "0.974183", "0.024898142", "0.00091884134"],
        ["008", "6.0", "plain", "6.3", "3.3", "2.50", "virginica", "0.009675402", "0.020459317", "0.96986526"],
    ]
    assert (tmp_path / "some.csv").read_text() == (
        "id,petal width (cm),label,probability_setosa,probability_versicolor,probability_virginica\n"
        "007,0.2,setosa,0.974183,0.024898142,0.00091884134\n"
        "008,2.50,virginica,0.009675402,0.020459317,0.96986526\n"
    )


BAD = [
    ("5.1,3.5,1.4", "expected 4 cells, as the header has, got 3"),
    ("5.1,3.5,1.4,0.2,9", "expected 4 cells, as the header has, got 5"),
    ("5.1,3.5,x,0.2", '"petal length (cm)": expected a number, got a string'),
    ("5.1,,1.4,0.2", f'"sepal width (cm)": expected a number, got null; {NULL}'),
    ("5.1,NA,1.4,0.2", f'"sepal width (cm)": expected a number, got null; {NULL}'),
    ("5.1,3.5,inf,0.2", '"petal length (cm)": expected a finite number, got Infinity'),
    ("5.1,3.5,1.4,1e39", '"petal width (cm)": expected a finite number, got one beyond float32\'s ±3.403e+38'),
    ("5.1,3.5,1.4,1_0", '"petal width (cm)": expected a number, got a string'),
    ("5.1,3.5,1.4,true", '"petal width (cm)": expected a number, got a string'),
]


def test_rows_that_cant_be_answered_are_listed_by_line(tmp_path: Path) -> None:
    """The others are answered; the status is 2; a file of errors that is of an earlier run goes."""
    good = "5.1,3.5,1.4,0.2"
    lines = [",".join(NAMES), *(line for bad, _ in BAD for line in (good, "", bad)), good]
    (tmp_path / "in.csv").write_text("\r\n".join(lines))

    result = run("score", IRIS, tmp_path / "in.csv", tmp_path / "out.csv", "--keep", "")

    errors = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert errors == [
        {"file": str(tmp_path / "in.csv"), "line": 3 * index + 4, "reason": reason}
        for index, (_, reason) in enumerate(BAD)
    ]
    assert result.returncode == 2
    assert re.fullmatch(
        rf"{tmp_path}/out.csv: 10 of 19 rows answered in .* rows/s; {tmp_path}/out.errors.jsonl says why not the other 9\n",
        result.stdout,
    )
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 11
    (tmp_path / "in.csv").write_text(f"{lines[0]}\n{good}\n")
    score(IRIS, tmp_path / "in.csv", tmp_path / "out.csv", "--overwrite")
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_the_reasons_are_the_services_own(tmp_path: Path, client: TestClient) -> None:
    """Of JSON lines each row's, as /predict/batch says it of that row alone."""
    good: dict[str, Any] = dict(zip(NAMES, [5.1, 3.5, 1.4, 0.2], strict=True))
    wrong: list[Any] = [None, "1", True, 1e39, [], {}, -1e400]
    records = [good | {NAMES[2]: value} for value in wrong]
    text = "".join(f"{json.dumps(record)}\n{json.dumps(good)}\n" for record in records)
    (tmp_path / "in.jsonl").write_text(text + json.dumps(dict.fromkeys(NAMES[1:], 1)) + "\n[1]\nno\n")

    result = run("score", IRIS, tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    errors = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert result.returncode == 2
    assert [error["line"] for error in errors] == [1, 3, 5, 7, 9, 11, 13, 15, 16, 17]
    for error, record in zip(errors, [*records, dict.fromkeys(NAMES[1:], 1)], strict=False):
        body = json.dumps({"data": [record]})
        said = client.post("/predict/batch", content=body).json()["detail"][0]["msg"]
        assert f"row 0, {error['reason']}" == said
    assert errors[-2]["reason"] == f"it has 1 feature; the model takes 4: {', '.join(NAMES)}"
    assert errors[-1]["reason"].startswith("the line isn't valid JSON: ")


@pytest.mark.parametrize("type", ["string", "large_string", "string_view", "dictionary"])
def test_a_column_of_texts_gets_the_treatment_of_texts_in_json(type: str, tmp_path: Path, client: TestClient) -> None:
    """Of Parquet, which has types: a number in a text is refused, as from JSON lines and by /predict/batch; CSV has none."""
    table = iris_table(2).set_column(3, NAMES[3], [["0.2", None]])
    texts = table[NAMES[3]]
    typed = texts.dictionary_encode() if type == "dictionary" else texts.cast(getattr(pa, type)())
    parquet.write_table(table.set_column(3, NAMES[3], typed), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))

    reasons = []
    for name in ("in.parquet", "in.jsonl"):
        assert run("score", IRIS, tmp_path / name, tmp_path / "out.csv", "--keep", "", "--overwrite").returncode == 2
        lines = (tmp_path / "out.errors.jsonl").read_text().splitlines()
        reasons.append([json.loads(line)["reason"] for line in lines])

    said = [client.post("/predict/batch", json={"data": [row]}).json()["detail"][0] for row in table.to_pylist()]
    assert reasons[0] == reasons[1] == [error["msg"].partition(", ")[2] for error in said]
    assert reasons[0][0] == f'"{NAMES[3]}": expected a number, got a string'


GOOD = [5.1, 3.5, 1.4, 0.2]
LINES = {
    "an object": json.dumps(dict(zip(NAMES, GOOD, strict=True))),
    "an object in another order": json.dumps(dict(zip(NAMES[::-1], GOOD[::-1], strict=True))),
    "an object with more": json.dumps({**dict(zip(NAMES, GOOD, strict=True)), "id": 7}),
    "an object with less": json.dumps(dict(zip(NAMES[1:], GOOD, strict=False))),
    "an empty object": "{}",
    "a list": json.dumps(GOOD),
    "a list with spaces around it": f"  {GOOD} \t",
    "a list that is too short": json.dumps(GOOD[:3]),
    "a list that is too long": json.dumps([*GOOD, 1]),
    "a list that is too long by a text": json.dumps([*GOOD, "x"]),
    "an empty list": "[]",
    "a list of lists": json.dumps([GOOD]),
    "a list with a text": '[5.1, 3.5, 1.4, "x"]',
    "a list with null": "[5.1, 3.5, 1.4, null]",
    "a list with NaN": "[5.1, 3.5, 1.4, NaN]",
    "a list with too large a number": "[5.1, 3.5, 1.4, 1e39]",
    "a list with a number of hundreds of digits": f"[5.1, 3.5, 1.4, {10**400}]",
    "an object with a number of hundreds of digits": json.dumps(dict(zip(NAMES, [10**400] * 4, strict=True))),
    "a number": "7",
    "a text": '"setosa"',
    "a boolean": "true",
    "null": "null",
    "no JSON": " [5.1, 3.5",
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_gets_the_same_treatment_as_in_the_cloud(kind: str, tmp_path: Path, classifier: Classifier) -> None:
    """Between two others of JSON: the same answer, or the same reason."""
    text = "\n".join([LINES["an object"], LINES[kind], LINES["a list"]])
    (tmp_path / "in.jsonl").write_text(text)
    (batch,) = JsonTable(io.BytesIO(text.encode()), "in.jsonl", classifier.model).read()
    in_the_cloud = answer_in_the_cloud(classifier, batch.rows, batch.faults)

    result = run("score", IRIS, tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    errors = tmp_path / "out.errors.jsonl"
    found = [json.loads(line) for line in errors.read_text().splitlines()] if errors.exists() else []
    faults = {batch.lines[index]: reason for index, reason in in_the_cloud.faults.items()}
    assert {error["line"]: error["reason"] for error in found} == faults
    assert result.returncode == (2 if faults else 0)
    assert in_the_cloud.prediction is not None
    hold(tmp_path / "out.jsonl", in_the_cloud.prediction.probabilities, ["setosa"] * (3 - len(faults)))
    assert read(tmp_path / "out.jsonl").select(NAMES).to_pylist() == [dict(zip(NAMES, GOOD, strict=True))] * (
        3 - len(faults)
    )


@pytest.mark.parametrize("target", ["out.jsonl", "out.parquet"])
def test_a_refused_row_leaves_the_columns_of_the_others_as_they_are(target: str, tmp_path: Path) -> None:
    """Whatever stands in it: numbers stay numbers, and a feature has the type that the model takes."""
    rows = [{**dict(zip(NAMES, [value, 3, 1, 0], strict=True)), "id": 7} for value in (5, "x", [5], 5.5)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert run("score", IRIS, tmp_path / "in.jsonl", tmp_path / target).returncode == 2

    found = read(tmp_path / target).select([*NAMES, "id"]).to_pylist()
    assert [[float(value) for value in row.values()] for row in found] == [[5, 3, 1, 0, 7], [5.5, 3, 1, 0, 7]]
    assert {type(row[NAMES[0]]) for row in found} == {float}


@pytest.mark.parametrize(("yes", "no"), [("True", "false"), ("1", "0"), ("1.0", "0.0"), ("1,0", "0,0")])
def test_a_boolean_in_a_csv_may_be_1_or_0(yes: str, no: str, tmp_path: Path) -> None:
    """With decimals too, as pandas writes a column of 1 and 0 that has a gap; Parquet has types, and true and false."""
    kind = KINDS["every type"]()
    (tmp_path / "x.onnx").write_bytes(kind.artifact)
    names = [feature.name for feature in load_bytes(kind.artifact, name="x").model.features]
    rows = pd.DataFrame(kind.rows[:50], columns=names)
    cells = rows.assign(**{names[0]: rows[names[0]].map({True: yes, False: no})})
    cells.to_csv(tmp_path / "in.csv", index=False, sep=";", decimal="," if "," in yes else ".", na_rep="")
    rows.assign(**{names[0]: rows[names[0]].astype(int)}).to_parquet(tmp_path / "in.parquet")

    score(tmp_path / "x.onnx", tmp_path / "in.csv", tmp_path / "out.jsonl")
    refused = run("score", tmp_path / "x.onnx", tmp_path / "in.parquet", tmp_path / "out.csv")

    answers = ["label", *(f"probability_{label}" for label in ("False", "True"))]
    hold(tmp_path / "out.jsonl", *ask(served(kind.artifact), kind.rows[:50]), answers)
    assert refused.returncode == 2
    reasons = {json.loads(line)["reason"] for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()}
    assert reasons == {f'"{names[0]}": expected true or false, got a number'}


def test_lists_are_rows_in_the_order_of_the_features(tmp_path: Path) -> None:
    """Of lists alone the columns have the features' names; what no list has, such as a label, is missing."""
    (tmp_path / "lists.jsonl").write_text("".join(f"{row}\n" for row in ([5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5])))
    labelled = dict(zip([*NAMES, "species"], [*GOOD, "setosa"], strict=True))
    (tmp_path / "mixed.jsonl").write_text(f"{GOOD}\n{json.dumps(labelled)}\n{json.dumps([*GOOD, 'unknown'])}\n")

    score(IRIS, tmp_path / "lists.jsonl", tmp_path / "out.csv", "--keep", NAMES[0])
    compared = run("compare", IRIS, IRIS, tmp_path / "lists.jsonl").stdout
    evaluated = run("evaluate", IRIS, tmp_path / "mixed.jsonl", "--target", "species", "--json")
    none = run("evaluate", IRIS, tmp_path / "lists.jsonl", "--target", "species")

    assert [line.rsplit(",", 3)[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
        f"{NAMES[0]},label", "5.1,setosa", "6.3,virginica"
    ]  # fmt: skip
    assert "labels change in 0 rows of 2, " in compared
    found = json.loads(evaluated.stdout)
    assert (found["n_rows"], found["left_out"]["n_rows"]) == (1, 2)
    assert found["left_out"]["reasons"]["it has no label"] == 2
    columns = ", ".join(f'"{name}"' for name in NAMES)
    assert none.stderr == f'FileError: {tmp_path}/lists.jsonl: no column is called "species"; it has {columns}\n'


def test_quoted_line_ends_are_counted_as_lines(tmp_path: Path) -> None:
    """A row is named by the line that it starts in."""
    text = "note," + ",".join(NAMES) + '\n"two\nlines",5.1,3.5,1.4,0.2\n"x\n\n",5.1,3.5,x,0.2\ny,5.1,3.5,1.4,\n'
    (tmp_path / "in.csv").write_text(text)

    run("score", IRIS, tmp_path / "in.csv", tmp_path / "out.csv")

    errors = [json.loads(line)["line"] for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert errors == [4, 7]
    assert read(tmp_path / "out.csv")["note"].to_pylist() == ["two\nlines"]


def test_a_text_that_isnt_utf_8_is_refused_alone(tmp_path: Path) -> None:
    """In a column that is written; one that isn't asked for may be anything."""
    lines = [b"note," + ",".join(NAMES).encode(), b"caf\xe9,5.1,3.5,1.4,0.2", "café,5.1,3.5,1.4,0.2".encode()]
    (tmp_path / "in.csv").write_bytes(b"\n".join(lines))

    result = run("score", IRIS, tmp_path / "in.csv", tmp_path / "out.csv")

    assert result.returncode == 2
    assert json.loads((tmp_path / "out.errors.jsonl").read_text()) == {
        "file": str(tmp_path / "in.csv"), "line": 2, "reason": "expected text in UTF-8"
    }  # fmt: skip
    assert read(tmp_path / "out.csv")["note"].to_pylist() == ["café"]
    score(IRIS, tmp_path / "in.csv", tmp_path / "out.csv", "--keep", "", "--overwrite")


def test_penguins_with_their_gaps(tmp_path: Path) -> None:
    """A real table: 11 rows have gaps, which this model doesn't take."""
    (tmp_path / "penguins.onnx").write_bytes(penguins().artifact)

    result = run("score", tmp_path / "penguins.onnx", PENGUINS, tmp_path / "out.parquet")

    frame = pd.read_csv(PENGUINS)
    gaps = frame.drop(columns="species").isna().any(axis=1)
    errors = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert result.returncode == 2
    assert [error["line"] for error in errors] == [index + 2 for index in frame.index[gaps]]
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 333
    types = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "out.parquet")}
    assert (types["species"], types["bill_length_mm"], types["year"], types["island"]) == (
        "string",
        "double",
        "int64",
        "string",
    )


def test_many_files_become_one(tmp_path: Path) -> None:
    """Globs and folders, of several formats; in the order of their names."""
    table = iris_table(3_000)
    (tmp_path / "in").mkdir()
    for number in range(3):
        part = table.slice(number * 1_000, 1_000)
        if number == 1:
            arrow_csv.write_csv(part, tmp_path / "in" / "1.csv")
        else:
            parquet.write_table(part, tmp_path / "in" / f"{number}.parquet", row_group_size=300)
    (tmp_path / "in" / "notes.txt").write_text("no rows")
    (tmp_path / "in" / "_SUCCESS.csv").write_text("")

    score(IRIS, tmp_path / "in", tmp_path / "folder.parquet")
    score(IRIS, tmp_path / "in" / "*.parquet", tmp_path / "glob.parquet")

    assert parquet.read_table(tmp_path / "folder.parquet").select(NAMES).equals(table)
    assert (
        parquet.read_table(tmp_path / "glob.parquet")
        .select(NAMES)
        .equals(pa.concat_tables([table[:1000], table[2000:]]))
    )


def test_an_answers_columns_get_a_prefix_where_the_input_has_them(tmp_path: Path) -> None:
    """Such as the true label's."""
    parquet.write_table(iris_table(2).append_column("label", pa.array(["a", "b"])), tmp_path / "in.parquet")

    score(IRIS, tmp_path / "in.parquet", tmp_path / "out.parquet")

    assert parquet.read_schema(tmp_path / "out.parquet").names == [
        *NAMES,
        "label",
        *(f"predicted_{n}" for n in ANSWERS),
    ]


@pytest.mark.parametrize("target", ["out.csv", "out.jsonl", "out.parquet"])
def test_columns_of_every_type_are_kept(target: str, tmp_path: Path) -> None:
    """Categories, dates, decimals, large texts; a feature may be a decimal, a whole number or a float32."""
    table = pa.table(
        {
            NAMES[0]: pa.array([Decimal("5.1"), Decimal("6.3")]),
            NAMES[1]: pa.array([3, 3], pa.int8()),
            NAMES[2]: pa.array([1.4, 6.0], pa.float32()),
            NAMES[3]: pa.array(["0.2", "2.5"]).cast(pa.float64()).dictionary_encode(),
            "category": pa.array(["a", None]).dictionary_encode(),
            "text": pa.array(["x", "y"], pa.large_string()),
            "view": pa.array(["x", "y"], pa.string_view()),
            "date": pa.array([date(2026, 11, 22), None]),
        }
    )
    parquet.write_table(table, tmp_path / "in.parquet")

    score(IRIS, tmp_path / "in.parquet", tmp_path / target)

    found = read(tmp_path / target).to_pylist()
    assert [row["label"] for row in found] == ["setosa", "virginica"]
    assert [row["category"] or None for row in found] == ["a", None]
    assert [str(row["date"] or "") for row in found] == ["2026-11-22", ""]
    assert [float(row[NAMES[0]]) for row in found] == [5.1, 6.3]


def test_json_lines_keep_values_of_changing_types(tmp_path: Path) -> None:
    """In JSON lines, as they came; Parquet wants one type, and a column of others says which."""
    good = dict(zip(NAMES, [5.1, 3.5, 1.4, 0.2], strict=True))
    notes: list[Any] = [1] * 20_000 + ["a", None, 0.5]
    lines = "".join(json.dumps({**good, "note": note}) + "\n" for note in notes)
    (tmp_path / "in.jsonl").write_text(lines)

    score(IRIS, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--keep", "note")
    result = run("score", IRIS, tmp_path / "in.jsonl", tmp_path / "out.parquet")

    first, *_, text, none, number = (
        json.loads(line)["note"] for line in (tmp_path / "out.jsonl").read_text().splitlines()
    )
    assert (first, json.loads(text), none, number) == (1, "a", None, "0.5")
    assert result.returncode == 1
    assert "expected int64 in column note, as the rows before have, got string from line " in result.stderr


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    """With one line, and nothing written."""
    (tmp_path / "in.csv").write_text(f"{','.join(NAMES)}\n5.1,3.5,1.4,0.2\n5.1,3.5,1.4,\n")

    result = run("score", IRIS, tmp_path / "in.csv", tmp_path / "out.csv", "--strict")

    message = f'FileError: {tmp_path}/in.csv, line 3: "petal width (cm)": expected a number, got null; {NULL}\n'
    assert (result.returncode, result.stderr, result.stdout) == (1, message, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


def no_file(folder: Path) -> tuple[list[Path | str], str]:
    return [folder / "none.csv", folder / "out.csv"], f"{folder}/none.csv: there is no such file"


def no_match(folder: Path) -> tuple[list[Path | str], str]:
    return [folder / "*.csv", folder / "out.csv"], f"{folder}/*.csv: there is no file of such a name"


def empty(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text("")
    return [folder / "in.csv", folder / "out.csv"], f"{folder}/in.csv: expected rows, got an empty file"


def no_parquet(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.parquet").write_text("no Parquet")
    return [folder / "in.parquet", folder / "out.csv"], f"{folder}/in.parquet: can't be read; "


def no_column(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text("a,b\n1,2\n")
    names = ", ".join(f'"{name}"' for name in NAMES)
    message = f'expected a column for each feature, none is called {names}; it has "a", "b"; '
    return [folder / "in.csv", folder / "out.csv"], f"{folder}/in.csv: {message}"


def twice(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text("a,b,a\n1,2,3\n")
    return [
        folder / "in.csv",
        folder / "out.csv",
    ], f'{folder}/in.csv: expected columns of different names, got "a" more than once'


def other_format(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text(",".join(NAMES) + "\n1,2,3,4\n")
    expected = "expected a name that ends in .csv, .tsv, .jsonl, .ndjson, .parquet"
    return [folder / "in.csv", folder / "out.xlsx"], f"{folder}/out.xlsx: {expected}"


def onto_itself(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text(",".join(NAMES) + "\n1,2,3,4\n")
    return [
        folder / "in.csv",
        folder / "in.csv",
    ], f"{folder}/in.csv: expected another file for the output than the inputs"


def no_folder(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text(",".join(NAMES) + "\n1,2,3,4\n")
    return [folder / "in.csv", folder / "none" / "out.csv"], f"{folder}/none/out.csv: can't be written (No such file"


def open_quote(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv").write_text(",".join(NAMES) + '\n1,2,3,4\n"' + "x" * (17 << 20))
    return [folder / "in.csv", folder / "out.csv"], f"{folder}/in.csv: line 3: a quoted field is never closed"


def no_json(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.jsonl").write_text('"text"\n')
    return (
        [
            folder / "in.jsonl",
            folder / "out.csv",
        ],
        f"{folder}/in.jsonl: expected a row of JSON in each line; line 1: expected an object of features or a list of numbers",
    )


def one_list(folder: Path) -> tuple[list[Path | str], str]:
    pd.DataFrame([GOOD] * 9, columns=NAMES).to_json(folder / "in.jsonl", orient="records")
    message = "expected one object a line, got a list of objects; pandas writes one a line with lines=True"
    return [folder / "in.jsonl", folder / "out.csv"], f"{folder}/in.jsonl, line 1: {message}"


def one_long_list(folder: Path) -> tuple[list[Path | str], str]:
    rows = ", ".join([json.dumps(dict.fromkeys(NAMES, 1))] * 200_000)
    (folder / "in.jsonl").write_text(f"[{rows}]")
    message = "expected one object a line, got a list of objects; pandas writes one a line with lines=True"
    return [folder / "in.jsonl", folder / "out.csv"], f"{folder}/in.jsonl, line 1: {message}"


def a_list_over_lines(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.jsonl").write_text(f"[\n  {GOOD},\n  {GOOD}\n]\n")
    return [
        folder / "in.jsonl",
        folder / "out.csv",
    ], f"{folder}/in.jsonl, line 1: expected one row a line, got a list of lists"


def a_long_line(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.jsonl").write_text('{"a": "' + "x" * (17 << 20))
    return [folder / "in.jsonl", folder / "out.csv"], f"{folder}/in.jsonl: line 1: it has more than 16 MiB"


def no_gzip(folder: Path) -> tuple[list[Path | str], str]:
    (folder / "in.csv.gz").write_text("no gzip")
    return [folder / "in.csv.gz", folder / "out.csv"], f"{folder}/in.csv.gz: can't be read; "


def dates(folder: Path) -> tuple[list[Path | str], str]:
    columns = dict.fromkeys(NAMES, pa.array([date(2026, 11, 22)]))
    parquet.write_table(pa.table(columns), folder / "in.parquet")
    message = f"expected numbers, texts or booleans in column {NAMES[0]}, got date32[day]"
    return [folder / "in.parquet", folder / "out.csv"], f"{folder}/in.parquet: {message}"


CASES = [
    dates,
    no_file,
    no_match,
    empty,
    no_parquet,
    no_column,
    twice,
    other_format,
    onto_itself,
    no_folder,
    open_quote,
    no_json,
    one_list,
    one_long_list,
    a_list_over_lines,
    a_long_line,
    no_gzip,
]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_bad_input_of_each_kind_gets_one_clear_line(make: Any, tmp_path: Path) -> None:
    """That names the file; nothing is written under the output's name."""
    arguments, message = make(tmp_path)

    result = run("score", IRIS, *arguments)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"FileError: {message}")
    assert result.stderr.count("\n") == 1
    assert not [path for path in tmp_path.glob("out*") if not path.name.endswith((".partial", ".journal"))]


def test_another_run_cant_be_gone_on_with(tmp_path: Path) -> None:
    """Neither with another model, nor with a file that has changed; nor may two runs write one file."""
    parquet.write_table(iris_table(10), tmp_path / "in.parquet")
    (tmp_path / "out.csv.journal").write_text('{"model": "another"}\n')
    (tmp_path / "out.csv.partial").write_text("")
    arguments = [IRIS, tmp_path / "in.parquet", tmp_path / "out.csv"]

    message = "expected the model, the files and the options of the run before; start again without --resume"
    assert run("score", *arguments, "--resume").stderr == f"FileError: {tmp_path}/out.csv: {message}\n"
    with (tmp_path / "out.csv.partial").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run("score", *arguments).stderr == f"FileError: {tmp_path}/out.csv: another run is writing it\n"
    score(*arguments)


REPLACES = "name another output, or replace it with --overwrite"


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_a_file_that_exists_is_no_output(option: list[str], tmp_path: Path) -> None:
    """Such as the last of the names that a shell makes of a glob; unless it may be replaced."""
    arrow_csv.write_csv(iris_table(3), tmp_path / "jan.csv")
    arrow_csv.write_csv(iris_table(2), tmp_path / "feb.csv")
    before = (tmp_path / "feb.csv").read_bytes()

    result = run("score", IRIS, tmp_path / "jan.csv", tmp_path / "feb.csv", *option)

    message = f"{tmp_path}/feb.csv: the last name is the output, and this file exists already; {REPLACES}"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"FileError: {message}\n")
    assert (tmp_path / "feb.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feb.csv", "jan.csv"]
    score(IRIS, tmp_path / "jan.csv", tmp_path / "feb.csv", *option, "--overwrite")
    assert len((tmp_path / "feb.csv").read_text().splitlines()) == 4


def test_a_file_of_errors_that_exists_is_kept(tmp_path: Path) -> None:
    """It may be of another run: out.csv and out.parquet have the same."""
    arrow_csv.write_csv(iris_table(3), tmp_path / "in.csv")
    (tmp_path / "out.errors.jsonl").write_text("mine\n")

    result = run("score", IRIS, tmp_path / "in.csv", tmp_path / "out.parquet")

    message = f"{tmp_path}/out.errors.jsonl: this file of rows that weren't answered exists already; {REPLACES}"
    assert (result.returncode, result.stderr) == (1, f"FileError: {message}\n")
    assert (tmp_path / "out.errors.jsonl").read_text() == "mine\n"


def test_a_run_that_is_resumed_may_replace_what_it_was_allowed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without saying so again."""
    arrow_csv.write_csv(iris_table(3), tmp_path / "in.csv")
    (tmp_path / "out.csv").write_text("old\n")
    arguments = [IRIS, tmp_path / "in.csv", tmp_path / "out.csv"]

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("model.output.Output.publish", kill)
        assert run("score", *arguments, "--overwrite").returncode == 130
    assert (tmp_path / "out.csv").read_text() == "old\n"

    score(*arguments, "--resume")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


def test_the_time_left_is_told_in_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every ten seconds, here at once."""
    monkeypatch.setattr("model.progress.LINE_SECONDS", 0)
    parquet.write_table(iris_table(500_000), tmp_path / "in.parquet")

    result = run("score", IRIS, tmp_path / "in.parquet", tmp_path / "out.parquet")

    lines = result.stderr.splitlines()
    assert len(lines) == 9
    assert all(re.fullmatch(r"\d+% done, [\d,]+ rows, [\d,]+ rows/s, [\d:]+ left", line) for line in lines), lines
    assert lines[-1].startswith("100% done, 500,000 rows, ")


def test_a_terminal_has_a_bar(tmp_path: Path) -> None:
    """With the rows, their rate, and the time left."""
    parquet.write_table(iris_table(500_000), tmp_path / "in.parquet")
    command = f"{sys.executable} -m model score {IRIS} {tmp_path}/in.parquet {tmp_path}/out.csv"

    result = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert re.search(r"\d+ % [^\r\n]+ [\d,]+ rows, [\d,]+ rows/s, [\d:]+ left", result.stdout), result.stdout


def test_parts_of_parquet_are_one_file_to_other_readers(tmp_path: Path) -> None:
    """Its offsets lead to each column of each part, nested ones too; page indexes with them."""
    parts = [
        pa.table({"number": pa.array(range(n)), "text": ["a", None] * (n // 2), "list": [[1, 2], []] * (n // 2)})
        for n in (1_000, 10, 70_000)
    ]
    content, feet = bytearray(footer.MAGIC), []
    for part in parts:
        written = pa.BufferOutputStream()
        parquet.write_table(part, written, write_page_index=True)
        taken = footer.split(memoryview(written.getvalue()))
        feet.append(footer.move(taken.footer, len(content) - 4))
        content += taken.content
    (tmp_path / "joined.parquet").write_bytes(content + footer.join(feet))

    assert parquet.read_table(tmp_path / "joined.parquet").equals(pa.concat_tables(parts))
    last = parquet.read_table(tmp_path / "joined.parquet", filters=[("number", ">", 69_990)])
    assert last["number"].to_pylist() == list(range(69_991, 70_000))
