"""`python -m model COMMAND` in the hands of someone who gets something wrong: one line says what, at every command."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from function.settings import shipped_model
from tests.support.command import run
from tests.support.entry_points import ROOT

IRIS = shipped_model()
NAMES = load_iris().feature_names
ROW = [5.1, 3.5, 1.4, 0.2]
LABELS = ("setosa", "versicolor", "virginica")
FORMATS = ".csv, .tsv, .jsonl, .ndjson, .parquet"
Arguments = list[Path | str]
# From a file of rows to what takes it.
ROWS: dict[str, Callable[[Path], Arguments]] = {
    "describe": lambda path: [IRIS, path, "--target", "species", "--output", "out.onnx"],
    "export": lambda path: ["model.joblib", path, "--target", "species", "--output", "out.onnx"],
    "evaluate": lambda path: [IRIS, path, "--target", "species"],
    "compare": lambda path: [IRIS, IRIS, path, "--target", "species"],
    "score": lambda path: [IRIS, path, "out.csv"],
}
# From a model to what takes it.
MODELS: dict[str, Callable[[Path], Arguments]] = {
    "check": lambda path: [path],
    "describe": lambda path: [path, "iris.csv", "--target", "species", "--output", "out.onnx"],
    "evaluate": lambda path: [path, "iris.csv", "--target", "species"],
    "compare": lambda path: [IRIS, path, "iris.csv"],
    "score": lambda path: [path, "iris.csv", "out.csv"],
    "export": lambda path: [path, "iris.csv", "--target", "species", "--output", "out.onnx"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the data of Iris, and a model of it in a pickle that knows no names."""
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    table = pd.DataFrame(X, columns=NAMES).assign(species=[LABELS[label] for label in y])
    table.to_csv("iris.csv", index=False)
    table.to_csv("no header.csv", index=False, header=False)
    table.assign(species=[[1]] * len(table)).to_parquet("lists.parquet")
    Path("lists.jsonl").write_text(json.dumps({**dict(zip(NAMES, ROW, strict=True)), "species": ["setosa"]}))
    Path("text.csv").write_text("hello")
    Path("header.csv").write_text(",".join([*NAMES, "species"]) + "\n")
    for name in ("empty.csv", "empty.jsonl", "empty.parquet", "empty.model"):
        Path(name).touch()
    Path("text.model").write_text("hello")
    Path("no graph.model").write_bytes(b"\x08\x0a")
    Path("folder").mkdir()
    Path("rows.xlsx").touch()
    joblib.dump(LogisticRegression(max_iter=1000).fit(X, table["species"]), "model.joblib")
    return tmp_path


def said(command: str, *arguments: Path | str) -> str:
    """Give the one line that a command ends with."""
    result = run(command, *arguments)
    assert result.returncode == 1
    assert not list(Path().glob("out*"))
    (line,) = result.stderr.splitlines()
    assert re.match(r"(FileError|ArtifactError): ", line)
    return line.partition(": ")[2]


NUMBERS = 'expected a header with names, got the numbers "5.1", "3.5", "1.4", "0.2"'
REPEATED = 'expected a header with names, got the numbers "5.1", "0.2", "0.2"'
SHEET = "save the sheet as CSV"
WRONG_ROWS = [
    ("no.csv", "no.csv: there is no such file"),
    ("*.tsv", "*.tsv: there is no file of such a name"),
    ("folder", f"folder: there is no file in it that ends in {FORMATS}"),
    (
        "rows.xlsx",
        f"rows.xlsx: expected a name that ends in {FORMATS}, or that followed by .gz, .bz2, .zst, .lz4; {SHEET}",
    ),
    ("text.model", "text.model: expected a name that ends in .csv, "),
    ("empty.csv", "empty.csv: expected rows, got an empty file"),
    ("empty.jsonl", "empty.jsonl: expected a row of JSON in each line; got an empty file"),
    ("empty.parquet", "empty.parquet: can't be read; Parquet file size is 0 bytes"),
]


@pytest.mark.parametrize("command", ROWS)
@pytest.mark.parametrize(("name", "message"), WRONG_ROWS)
def test_a_file_without_rows(command: str, name: str, message: str) -> None:
    """Whichever command reads it."""
    assert said(command, *ROWS[command](Path(name))).startswith(message)


@pytest.mark.parametrize("command", [command for command in ROWS if command != "score"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("header.csv", "header.csv: expected rows, got none"),
        ("no header.csv", f"no header.csv: {NUMBERS}; "),
        ("text.csv", 'text.csv: no column is called "species"; it has "hello"'),
        ("lists.parquet", "lists.parquet: expected numbers, texts or booleans in column species, got list<"),
        ("lists.jsonl", "lists.jsonl: expected "),
    ],
)
def test_a_file_without_labels(command: str, name: str, message: str) -> None:
    """Where they are asked for."""
    line = said(command, *ROWS[command](Path(name)))

    assert line.startswith(message)
    assert name != "lists.jsonl" or line.endswith(", got list<item: string>")


@pytest.mark.parametrize("command", MODELS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.model", "no.model: can't be read (No such file or directory)"),
        ("folder", "folder: can't be read (Is a directory)"),
        ("empty.model", "empty.model: "),
        ("text.model", "text.model: not a"),
        ("no graph.model", "no graph.model: not a"),
        ("iris.csv", "iris.csv: not a"),
    ],
)
def test_a_file_that_is_no_model(command: str, name: str, message: str) -> None:
    """Whichever command reads it."""
    line = said(command, *MODELS[command](Path(name)))

    assert line.startswith(message)
    assert "MODEL_FILEPATH" not in line  # which a command has no use for


def quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


FIX = "give the columns the features' names, or use --by-position for their order"
FEATURE = f'to be no features, got "{NAMES[0]}"'
MISTAKES: list[tuple[list[Path | str], str]] = [
    (["evaluate", IRIS, "iris.csv", "--target", NAMES[0]], f"iris.csv: expected --target and --ignore {FEATURE}"),
    (["score", IRIS, "iris.csv", "out.csv", "--ignore", NAMES[0]], f"iris.csv: expected --ignore {FEATURE}"),
    (
        ["score", IRIS, "short.csv", "out.csv"],
        f'short.csv: expected a column for each feature, none is called "{NAMES[3]}"; it has {quoted(NAMES[:3])}; {FIX}',
    ),
    (["score", IRIS, "iris.csv", "out.csv", "--keep", "id"], 'iris.csv: expected the columns of --keep, it has none called "id"'),
    (["describe", IRIS, "iris.csv", "--target", "species", "--output", ""], "expected the name of a file to write, got none"),
    (
        ["export", "model.joblib", "iris.csv", "--target", "species", "--output", ""],
        "expected the name of a file to write, got none",
    ),
    (
        ["describe", IRIS, "iris.csv", "--target", "species", "--output", "iris.csv"],
        "iris.csv: expected a name that ends in .onnx, for the model is written there",
    ),
    (
        ["export", "model.joblib", "iris.csv", "--target", "species", "--output", "out.pkl"],
        "out.pkl: expected a name that ends in .onnx, for the model is written there",
    ),
    (
        ["describe", IRIS, "no header.csv", "--target", "setosa", "--output", "out.onnx"],
        f"no header.csv: {NUMBERS}; put names above the first row",
    ),
    (
        ["export", "model.joblib", "no header.csv", "--target", "setosa", "--output", "out.onnx"],
        f"no header.csv: {NUMBERS}; put names above the first row",
    ),
    (
        ["describe", IRIS, "repeated.csv", "--target", "setosa", "--output", "out.onnx"],
        f"repeated.csv: {REPEATED}; put names above the first row",
    ),
    (
        ["export", "model.joblib", "repeated.csv", "--target", "setosa", "--output", "out.onnx"],
        f"repeated.csv: {REPEATED}; put names above the first row",
    ),
    (
        ["evaluate", IRIS, "no header.csv", "--target", "setosa", "--by-position"],
        f'no header.csv: {NUMBERS}; for a file without a header add for example --no-header --target "column 5"',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_in_the_arguments(arguments: list[str], message: str) -> None:
    """Is named, and what was expected."""
    Path("short.csv").write_text(f"{','.join(NAMES[:3])}\n1,2,3\n")
    Path("repeated.csv").write_text("5.1,0.2,0.2,True,True,setosa\n" * 2)

    command, *others = arguments
    assert said(command, *others) == message


HEADLESS = {
    "features alone": ("5.1,3.5,1.4,0.2", "score", "--no-header"),
    "and labels": ("5.1,3.5,1.4,0.2,setosa", "score", '--no-header --ignore "column 5"'),
    "whole numbers alone": ("5,3,1,0", "score", "--no-header"),
    "one of them twice": ("5.1,0.2,0.2,0.2", "score", "--no-header"),
    "whole numbers, one of them twice": ("5,0,0,0,0", "score", '--no-header --ignore "column 5"'),
    "decimal commas": ("5,1;3,5;1,4;0,2", "score", "--no-header"),
    "decimal commas and labels": ("5,1\t3,5\t1,4\t0,2\tsetosa", "score", '--no-header --ignore "column 5"'),
    "labels to evaluate": ("5.1,3.5,1.4,0.2,setosa", "evaluate", '--no-header --target "column 5"'),
    "labels and an id": (
        "5.1,3.5,1.4,0.2,setosa,7",
        "evaluate",
        '--no-header --target "column 5" --ignore "column 6"',
    ),
    "features to compare": ("5.1,3.5,1.4,0.2", "compare", "--no-header"),
    "labels to compare": ("5.1,3.5,1.4,0.2,setosa", "compare", '--no-header --target "column 5"'),
}


ALL_ROWS: dict[str, Arguments] = {
    "score": [IRIS, "rows.csv", "out.csv"],
    "evaluate": [IRIS, "rows.csv"],
    "compare": [IRIS, IRIS, "rows.csv"],
}


@pytest.mark.parametrize("options", [[], ["--by-position"]])
@pytest.mark.parametrize("kind", HEADLESS)
def test_a_csv_without_a_header_is_read_at_the_second_try(kind: str, options: list[str]) -> None:
    """The first says which options to add, and those are the command's own."""
    row, command, added = HEADLESS[kind]
    Path("rows.csv").write_text(f"{row}\n{row}\n")
    needed = ["--target", "species"] if command == "evaluate" else []

    line = said(command, *ALL_ROWS[command], *needed, *options)

    assert line.startswith('rows.csv: expected a header with names, got the numbers "5')
    assert line.replace("for example ", "").endswith(f"; for a file without a header add {added}")
    assert run(command, *ALL_ROWS[command], *shlex.split(added)).stderr == ""


@pytest.mark.parametrize("command", ["evaluate", "compare", "score"])
def test_names_that_differ_in_case_and_blanks_are_asked_for(command: str) -> None:
    """In place of advice to take the columns in their order."""
    text = Path("iris.csv").read_text().replace(NAMES[0], NAMES[0].upper(), 1).replace(NAMES[3], f" {NAMES[3]} ", 1)
    Path("other.csv").write_text(text)

    line = said(command, *ROWS[command](Path("other.csv")))

    meant = f'did you mean "{NAMES[0].upper()}", " {NAMES[3]} "? Upper and lower case and blanks count'
    found = f'none is called "{NAMES[0]}", "{NAMES[3]}"; {meant}'
    assert line == f"other.csv: expected a column for each feature, {found}"


@pytest.mark.parametrize("command", ["evaluate", "compare", "describe", "export"])
def test_a_target_that_differs_in_case_is_asked_for(command: str) -> None:
    """Whichever command reads it."""
    given = [argument if argument != "species" else "Species" for argument in ROWS[command](Path("iris.csv"))]

    expected = 'no column is called "Species"; did you mean "species"? Upper and lower case and blanks count'
    assert said(command, *given) == f"iris.csv: {expected}"


def test_columns_by_position_are_counted_by_the_options_of_the_command() -> None:
    """score has no --target."""
    Path("six.csv").write_text("a,b,c,d,e,f\n1,2,3,4,5,6\n")

    line = said("score", IRIS, "six.csv", "out.csv", "--by-position", "--ignore", "f")
    other = said("evaluate", IRIS, "six.csv", "--by-position", "--target", "f")

    message = "six.csv: expected 4 columns, as the model takes, besides "
    got = f"; got 5: {quoted(list('abcde'))}"
    assert (line, other) == (
        f"{message}those of --ignore{got}",
        f"{message}the column of --target and those of --ignore{got}",
    )


def test_a_model_that_was_given_an_array_is_exported_by_a_file() -> None:
    """Without a warning that the file has names."""
    result = run("export", "model.joblib", "iris.csv", "--target", "species", "--output", "out.onnx")

    assert (result.returncode, result.stderr) == (0, "")


def test_columns_may_be_called_by_whole_numbers() -> None:
    """As pandas calls those of an array."""
    X, y = load_iris(return_X_y=True)
    pd.DataFrame(X).assign(species=[LABELS[label] for label in y]).to_csv("numbers.csv", index=False)

    assert run("evaluate", IRIS, "numbers.csv", "--target", "species", "--by-position").returncode == 0


def test_an_output_that_nobody_reads_any_more_is_no_failure_of_the_command() -> None:
    """As of `| head -1`."""
    command = [sys.executable, "-m", "model", "evaluate", str(IRIS), "iris.csv", "--target", "species"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout and process.stderr  # noqa: PT018 - for mypy
        process.stdout.close()

        assert process.stderr.read() == ""


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    """With the status that shells give it."""
    pd.concat([pd.read_csv("iris.csv")] * 20_000).to_parquet("large.parquet")
    command = [sys.executable, "-m", "model", "score", str(IRIS), "large.parquet", "out.jsonl"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - whoever runs this may ignore it
    ) as process:
        deadline = time.monotonic() + 60
        while not Path("out.jsonl.partial").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)

        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130
    assert not Path("out.jsonl").exists()
