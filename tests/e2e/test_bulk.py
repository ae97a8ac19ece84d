"""The built package's bulk entry point, under AWS's runtime emulator, against a mock of S3 over HTTP."""

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import load
from function.settings import Settings
from model.export import export
from tests.support.bulk import INPUT, OUTPUT, Bulk, event, get, keys, make_buckets, put
from tests.support.mock_cloud import mock_cloud

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
HEADER = ",".join(NAMES)
ANSWERS = ["label", "probability_setosa", "probability_versicolor", "probability_virginica"]
ROW = [5.1, 3.5, 1.4, 0.2]
ANSWERED = "setosa,0.974183,0.024898142,0.00091884134"  # as the README has it


@pytest.fixture(scope="module", autouse=True)
def cloud() -> Iterator[None]:
    with mock_cloud():
        make_buckets()
        yield


@pytest.fixture(scope="module")
def package(sam_build: Path) -> Path:
    return sam_build / "BulkFunction"


@pytest.fixture(scope="module")
def bulk(cloud: None, runtime: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bulk]:
    with Bulk.start(runtime, package, tmp_path_factory.mktemp("bulk") / "log") as bulk:
        yield bulk


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers and texts with gaps, as the README exports them."""
    path = tmp_path_factory.mktemp("penguins") / "penguins.onnx"
    table = load_penguins()
    X, y = table.drop(columns="species"), table["species"]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), X.select_dtypes("number").columns),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["island", "sex"]),
    )
    export(make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, y), X, y, path)
    return path


def to_csv(rows: Sequence[Sequence[Any]], header: str = HEADER) -> str:
    return "".join(f"{line}\n" for line in (header, *(",".join(map(str, row)) for row in rows)))


def to_json_lines(rows: Sequence[Sequence[Any]]) -> str:
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows)


def answers_of(client: TestClient, rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[str]]:
    """Labels and digits of /predict/batch."""
    body = client.post("/predict/batch", json={"data": rows}).text
    found = re.fullmatch(r'\{"prediction":\[\[(.*)\]\],"label":(\[.*\])\}', body)
    assert found, body
    return json.loads(found[2]), found[1].split("],[")


def refusal_of(client: TestClient, row: object) -> str:
    """What /predict/batch says of a row, without which one it is."""
    (detail,) = client.post("/predict/batch", content=json.dumps({"data": [row]})).json()["detail"]
    return re.sub(r"^row 0(, |: )?", "", detail["msg"]).removeprefix(" ").replace("has ", "it has ", 1)


def errors_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in get(f"scored/{name}.errors.jsonl").splitlines()]


def counts(rows: int, refused: int = 0, *, name: str, is_skipped: bool = False) -> dict[str, Any]:
    """What the function answers."""
    return {
        "source": f"s3://{INPUT}/rows/{name}",
        "output": f"s3://{OUTPUT}/scored/{name}",
        "rows": rows,
        "answered": rows - refused,
        "refused": refused,
        "is_skipped": is_skipped,
        "done": 1,
    }


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz", "all.tsv", "2026/all.CSV"])
def test_a_csv_gets_the_answers_of_predict_batch(
    name: str, bulk: Bulk, client: TestClient, iris: NDArray[np.float64]
) -> None:
    """To the digit, behind its own columns, compressed as it was."""
    delimiter = "\t" if name.endswith("tsv") else ","
    rows = np.tile(iris, (20, 1)).tolist()  # more than a batch
    content = to_csv([[index, *row, "a note"] for index, row in enumerate(rows)], f"id,{HEADER},note")
    content = content.replace(",", delimiter)

    answer = bulk.score(name, gzip.compress(content.encode()) if name.endswith("gz") else content)

    assert answer == counts(3000, name=name)
    head, *lines = get(f"scored/{name}").decode().splitlines()
    assert head.split(delimiter) == ["id", *NAMES, "note", *ANSWERS]
    labels, digits = answers_of(client, rows)
    expected = zip(content.splitlines()[1:], labels, digits, strict=True)
    assert lines == [delimiter.join([line, label, *digit.split(",")]) for line, label, digit in expected]
    assert get(f"scored/{name}.errors.jsonl") == b""


@pytest.mark.parametrize("name", ["all.jsonl", "all.ndjson.gz"])
def test_json_lines_get_the_answers_of_predict_batch(
    name: str, bulk: Bulk, client: TestClient, iris: NDArray[np.float64]
) -> None:
    """As keys behind their own, which may be others than the features; a list becomes an object; a BOM is left out."""
    rows = np.tile(iris, (20, 1)).tolist()
    objects = [{"id": {"of": [index]}, **dict(zip(NAMES, row, strict=True))} for index, row in enumerate(rows[:-1])]
    content = "\ufeff" + "".join(f"{json.dumps(line)}\n" for line in [*objects, rows[-1]])

    answer = bulk.score(name, gzip.compress(content.encode()) if name.endswith("gz") else content)

    assert answer == counts(3000, name=name)
    labels, digits = answers_of(client, rows)
    for line, content_, label, digit in zip(
        get(f"scored/{name}").decode().splitlines(), [*objects, dict(zip(NAMES, rows[-1], strict=True))], labels, digits, strict=True
    ):  # fmt: skip
        found = json.loads(line, parse_float=str)
        assert {key: found.pop(key) for key in ANSWERS} == dict(zip(ANSWERS, [label, *digit.split(",")], strict=True))
        assert found == json.loads(json.dumps(content_), parse_float=str)


def test_a_windows_csv_stays_one(bulk: Bulk) -> None:
    """A byte order mark, semicolons, ends of lines, quotes with line breaks, empty lines, a column named as an answer."""
    content = '\ufeffnote;label;{}\r\n"a ""b""; c\r\nd";x;5.1;3.5;1.4;0.2\r\n\r\n;y; 5.1 ;+3.5;1.40;.2'

    assert bulk.score("windows.csv", content.format(HEADER.replace(",", ";"))) == counts(2, name="windows.csv")
    head, *rest = get("scored/windows.csv").decode().split("\r\n")
    assert head.split(";") == ["note", "label", *NAMES, *(f"predicted_{name}" for name in ANSWERS)]
    answered = ANSWERED.replace(",", ";")
    assert rest == ['"a ""b""; c', f'd";x;5.1;3.5;1.4;0.2;{answered}', f";y; 5.1 ;+3.5;1.40;.2;{answered}", ""]


BAD_ROWS: dict[str, tuple[Any, Any]] = {  # a CSV's last cell, the same value in JSON
    "a text": ("x", "x"),
    "two numbers": ('"0,2"', "0,2"),
    "underscores": ("1_0", "1_0"),
    "nothing": ("", None),
    "NA": ("NA", None),
    "too large": ("1e39", 1e39),
    "hundreds of digits": ("9" * 400, float("inf")),
    "Infinity": ("-inf", float("-inf")),
    "a boolean": ("true", "true"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_refused_in_the_words_of_predict_batch(kind: str, bulk: Bulk, client: TestClient) -> None:
    """With its file and line; the rows around it are answered."""
    cell, value = BAD_ROWS[kind]
    expected = {"file": f"s3://{INPUT}/rows/bad.csv", "line": 3, "reason": refusal_of(client, [*ROW[:3], value])}

    answer = bulk.score("bad.csv", to_csv([ROW, [*ROW[:3], cell], ROW]))

    assert answer == counts(3, 1, name="bad.csv")
    assert errors_of("bad.csv") == [expected]
    assert get("scored/bad.csv").decode().splitlines()[1:] == [f"5.1,3.5,1.4,0.2,{ANSWERED}"] * 2


BAD_LINES: dict[str, Any] = {
    "a text": [*ROW[:3], "x"],
    "a boolean": [*ROW[:3], True],
    "null": [*ROW[:3], None],
    "a list": [*ROW[:3], [0.2]],
    "too few": ROW[:3],
    "too many": [*ROW, 1],
    "NaN": [*ROW[:3], float("nan")],
    "too large": [*ROW[:3], 1e39],
    "an empty list": [],
    "one name is missing": dict(zip(NAMES[:3], ROW[:3], strict=True)),
    "an empty object": {},
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_refused_in_the_words_of_predict_batch(kind: str, bulk: Bulk, client: TestClient) -> None:
    """With its file and line; the lines around it are answered."""
    expected = {
        "file": f"s3://{INPUT}/rows/bad.jsonl",
        "line": 3,  # the second is empty
        "reason": refusal_of(client, BAD_LINES[kind]),
    }

    answer = bulk.score("bad.jsonl", f"{to_json_lines([ROW])}\n{json.dumps(BAD_LINES[kind])}\n{to_json_lines([ROW])}")

    assert answer == counts(3, 1, name="bad.jsonl")
    assert errors_of("bad.jsonl") == [expected]
    assert [json.loads(line)["label"] for line in get("scored/bad.jsonl").splitlines()] == ["setosa"] * 2


def test_lines_and_cells_that_are_no_rows_are_refused(bulk: Bulk) -> None:
    """Each in one line; their order is the file's."""
    takes = f"the model takes 4: {', '.join(NAMES)}"
    lines = [
        "{",
        '"text"',
        "7",
        "[1, 2",
        '{"label": 1, "sepal length (cm)": 1}',
        to_json_lines([ROW]).strip()[:-1] + ', "label": 1}',
    ]

    assert bulk.score("no rows.jsonl", to_json_lines([ROW]) + "\n".join(lines)) == counts(7, 6, name="no rows.jsonl")
    assert [(error["line"], error["reason"]) for error in errors_of("no rows.jsonl")] == [
        (2, "the line isn't valid JSON: EOF while parsing an object at line 1 column 1"),
        (3, f"expected an object of features or a list of numbers, got a string; {takes}"),
        (4, f"expected an object of features or a list of numbers, got a number; {takes}"),
        (5, "the line isn't valid JSON: EOF while parsing a list at line 1 column 5"),
        (6, f'"sepal width (cm)": it is missing; {takes}'),
        (7, f"expected no keys with the answer's names, {', '.join(ANSWERS)}"),
    ]
    assert bulk.score("no rows.csv", to_csv([ROW, ROW[:3], [*ROW, 1], ROW])) == counts(4, 2, name="no rows.csv")
    assert [(error["line"], error["reason"]) for error in errors_of("no rows.csv")] == [
        (3, "expected 4 cells, as the header has, got 3"),
        (4, "expected 4 cells, as the header has, got 5"),
    ]


def test_many_bad_rows_cost_no_more_than_their_lines(bulk: Bulk, iris: NDArray[np.float64]) -> None:
    """Every second of 20,000, and all of 20,000."""
    rows = np.resize(iris, (20_000, 4)).tolist()
    half = [row if index % 2 else [*row[:3], "x"] for index, row in enumerate(rows)]

    assert bulk.score("half.csv", to_csv(half)) == counts(20_000, 10_000, name="half.csv")
    assert [error["line"] for error in errors_of("half.csv")] == list(range(2, 20_002, 2))
    assert bulk.score("none.csv", to_csv([["x", *row[1:]] for row in rows])) == counts(20_000, 20_000, name="none.csv")
    assert get("scored/none.csv").decode() == f"{HEADER},{','.join(ANSWERS)}\n"


def test_texts_and_missing_values(penguins: Path, runtime: Path, package: Path, tmp_path: Path) -> None:
    """Penguins with their gaps: the answers of /predict/batch, and its words for a text that the model doesn't know."""
    client = TestClient(create_app(Settings(), load(penguins)))
    table = load_penguins().drop(columns="species")
    rows = json.loads(table.to_json(orient="values"))
    unknown = ["Anticosti", *rows[0][1:]]
    with Bulk.start(runtime, package, tmp_path / "log", MODEL_FILEPATH=str(penguins)) as bulk:
        content = table.to_csv(index=False, na_rep="NA") + ",".join(map(str, unknown)) + "\n"
        assert bulk.score("penguins.csv", content) == counts(345, 1, name="penguins.csv")
        lines = "".join(f"{json.dumps(row)}\n" for row in [unknown, *rows])
        assert bulk.score("penguins.jsonl", lines) == counts(345, 1, name="penguins.jsonl")

    labels, digits = answers_of(client, rows)
    found = [line.rpartition(f",{label},")[2] for line, label in zip(get("scored/penguins.csv").decode().splitlines()[1:], labels, strict=True)]  # fmt: skip
    assert found == digits
    written = [json.loads(line, parse_float=str) for line in get("scored/penguins.jsonl").splitlines()]
    assert [line["label"] for line in written] == labels
    assert [
        ",".join(line[f"probability_{name}"] for name in ("Adelie", "Chinstrap", "Gentoo")) for line in written
    ] == digits
    expected = '"island": expected one of Biscoe, Dream, Torgersen, got another value'
    assert [(error["line"], error["reason"]) for error in errors_of("penguins.csv")] == [(346, expected)]
    assert [(error["line"], error["reason"]) for error in errors_of("penguins.jsonl")] == [(1, expected)]


WRONG: dict[str, tuple[str, bytes | str, str]] = {
    "another form": ("rows.parquet", "PAR1", ": expected a name that ends in .csv, .tsv, .jsonl, .ndjson, with or without .gz, and not in .errors.jsonl"),
    "errors of a run before": ("a.csv.errors.jsonl", "", ": expected a name that ends in .csv, .tsv, .jsonl, .ndjson, with or without .gz, and not in .errors.jsonl"),
    "an empty CSV": ("empty.csv", "", f": expected a header with the model's features, 4: {', '.join(NAMES)}; the file is empty"),
    "no header": ("no header.csv", "5.1,3.5,1.4,0.2\n", f": expected a header with the model's features, 4: {', '.join(NAMES)}; missing: {', '.join(NAMES)}"),
    "one column is missing": ("missing.csv", f"{','.join(NAMES[:3])}\n", f": expected a header with the model's features, 4: {', '.join(NAMES)}; missing: petal width (cm)"),
    "one column twice": ("twice.csv", f"{HEADER},{NAMES[1]}\n", ": expected sepal width (cm) once in its header, got it more often"),
    "UTF-16": ("utf16.csv", to_csv([ROW]).encode("utf-16"), ", line 1: expected UTF-8, got other bytes"),
    "half a character": ("latin.csv", to_csv([ROW] * 3000).encode() + b"\xff\n", ", line 3002: expected UTF-8, got other bytes"),
    "gzip that ends early": ("cut.csv.gz", gzip.compress(to_csv([ROW] * 9).encode())[:-9], ": expected complete gzip; Compressed file ended before the end-of-stream marker was reached"),
    "a quote that is never closed": ("quote.csv", to_csv([ROW, ['"5.1', *ROW[1:]], ROW]), ", line 4: expected CSV; unexpected end of data"),
    "a quote within a cell": ("quotes.csv", to_csv([ROW, ['"5.1"x', *ROW[1:]], ROW]), ", line 3: expected CSV; ',' expected after '\"'"),
    "one endless line": ("endless.jsonl", to_json_lines([ROW]) + "[" * 1_000_001, ", line 2: expected lines of less than 1,000,000 bytes, got a longer one"),
    "an endless cell": ("cell.csv", to_csv([ROW]) + '"' + ("x" * 999 + "\n") * 1100, ", line 1003: expected CSV; field larger than field limit (1000000)"),
    "gzip with a wrong byte": ("wrong.csv.gz", gzip.compress(to_csv([ROW]).encode())[:-8] + bytes(8), ": expected complete gzip; CRC check failed 0x0 != 0x"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_an_object_that_cant_be_scored_says_why(kind: str, bulk: Bulk) -> None:
    """In one line, which stands in its errors too; nothing stands under its name."""
    name, content, reason = WRONG[kind]

    answer = bulk.score(name, content)

    assert answer["errorType"] == "ObjectError"
    assert answer["errorMessage"].startswith(f"s3://{INPUT}/rows/{name}{reason}")
    assert "\n" not in answer["errorMessage"]
    assert errors_of(name) == [{"file": f"s3://{INPUT}/rows/{name}", "line": None, "reason": answer["errorMessage"]}]
    assert f"scored/{name}" not in keys(prefix="scored/")


def test_what_is_there_is_skipped(bulk: Bulk, runtime: Path, package: Path, tmp_path: Path) -> None:
    """The same object with the same model; another object, or the model's other labels, is scored."""
    s3 = boto3.client("s3")
    content = to_csv([ROW, [*ROW[:3], "x"]])
    assert bulk.score("twice.csv", content) == counts(2, 1, name="twice.csv")
    written = [s3.head_object(Bucket=OUTPUT, Key=key)["LastModified"] for key in keys(prefix="scored/twice.csv")]
    time.sleep(1.1)  # LastModified counts seconds

    assert bulk.score("twice.csv", content) == counts(2, 1, name="twice.csv", is_skipped=True)
    assert written == [
        s3.head_object(Bucket=OUTPUT, Key=key)["LastModified"] for key in keys(prefix="scored/twice.csv")
    ]
    content += content.splitlines()[1]
    assert bulk.score("twice.csv", content) == counts(3, 1, name="twice.csv")
    labels = tmp_path / "label.json"
    labels.write_text('{"0": "a", "1": "b", "2": "c"}')
    with Bulk.start(runtime, package, tmp_path / "log", LABEL_FILEPATH=str(labels)) as other:
        assert other.score("twice.csv", content) == counts(3, 1, name="twice.csv")
    assert get("scored/twice.csv").decode().splitlines()[1] == f"5.1,3.5,1.4,0.2,{ANSWERED.replace('setosa', 'a')}"
    assert bulk.score("twice.csv", content) == counts(3, 1, name="twice.csv")
    s3.delete_object(Bucket=OUTPUT, Key="scored/twice.csv")
    assert bulk.score("twice.csv", content) == counts(3, 1, name="twice.csv")


def test_the_same_object_gives_the_same_bytes(bulk: Bulk, iris: NDArray[np.float64]) -> None:
    """Compressed too."""
    content = gzip.compress(to_csv(np.resize(iris, (5_000, 4)).tolist()).encode())
    s3 = boto3.client("s3")
    found = []
    for _ in range(2):
        bulk.score("same.csv.gz", content)
        found.append(s3.get_object(Bucket=OUTPUT, Key="scored/same.csv.gz")["Body"].read())
        s3.delete_object(Bucket=OUTPUT, Key="scored/same.csv.gz")

    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["", "folder/", "_SUCCESS", ".part-0.csv.crc"])
def test_what_is_no_data_is_left_out(name: str, bulk: Bulk) -> None:
    """As in Hadoop's own tools; nothing is written for it."""
    assert bulk.score(name, "") == counts(0, name=name, is_skipped=True)
    assert not [key for key in keys(prefix="scored/") if key.startswith((f"scored/{name}.errors", "scored/folder"))]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, 'expected an event {"input": {"bucket", "prefix"}, "output": {"bucket", "prefix"}, "key"}, got another'),
        ([1], 'expected an event {"input": {"bucket", "prefix"}, "output": {"bucket", "prefix"}, "key"}, got another'),
        (
            {"input": {"bucket": "a", "prefix": "b/"}, "output": {"bucket": "a", "prefix": "c/"}, "key": "d/e.csv"},
            "s3://a/d/e.csv: expected a key that starts with the input's prefix, s3://a/b/",
        ),
        (
            {"input": {"bucket": "a", "prefix": ""}, "output": {"bucket": "a", "prefix": "c/"}, "key": "c/e.csv"},
            "s3://a/c/e.csv: expected an object of the input, got one of the output, s3://a/c/",
        ),
    ],
)
def test_another_event_is_refused(given: Any, message: str, bulk: Bulk) -> None:
    """In one line."""
    answer = bulk.emulator.invoke(given)

    assert (answer["errorType"], answer["errorMessage"]) == ("ObjectError", message)


def test_an_object_that_isnt_there(bulk: Bulk) -> None:
    """Nor its bucket, nor that of the answers."""
    where = event("rows/no.csv")
    found = [
        bulk.emulator.invoke(where)["errorMessage"],
        bulk.emulator.invoke(where | {"input": {"bucket": "no-such-bucket", "prefix": ""}})["errorMessage"],
    ]
    put("rows/yes.csv", to_csv([ROW]))
    found.append(
        bulk.emulator.invoke(event("rows/yes.csv") | {"output": {"bucket": "no-such-bucket", "prefix": ""}})[
            "errorMessage"
        ]
    )

    assert found == [
        f"s3://{INPUT}/rows/no.csv: expected an object, there is none (404)",
        "s3://no-such-bucket/rows/no.csv: expected an object, there is none (404)",
        "s3://no-such-bucket/yes.csv: expected a bucket, there is none (NoSuchBucket)",
    ]


LARGE = 3_000_000  # rows


@pytest.fixture(scope="module")
def large(iris: NDArray[np.float64]) -> bytes:
    """60 MB of rows."""
    block = to_csv(np.resize(iris, (30_000, 4)).tolist()).partition("\n")[2]
    return f"{HEADER}\n{block * (LARGE // 30_000)}".encode()


def while_it_is_read(bulk: Bulk, name: str, content: bytes, change: Callable[[str], object]) -> dict[str, Any]:
    """Do something to an object as soon as the first part of its answers has been sent, when it isn't all read."""
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(bulk.score(name, content)))
    thread.start()
    while not (uploads := boto3.client("s3").list_multipart_uploads(Bucket=OUTPUT).get("Uploads")):
        assert thread.is_alive(), answers
        time.sleep(0.1)
    assert [upload["Key"] for upload in uploads] == [f"scored/{name}"]
    change(f"rows/{name}")
    thread.join()
    return answers[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda key: boto3.client("s3").delete_object(Bucket=INPUT, Key=key),
            "it was deleted while it was read (NoSuchKey)",
        ),
        (lambda key: put(key, "another"), "it was changed while it was read (PreconditionFailed)"),
    ],
    ids=["deleted", "changed"],
)
def test_an_object_that_changes_while_it_is_read(
    change: Callable[[str], object], reason: str, bulk: Bulk, large: bytes, request: pytest.FixtureRequest
) -> None:
    """It fails, and nothing is left of what was uploaded."""
    name = f"{request.node.callspec.id}.csv"

    answer = while_it_is_read(bulk, name, large, change)

    assert (answer["errorType"], answer["errorMessage"]) == ("ObjectError", f"s3://{INPUT}/rows/{name}: {reason}")
    assert not boto3.client("s3").list_multipart_uploads(Bucket=OUTPUT).get("Uploads")
    assert keys(prefix=f"scored/{name}") == [f"scored/{name}.errors.jsonl"]


def test_a_large_object_takes_no_more_memory(
    bulk: Bulk, large: bytes, client: TestClient, iris: NDArray[np.float64]
) -> None:
    """100 MB, scored whole, in less than 300 MB."""
    content = (large + large.partition(b"\n")[2] * 2)[:100_000_000]
    content = content[: content.rindex(b"\n") + 1]
    n_rows = content.count(b"\n") - 1
    assert len(content) > 99_999_900

    answer = bulk.score("large.csv", content)

    assert answer == counts(n_rows, name="large.csv")
    assert bulk.emulator.peak_megabytes < 300
    lines = get("scored/large.csv").decode().splitlines()
    labels, digits = answers_of(client, iris.tolist())
    expected = [
        f"{','.join(map(str, row))},{label},{digit}"
        for row, label, digit in zip(iris.tolist(), labels, digits, strict=True)
    ]
    assert len(lines) == n_rows + 1
    assert [line for number, line in enumerate(lines[1:]) if line != expected[number % 150]] == []


def test_an_object_that_takes_too_long_is_told_so_at_its_start(
    runtime: Path, package: Path, large: bytes, tmp_path: Path
) -> None:
    """By the rows/s of its first part; nothing is left of it."""
    with Bulk.start(runtime, package, tmp_path / "log", AWS_LAMBDA_FUNCTION_TIMEOUT="9") as bulk:
        answer = bulk.score("long.csv", large)

    pattern = (
        rf"s3://{INPUT}/rows/long\.csv: expected an object that fits its time, got {len(large):,} bytes: "
        r"at [\d,]+ rows/s, after [\d,]+, the rest takes \d+ s of \d s; split it"
    )
    assert re.fullmatch(pattern, answer["errorMessage"]), answer
    assert keys(prefix="scored/long.csv") == ["scored/long.csv.errors.jsonl"]
    assert not boto3.client("s3").list_multipart_uploads(Bucket=OUTPUT).get("Uploads")


@pytest.fixture
def limited() -> Iterator[Callable[[Mapping[str, str]], dict[str, str]]]:
    """Make users who may do what is said, and have the mock look at that."""
    iam = boto3.client("iam")
    endpoint = boto3.client("s3").meta.endpoint_url

    def make(allowed: Mapping[str, str]) -> dict[str, str]:
        name = f"user-{len(iam.list_users()['Users'])}"
        iam.create_user(UserName=name)
        statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in allowed.items()]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="limited", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        httpx2.post(f"{endpoint}/moto-api/reset-auth", content="0")
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    yield make
    httpx2.post(f"{endpoint}/moto-api/reset-auth", content="inf")


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        (
            {"s3:ListBucket": "*", "s3:PutObject": "*"},
            f"s3://{INPUT}/rows/denied.csv: access denied, it can't be found (403); check BulkInput and BulkInputPrefix",
        ),
        (
            {"s3:ListBucket": "*", "s3:GetObject": "*"},
            f"s3://{OUTPUT}/scored/denied.csv: access denied, it can't be written (AccessDenied); check BulkOutput and BulkOutputPrefix",
        ),
    ],
    ids=["reading", "writing"],
)
def test_what_the_role_may_not_is_told(
    allowed: dict[str, str],
    message: str,
    limited: Callable[[Mapping[str, str]], dict[str, str]],
    runtime: Path,
    package: Path,
    tmp_path: Path,
) -> None:
    """By the parameters that say what it may."""
    put("rows/denied.csv", to_csv([ROW]))

    with Bulk.start(runtime, package, tmp_path / "log", **limited(allowed)) as bulk:
        answer = bulk.emulator.invoke(event("rows/denied.csv"))

    assert (answer["errorType"], answer["errorMessage"]) == ("ObjectError", message)


def test_the_log_says_what_was_done(bulk: Bulk) -> None:
    """One line an object, and one with the reason where it failed."""
    bulk.score("logged.csv", to_csv([ROW]))
    bulk.score("logged.txt", "")

    lines = [json.loads(line) for line in bulk.emulator.log().splitlines() if '"logger":"function.bulk"' in line][-2:]
    for line in lines:
        del line["timestamp"]
    assert lines[0] == {"level": "INFO", "logger": "function.bulk", "message": "scored"} | counts(1, name="logged.csv")
    assert lines[1]["level"] == "ERROR"
    assert lines[1]["message"].startswith(f"s3://{INPUT}/rows/logged.txt: expected a name that ends in")
