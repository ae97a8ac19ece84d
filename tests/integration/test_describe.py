"""`python -m model describe`: files of the training data become facts in the artifact."""

import contextlib
import csv
import io
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
import pytest
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import load
from function.settings import Settings, shipped_model
from model.artifact import take_booleans
from model.describe import main
from tests.support.entry_points import ROOT, unmeasured
from tests.support.kinds import KINDS
from tests.support.models import penguins, scaled, sigmoid, sklearn, texts, wine

PENGUINS = Path(str(files("palmerpenguins") / "data" / "penguins.csv"))


class Result(NamedTuple):
    """What a command leaves."""

    returncode: int
    stdout: str
    stderr: str


def describe(*arguments: str | Path) -> Result:
    """Run the command in this process, which has imported onnx already."""
    output, errors = io.StringIO(), io.StringIO()
    given = [str(argument) for argument in arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main(given if "--output" in given else [*given, "--in-place"])
    except SystemExit as end:
        return Result(1, output.getvalue(), f"{end.code}\n")
    return Result(0, output.getvalue(), errors.getvalue())


def test_the_command_itself(penguin_model: Path, tmp_path: Path) -> None:
    """In a process of its own."""
    command = [sys.executable, "-m", "model.describe", str(penguin_model), str(PENGUINS), "--target", "species"]
    command.append("--in-place")

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert result.stdout.startswith(f"{penguin_model}: described 7 features ")


def metadata(path: Path) -> Any:
    return TestClient(create_app(Settings(), load(path))).get("/metadata").json()


@pytest.fixture
def penguin_model(tmp_path: Path) -> Path:
    path = tmp_path / "penguins.onnx"
    path.write_bytes(penguins().artifact)
    return path


@pytest.fixture
def wine_model(tmp_path: Path) -> Path:
    path = tmp_path / "wine.onnx"
    path.write_bytes(sklearn(scaled(LogisticRegression()), wine("numbers")).artifact)
    return path


@pytest.fixture
def wine_csv(tmp_path: Path) -> Path:
    """With names for the classes that are numbers to the model."""
    data = load_wine()
    names = {0: "barolo", 1: "grignolino", 2: "barbera"}
    rows = [[*row, names[index]] for row, index in zip(data.data.tolist(), data.target.tolist(), strict=True)]
    return write_csv(tmp_path / "wine.csv", [[*data.feature_names, "cultivar"], *rows])


def write_csv(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def test_numbers_and_texts(penguin_model: Path) -> None:
    """Ranges and values of each column, the first whole row as the sample, how many rows it labels rightly."""
    result = describe(penguin_model, PENGUINS, "--target", "species")

    assert result.stdout == (
        f"{penguin_model}: described 7 features and the labels Adelie, Chinstrap, Gentoo from 333 complete rows of 344, "
        "99.70% of them labelled correctly; 11 rows left out: missing values in bill_length_mm, bill_depth_mm, "
        "flipper_length_mm, body_mass_g, sex, which the model wasn't trained with\n"
    )
    found = metadata(penguin_model)
    assert found["features"][:2] == [
        {"name": "island", "type": "string", "values": ["Biscoe", "Dream", "Torgersen"], "commonest": "Biscoe"},
        {"name": "bill_length_mm", "type": "float32", "min": 32.1, "max": 59.6, "median": 44.5},
    ]
    assert found["features"][6] == {"name": "year", "type": "int64", "min": 2007, "max": 2009, "median": 2008}
    assert found["data_sample"] == [["Torgersen", 39.1, 18.7, 181, 3750, "male", 2007]]
    assert found["labels"] == ["Adelie", "Chinstrap", "Gentoo"]
    training = found["model"]["training"]
    assert (training["rows"], training["accuracy"]) == (333, 0.997)
    assert training["accuracy_from"] == "the rows that describe it"
    assert training["target"] == "species"


def test_one_matrix_and_names_for_its_classes(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """The columns by position; each class gets the most common label of its rows."""
    before = wine_model.read_bytes()
    output = tmp_path / "described.onnx"

    result = describe(wine_model, wine_csv, "--target", "cultivar", "--output", output)

    assert result.stdout.startswith(
        f"{output}: described 13 features and the labels barolo, grignolino, barbera from 178 "
    )
    assert wine_model.read_bytes() == before
    assert metadata(output)["features"][0] == {
        "name": "alcohol",
        "type": "float32",
        "min": 11.03,
        "max": 14.83,
        "median": 13.05,
    }


def test_class_ids_in_another_order(wine_model: Path, wine_csv: Path) -> None:
    """The labels that it writes go by class id, as in a label.json."""
    model = onnx.load(wine_model)
    (node,) = (node for node in model.graph.node if node.op_type == "LinearClassifier")
    (ids,) = (attribute for attribute in node.attribute if attribute.name == "classlabels_ints")
    ids.ints[:] = [2, 0, 1]
    wine_model.write_bytes(model.SerializeToString())

    describe(wine_model, wine_csv, "--target", "cultivar")

    classifier = load(wine_model)
    assert classifier.model.class_ids == ("2", "0", "1")
    assert classifier.model.labels == ("barolo", "grignolino", "barbera")
    assert classifier.predict_label([classifier.model.sample]) == ["barolo"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_whole_numbers_beside_a_gap_are_labels_without_decimals(
    ending: str, wine_model: Path, wine_csv: Path, tmp_path: Path
) -> None:
    """pandas writes 1.0 for 1 into a CSV then."""
    table = pd.read_csv(wine_csv)
    codes = table["cultivar"].map({"barolo": 0, "grignolino": 1, "barbera": 2})
    path = tmp_path / f"in.{ending}"
    write = {"csv": FORMATS["in.csv.gz"], "jsonl": write_json_lines, "parquet": FORMATS["in.parquet"]}[ending]
    write(table.assign(cultivar=codes.where(table.index > 0)), path)

    describe(wine_model, path, "--target", "cultivar")

    assert metadata(wine_model)["labels"] == ["0", "1", "2"]


def test_labels_may_be_given(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """In place of what the target says."""
    (tmp_path / "names.json").write_text(json.dumps({"0": "barolo", "1": "grignolino", "2": "barbera"}))

    result = describe(wine_model, wine_csv, "--ignore", "cultivar", "--labels", tmp_path / "names.json")

    assert result.stdout.endswith("and the labels barolo, grignolino, barbera\n")
    assert metadata(wine_model)["labels"] == ["barolo", "grignolino", "barbera"]


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8"), ("\t", "utf-8"), (",", "utf-8-sig")])
def test_csvs_come_in_several_forms(
    wine_model: Path, wine_csv: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    """With semicolons, tabs, a byte order mark."""
    with wine_csv.open() as file:
        other = write_csv(tmp_path / "other.csv", list(csv.reader(file)), delimiter, encoding)

    assert describe(wine_model, other, "--target", "cultivar").returncode == 0
    assert metadata(wine_model)["features"][0]["name"] == "alcohol"


def write_with_commas(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, sep=";", decimal=",")


def write_json_lines(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", lines=True)


def write_sparse_json_lines(table: pd.DataFrame, path: Path) -> None:
    """Without the keys that have no value, as Spark writes them; the first row has all."""
    rows = [row.dropna().to_dict() for _, row in table.iterrows()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


FORMATS: dict[str, Any] = {
    "in.csv.gz": lambda table, path: table.to_csv(path, index=False),
    "commas.csv": write_with_commas,
    "in.jsonl": write_json_lines,
    "sparse.jsonl": write_sparse_json_lines,
    "in.parquet": lambda table, path: table.to_parquet(path),
}


def test_a_version_is_shown_by_the_service(wine_model: Path, wine_csv: Path) -> None:
    """At /metadata and in the Open Inference Protocol, which serves no other; describing it again leaves it."""
    assert metadata(wine_model)["model"]["version"] == "0"

    describe(wine_model, wine_csv, "--target", "cultivar", "--version", "3")
    describe(wine_model, wine_csv, "--target", "cultivar")

    client = TestClient(create_app(Settings(), load(wine_model)))
    assert client.get("/metadata").json()["model"]["version"] == "3"
    found = client.get("/v2/models/wine").json()
    assert found["versions"] == ["3"]
    statuses = [client.get(f"/v2/models/wine/versions/{version}").status_code for version in (0, 3, 4)]
    assert statuses == [404, 200, 404]
    body = {
        "inputs": [{"name": found["inputs"][0]["name"], "datatype": "FP32", "shape": [1, 13], "data": list(range(13))}]
    }
    assert client.post("/v2/models/wine/versions/3/infer", json=body).json()["model_version"] == "3"


@pytest.mark.parametrize("version", ["0", "-1", str(2**63 - 1), str(10**30)])
def test_what_is_no_version_is_refused(version: str, wine_model: Path, wine_csv: Path) -> None:
    """Nothing is written."""
    before = wine_model.read_bytes()

    result = describe(wine_model, wine_csv, "--target", "cultivar", "--version", version)

    message = f"expected the version to be a whole number from 1 on, got {version}"
    assert (result.stderr, wine_model.read_bytes()) == (f"ArtifactError: {message}\n", before)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(name: str, penguin_model: Path, tmp_path: Path) -> None:
    """As the CSV that it is written from, with its gaps; in two files as in one."""
    table = pd.read_csv(PENGUINS)
    described = describe(penguin_model, PENGUINS, "--target", "species", "--output", tmp_path / "csv.onnx")
    FORMATS[name](table, tmp_path / name)
    (tmp_path / "parts").mkdir()
    for number, part in enumerate((table[:100], table[100:])):
        FORMATS[name](part, tmp_path / "parts" / f"{number}{name}")

    for source in (tmp_path / name, tmp_path / "parts"):
        result = describe(penguin_model, source, "--target", "species", "--output", tmp_path / "other.onnx")

        assert result.stdout == described.stdout.replace("csv.onnx", "other.onnx"), result.stderr
        assert (tmp_path / "other.onnx").read_bytes() == (tmp_path / "csv.onnx").read_bytes()


TYPED_FAULTS: dict[str, tuple[Any, str]] = {
    "a text": ("x", "expected a number, got a string"),
    "a number of hundreds of digits": (10**400, "expected a finite number, got an infinite one"),
    "infinity": (math.inf, "expected a finite number, got an infinite one"),
    "a list": ([1], "expected a number, got a list"),
}


@pytest.mark.parametrize(("value", "reason"), TYPED_FAULTS.values(), ids=TYPED_FAULTS)
def test_a_value_of_json_that_the_model_doesnt_take_is_told(
    wine_model: Path, tmp_path: Path, value: Any, reason: str
) -> None:
    """With its line."""
    rows = [dict(zip("abcdefghijklm", range(13), strict=True)) for _ in range(3)]
    rows[1]["c"] = value
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    result = describe(wine_model, tmp_path / "in.jsonl")

    assert result.stderr == f'FileError: {tmp_path}/in.jsonl, line 2: "c": {reason}\n'


def test_rows_without_names_are_refused(wine_model: Path, tmp_path: Path) -> None:
    """There is nothing to describe features by."""
    (tmp_path / "in.jsonl").write_text(json.dumps([*range(13)]))

    result = describe(wine_model, tmp_path / "in.jsonl")

    expected = "expected a row of JSON in each line; line 1: expected an object of names and values, got a list"
    assert result.stderr == f"FileError: {tmp_path}/in.jsonl: {expected}\n"


def test_files_of_other_columns_are_refused(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """All of them have those of the first."""
    other = write_csv(tmp_path / "x.csv", [["a", "cultivar"], [1, "barolo"]])

    result = describe(wine_model, wine_csv, other, "--target", "cultivar")

    assert result.stderr.startswith(
        f'FileError: {other}: expected the columns of the first file, it has none called "alc'
    )


def test_what_the_artifact_says_besides_stays(wine_model: Path, wine_csv: Path) -> None:
    """And describing it again changes nothing."""
    model = onnx.load(wine_model)
    onnx.helper.set_model_props(model, {"author": "me"})
    wine_model.write_bytes(model.SerializeToString())

    describe(wine_model, wine_csv, "--target", "cultivar")
    once = wine_model.read_bytes()
    describe(wine_model, wine_csv, "--target", "cultivar")

    assert wine_model.read_bytes() == once
    assert [entry.key for entry in onnx.load(wine_model).metadata_props] == ["author", "classifier"]


UNCLEAR = (
    "the rows don't show which class has which label; are the columns in the model's order, and is the target right? "
    "Then name the labels: --labels, or labels= of export"
)

FAULTS: dict[str, tuple[list[list[object]], list[str], str]] = {
    "too few columns": (
        [["a", "b"], [1, 2]],
        [],
        "expected 13 columns, as the model takes, besides --target and --ignore; got 2: a, b",
    ),
    "no such target": ([["a", "b"], [1, 2]], ["--target", "c"], '{csv}: no column is called "c"; it has "a", "b"'),
    "nothing to ignore": ([["a", "b"], [1, 2]], ["--ignore", "c"], '{csv}: no column is called "c"; it has "a", "b"'),
    "text for a number": (
        [[*"abcdefghijklm"], [*range(12), "x"]],
        [],
        '{csv}, line 2: "m": expected a number, got a string',
    ),
    "infinite": (
        [[*"abcdefghijklm"], [*range(12), "inf"]],
        [],
        '{csv}, line 2: "m": expected a finite number, got an infinite one',
    ),
    "no whole row": ([[*"abcdefghijklm"], [*range(12), "NA"]], [], "expected at least one row without empty cells"),
    "short row": (
        [[*"abcdefghijklm"], [*range(13)], [3]],
        [],
        "{csv}, line 3: expected 13 cells, as the header has, got 1",
    ),
    "long row": (
        [[*"abcdefghijklm"], [*range(14)]],
        [],
        "{csv}, line 2: expected 13 cells, as the header has, got 14",
    ),
    "header alone": ([[*"abcdefghijklm"]], [], "{csv}: expected rows, got none"),
    "empty": ([], [], "{csv}: expected rows, got an empty file"),
    "one name twice": (
        [["a", "a"], [1, 2]],
        [],
        '{csv}: expected columns of different names, got "a" more than once',
    ),
    "no header": (
        [[5.1, *range(12), "x"], [5, *range(12), "y"]],
        ["--target", "x"],
        '{csv}: expected a header with names, got the numbers "5.1"; put names above the first row',
    ),
    "labels that the rows don't show": (
        [[*"abcdefghijklmn"], [*range(13), "barolo"]],
        ["--target", "n"],
        UNCLEAR,
    ),
}


def test_an_artifact_is_written_where_it_is_told_alone(wine_model: Path, wine_csv: Path) -> None:
    """Neither --output nor --in-place is a mistake."""
    before = wine_model.read_bytes()

    with pytest.raises(SystemExit) as end:
        main([str(wine_model), str(wine_csv), "--target", "cultivar"])

    assert end.value.code == f"expected --output FILE, or --in-place to write into {wine_model} itself"
    assert wine_model.read_bytes() == before


@pytest.mark.parametrize(("rows", "options", "message"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_a_csv_is_told(
    wine_model: Path, tmp_path: Path, rows: list[list[object]], options: list[str], message: str
) -> None:
    """In one line, and nothing is written."""
    before = wine_model.read_bytes()
    path = write_csv(tmp_path / "faulty.csv", rows)

    result = describe(wine_model, path, *options)

    error = "FileError" if message.startswith("{csv}") else "ArtifactError"
    assert result.stderr.splitlines() == [f"{error}: {message.format(csv=path)}"]
    assert (result.returncode, wine_model.read_bytes()) == (1, before)


def test_a_column_for_each_input_is_wanted(penguin_model: Path) -> None:
    """By name."""
    result = describe(penguin_model, PENGUINS, "--target", "species", "--ignore", "year")

    columns = "island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex"
    message = f"expected a column for each input of the model, none is called year; the file has {columns}"
    assert result.stderr == f"ArtifactError: {message}\n"


def test_inputs_may_have_the_names_that_skl2onnx_makes_of_the_columns(tmp_path: Path) -> None:
    """Only letters, digits and underscores; the features then have the CSV's own."""
    table = pd.DataFrame({"a (cm)": [1.0, 2.0, 3.0, 4.0], "b/c": list("xyxy"), "y": list("nnpp")}).astype(
        {"a (cm)": "float32"}
    )
    columns = make_column_transformer((OneHotEncoder(), ["b/c"]), remainder=StandardScaler())
    model = make_pipeline(columns, LogisticRegression()).fit(table[["a (cm)", "b/c"]], table["y"])
    artifact = to_onnx(model, table[["a (cm)", "b/c"]][:1], options={"zipmap": False})
    (tmp_path / "model.onnx").write_bytes(artifact.SerializeToString())
    table.to_csv(tmp_path / "rows.csv", index=False)

    assert describe(tmp_path / "model.onnx", tmp_path / "rows.csv", "--target", "y").returncode == 0
    found = metadata(tmp_path / "model.onnx")["features"]
    assert found == [
        {"name": "a (cm)", "type": "float32", "min": 1, "max": 4, "median": 2},
        {"name": "b/c", "type": "string", "values": ["x", "y"], "commonest": "x"},
    ]


def test_texts_that_hardly_repeat_arent_published(tmp_path: Path) -> None:
    """They aren't a choice, and may be somebody's."""
    (tmp_path / "texts.onnx").write_bytes(texts().artifact)
    rows = [[text, "+" if "good" in text or text == "fine" else "-"] for text in ("good", "fine", "bad", "poor")]
    path = write_csv(tmp_path / "texts.csv", [["text", "mood"], *rows])

    assert describe(tmp_path / "texts.onnx", path, "--target", "mood").returncode == 0
    assert metadata(tmp_path / "texts.onnx")["features"] == [{"name": "text", "type": "string"}]


def test_columns_in_another_order_are_noticed(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """The classes then have no labels that fit."""
    with wine_csv.open() as file:
        reverse = write_csv(tmp_path / "reverse.csv", [row[-2::-1] + row[-1:] for row in csv.reader(file)])

    result = describe(wine_model, reverse, "--target", "cultivar")

    assert result.stderr == f"ArtifactError: {UNCLEAR}\n"


def test_labels_of_other_names_are_refused(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """By the line of the first; a model whose classes are numbers takes the rows' names, but no more of them."""
    lines = wine_csv.read_text().splitlines()
    lines[7] = lines[7].replace("barolo", "brolo")
    (tmp_path / "stray.csv").write_text("\n".join(lines))
    rows = [[float(number), "yes" if number > 5 else "no"] for number in range(10)]
    model = LogisticRegression().fit([row[:1] for row in rows], [row[1] for row in rows])
    texts = write_model(tmp_path / "texts.onnx", model, [("x", FloatTensorType([None, 1]))])
    table = write_csv(tmp_path / "texts.csv", [["x", "y"], *([number, str(label).upper()] for number, label in rows)])

    of_numbers = describe(wine_model, tmp_path / "stray.csv", "--target", "cultivar").stderr
    of_texts = describe(texts, table, "--target", "y").stderr

    renames = "--labels, or labels= of export, renames the model's classes"
    expected = "expected the model's labels, barolo, grignolino, barbera; got brolo in 1 row"
    assert of_numbers == f"FileError: {tmp_path}/stray.csv, line 8: {expected}; {renames}\n"
    expected = "expected the model's labels, no, yes; got NO, YES in 10 rows"
    assert of_texts == f"FileError: {table}, line 2: {expected}; {renames}\n"


def test_a_rare_class_is_no_mistake(tmp_path: Path) -> None:
    """A model that labels no better than one label for all is described, with a warning."""
    rows = [[float(index % 10), "yes" if index == 9 else "no"] for index in range(100)]
    model = LogisticRegression().fit([row[:1] for row in rows], [row[1] for row in rows])
    write_model(tmp_path / "rare.onnx", model, [("x", FloatTensorType([None, 1]))])
    path = write_csv(tmp_path / "rare.csv", [["x", "bought"], *rows])

    result = describe(tmp_path / "rare.onnx", path, "--target", "bought")

    assert result.stdout == (
        f"{tmp_path / 'rare.onnx'}: described 1 feature and the labels no, yes from 100 complete rows of 100, 99.00% of them "
        "labelled correctly\n"
    )
    assert (result.returncode, result.stderr) == (
        0,
        (
            "warning: 50.00% of the rows of each label are labelled correctly on average, chance gives 50.00%; are the "
            "columns, or the labels, in another order?\n"
        ),
    )


def write_model(path: Path, estimator: Any, types: list[tuple[str, Any]]) -> Path:
    model = convert_sklearn(estimator, initial_types=types, options={id(estimator): {"zipmap": False}})
    path.write_bytes(model.SerializeToString())
    return path


COUNTRIES = ["NA", "NL", "NZ"]  # Namibia, the Netherlands, New Zealand


def test_an_index_of_pandas_is_no_feature(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """Whether it has a name or not, unless an input of the model has its name."""
    table = pd.read_csv(wine_csv).sample(100, random_state=0)
    table.to_parquet(tmp_path / "unnamed.parquet")
    table.rename_axis("id").to_parquet(tmp_path / "named.parquet")
    features = table.drop(columns="cultivar")
    inputs = [(f"x{place}", FloatTensorType([None, 1])) for place in range(13)]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, table["cultivar"])
    separate = write_model(tmp_path / "separate.onnx", model, inputs)
    renamed = table.rename(columns=dict(zip(features, (name for name, _ in inputs), strict=True)))
    renamed.set_index("x0").to_parquet(tmp_path / "wanted.parquet")

    for artifact, name in ((wine_model, "unnamed"), (wine_model, "named"), (separate, "wanted")):
        result = describe(artifact, tmp_path / f"{name}.parquet", "--target", "cultivar")
        assert (" 13 features " in result.stdout, result.stderr) == (True, "")


def test_a_text_that_the_encoder_knows_is_no_gap(tmp_path: Path) -> None:
    """Even if pandas reads it as missing; only an empty cell is missing, which this model refuses."""
    rows = [[country, float(number), country == "NZ"] for country in COUNTRIES for number in range(4)]
    table = pd.DataFrame(rows, columns=["country", "number", "far"])
    columns = make_column_transformer((OneHotEncoder(), ["country"]), remainder=StandardScaler())
    model = make_pipeline(columns, LogisticRegression()).fit(table[["country", "number"]], table["far"].astype(int))
    types = [("country", StringTensorType([None, 1])), ("number", FloatTensorType([None, 1]))]
    write_model(tmp_path / "countries.onnx", model, types)
    path = write_csv(tmp_path / "countries.csv", [["country", "number", "far"], *rows, ["", 1, "False"]])

    result = describe(tmp_path / "countries.onnx", path, "--target", "far")

    assert " and the labels False, True from 12 complete rows of 13, 100.00% " in result.stdout
    features = metadata(tmp_path / "countries.onnx")["features"]
    assert (features[0]["name"], features[0]["values"]) == ("country", COUNTRIES)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_cells_may_be_true_and_false(ending: str, tmp_path: Path) -> None:
    """In a column of numbers too: the model was trained on them as 1 and 0."""
    rows = [[value, other, value] for value, other in itertools.product((True, False), repeat=2)] * 3
    columns = [[float(cell) for cell in row[:2]] for row in rows]
    model = LogisticRegression().fit(columns, [int(row[2]) for row in rows])
    path = tmp_path / f"booleans.{ending}"
    write = {"csv": FORMATS["in.csv.gz"], "jsonl": write_json_lines, "parquet": FORMATS["in.parquet"]}[ending]
    write(pd.DataFrame(rows, columns=["a", "b", "y"]), path)
    matrix = write_model(tmp_path / "matrix.onnx", model, [("rows", FloatTensorType([None, 2]))])
    separate = write_model(
        tmp_path / "separate.onnx", make_pipeline(StandardScaler(), model).fit(columns, [row[2] for row in rows]),
        [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1]))],
    )  # fmt: skip
    proto = onnx.load(separate)
    take_booleans(proto, ["a", "b"])
    separate.write_bytes(proto.SerializeToString())

    for artifact in (matrix, separate):
        assert " and the labels False, True from 12 complete rows of 12, 100.00% " in describe(
            artifact, path, "--target", "y"
        ).stdout  # fmt: skip
    for artifact in (matrix, separate):
        assert metadata(artifact)["features"][0] == {"name": "a", "type": "bool", "commonest": False}
        assert load(artifact).model.sample == (True, True)
    assert load(matrix).model.columns.types == ("float32", "float32")


def gaps_table() -> pd.DataFrame:
    """Two numbers, each alone enough, of which one is missing in every row."""
    rows = [[float(number), np.nan, "low" if number < 10 else "high"] for number in range(20)]
    return pd.DataFrame([*rows, *([np.nan, number, label] for number, _, label in rows)], columns=["a", "b", "y"])


def test_rows_with_gaps_count_where_the_model_takes_them(tmp_path: Path) -> None:
    """Even where no row is whole; the features say so, and the sample is made of what is there."""
    table = gaps_table()
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(table[["a", "b"]], table["y"])
    path = write_model(tmp_path / "gaps.onnx", model, [("rows", FloatTensorType([None, 2]))])
    table.to_csv(tmp_path / "gaps.csv", index=False)

    result = describe(path, tmp_path / "gaps.csv", "--target", "y")

    assert result.stdout == (
        f"{path}: described 2 features and the labels high, low from 40 rows of 40, 40 of them with missing values, 100.00% of "
        "them labelled correctly\n"
    )
    facts = load(path).model
    assert [(feature.name, feature.min, feature.max, feature.missing) for feature in facts.features] == [
        ("a", 0, 19, True),
        ("b", 0, 19, True),
    ]
    assert facts.sample == (0, 0)
    assert describe(path, tmp_path / "gaps.csv", "--ignore", "y").stdout.endswith("the labels high, low\n")


def test_rows_with_gaps_count_where_the_graph_shows_that_the_model_takes_them(tmp_path: Path) -> None:
    """However many of them it labels wrongly; a row without a label is left out."""
    table = gaps_table().assign(b=0.0)
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(table[["a", "b"]], table["y"])
    path = write_model(tmp_path / "gaps.onnx", model, [("rows", FloatTensorType([None, 2]))])
    table.loc[table["a"].isna(), "y"] = ["high", "low"] * 10
    table.loc[0, "y"] = None
    table.to_csv(tmp_path / "gaps.csv", index=False)

    result = describe(path, tmp_path / "gaps.csv", "--target", "y")

    assert " from 39 rows of 40, 20 of them with missing values, " in result.stdout
    assert result.stdout.endswith(" of them labelled correctly; 1 row left out: no label\n")
    assert [feature.missing for feature in load(path).model.features] == [True, None]


def test_rows_with_gaps_dont_count_where_the_model_fails_on_them(tmp_path: Path) -> None:
    """Nor where it labels them worse than those without, which is no way to take them."""
    table = gaps_table().assign(b=0.0)
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(table.dropna()[["a", "b"]], table.dropna()["y"])
    tree = DecisionTreeClassifier().fit(table.dropna()[["a", "b"]].to_numpy(), table.dropna()["y"])
    table.to_csv(tmp_path / "gaps.csv", index=False)

    for name, model in (("linear", linear), ("tree", tree)):
        path = write_model(tmp_path / f"{name}.onnx", model, [("rows", FloatTensorType([None, 2]))])
        result = describe(path, tmp_path / "gaps.csv", "--target", "y")
        assert result.stdout.endswith(
            " from 20 complete rows of 40, 100.00% of them labelled correctly; "
            "20 rows left out: missing values in a, which the model wasn't trained with\n"
        )
        result = describe(path, tmp_path / "gaps.csv", "--ignore", "y")
        assert result.stdout.endswith(
            " labels high, low; 20 rows left out: missing values in a, which the model wasn't trained with\n"
        )
        assert [feature.missing for feature in load(path).model.features] == [None, None]


MANGLED = {"1st": "_1st", "a+b": "a+b", "x (cm)": "x__cm_", "größe": "größe"}


def mangled_model(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """A model with a column for each input, as skl2onnx names them; the columns are told apart by their sizes."""
    table = pd.DataFrame(
        {name: np.arange(1, 21, dtype="float32") * 10**place for place, name in enumerate(names)}
    ).assign(y=["n", "p"] * 10)  # fmt: skip
    columns = make_column_transformer((StandardScaler(), [names[0]]), remainder=StandardScaler())
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(table[list(names)], table["y"])
    path.write_bytes(to_onnx(model, table[list(names)][:1], options={"zipmap": False}).SerializeToString())
    return table


def test_columns_are_found_by_what_skl2onnx_makes_of_their_names(tmp_path: Path) -> None:
    """In any order: a digit first gets an underscore before it, and + stays."""
    path = tmp_path / "mangled.onnx"
    mangled_model(path, list(MANGLED))[[*reversed(MANGLED), "y"]].to_csv(tmp_path / "rows.csv", index=False)
    assert [input.name for input in onnx.load(path).graph.input] == list(MANGLED.values())

    assert describe(path, tmp_path / "rows.csv", "--target", "y").returncode == 0
    assert [(feature.name, feature.max) for feature in load(path).model.features] == [
        (name, 20 * 10**place) for place, name in enumerate(MANGLED)
    ]


def test_columns_of_which_either_may_be_meant_are_named(tmp_path: Path) -> None:
    """Then skl2onnx has put a number behind the name of one of them."""
    path = tmp_path / "mangled.onnx"
    mangled_model(path, ["a b", "a_b", "c"]).to_csv(tmp_path / "rows.csv", index=False)

    result = describe(path, tmp_path / "rows.csv", "--target", "y")

    message = "expected one column for each input of the model, a_b, a_b1 may be 'a b' or 'a_b'"
    assert result.stderr == f"ArtifactError: {message}; give the columns the names of the inputs\n"


def test_a_label_file_beside_the_artifact_counts(wine_model: Path, wine_csv: Path) -> None:
    """As it does for the service."""
    beside = wine_model.with_name("label.json")
    beside.write_text(json.dumps({"0": "a", "1": "b", "2": "c"}))

    result = describe(wine_model, wine_csv, "--target", "cultivar")

    assert "the labels a, b, c from 178 complete rows of 178, 100.00% of them labelled correctly" in result.stdout
    beside.write_text(json.dumps({"0": "a", "1": "b"}))
    before = wine_model.read_bytes()
    assert "expected 3 labels, one per class, got 2" in describe(wine_model, wine_csv, "--target", "cultivar").stderr
    assert wine_model.read_bytes() == before


def test_without_a_target_labels_and_training_stay(tmp_path: Path) -> None:
    """What the shipped model says of itself isn't lost."""
    path = tmp_path / "iris.onnx"
    path.write_bytes(shipped_model().read_bytes())
    before = metadata(path)
    rows = [[4.3, 2, 1, 0.1], [7.9, 4.4, 6.9, 2.5]]
    iris = write_csv(tmp_path / "iris.csv", [["a", "b", "c", "d"], *rows])

    assert describe(path, iris).stdout == f"{path}: described 4 features and the labels setosa, versicolor, virginica\n"
    after = metadata(path)
    assert (after["labels"], after["model"]["training"]) == (before["labels"], before["model"]["training"])
    assert after["features"][0] == {"name": "a", "type": "float32", "min": 4.3, "max": 7.9, "median": 6.1}
    assert after["data_sample"] == [[4.3, 2, 1, 0.1]]


def test_positions_are_no_labels(tmp_path: Path) -> None:
    """A sigmoid's second column may well be what the target calls 0."""
    path = tmp_path / "sigmoid.onnx"
    brought = sigmoid(2)
    path.write_bytes(brought.artifact)
    truth = brought.probabilities.argmax(axis=1)
    names = [f"f{index}" for index in range(30)]
    swapped = [[*row, 1 - index] for row, index in zip(brought.rows, truth, strict=True)]
    rows = write_csv(tmp_path / "rows.csv", [[*names, "y"], *swapped])

    result = describe(path, rows, "--target", "y")

    assert "and the labels 1, 0 from 569 complete rows of 569, 100.00% of them labelled correctly" in result.stdout


def test_a_row_that_the_model_fails_on_is_named(penguin_model: Path, tmp_path: Path) -> None:
    """By its number in the CSV, rows with empty cells counted too."""
    with PENGUINS.open() as file:
        rows = list(csv.reader(file))
    rows[7][1] = "Anticosti"  # data row 7; row 4 has empty cells
    path = write_csv(tmp_path / "faulty.csv", rows)

    result = describe(penguin_model, path, "--target", "species")

    message = "data row 7, column 'island': the model fails on it; was it trained on these rows?"
    assert result.stderr == f"ArtifactError: {message}\n"


def test_a_file_is_written_whole_or_not_at_all(wine_model: Path, wine_csv: Path, tmp_path: Path) -> None:
    """And what can't be is told in one line."""
    (tmp_path / "folder.onnx").mkdir()
    new = tmp_path / "new" / "x.onnx"
    assert describe(wine_model, wine_csv, "--target", "cultivar", "--output", new).returncode == 0
    assert new.exists()
    for output in (wine_csv / "x.onnx", tmp_path / "folder.onnx"):
        result = describe(wine_model, wine_csv, "--target", "cultivar", "--output", output)
        assert result.stderr.startswith(f"ArtifactError: {output}: can't be written (")
    before, files = wine_model.read_bytes(), set(tmp_path.iterdir())
    program = (
        "import resource, sys; from model.describe import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, str(wine_model), str(wine_csv), "--target", "cultivar", "--in-place"]
    result = subprocess.run(command, cwd=ROOT, env=unmeasured(), capture_output=True, text=True, check=False)  # type: ignore[assignment]

    assert result.stderr == f"ArtifactError: {wine_model}: can't be written (File too large); name another file\n"
    assert (wine_model.read_bytes(), set(tmp_path.iterdir())) == (before, files)


def test_files_that_cant_be_read(wine_model: Path, wine_csv: Path) -> None:
    """Are named."""
    for arguments, start in (
        ((wine_model, "no.csv"), "FileError: no.csv: there is no such file"),
        (("no.onnx", wine_csv), "ArtifactError: no.onnx: can't be read (No such file or directory)"),
        ((wine_csv, wine_csv), f"ArtifactError: {wine_csv}: not an ONNX model; "),
        ((wine_model, wine_model), f"FileError: {wine_model}: expected a name that ends in .csv, "),
    ):
        result = describe(*arguments)
        assert result.returncode == 1
        assert result.stderr.startswith(start)


def test_inputs_of_rank_1_are_columns_too(tmp_path: Path) -> None:
    """As EBM's export has them, one a feature."""
    path = tmp_path / "flat.onnx"
    path.write_bytes(KINDS["inputs of rank 1"]().artifact)
    rows = write_csv(tmp_path / "rows.csv", [["in_a", "in_b", "ill"], [14, 20, "no"], [20, 25, "yes"], [30, 20, "no"]])

    result = describe(path, rows, "--in-place")

    assert result.stdout == f"{path}: described 2 features and the labels 0, 1\n"
    assert [feature["name"] for feature in metadata(path)["features"]] == ["in_a", "in_b"]
