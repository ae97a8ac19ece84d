"""`python -m model evaluate`: how good a model is, by scikit-learn's metrics, and which rows were left out."""

import csv
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from function.classifier import load
from function.settings import shipped_model
from model.export import export
from tests.support.command import run
from tests.support.entry_points import ROOT
from tests.support.kinds import KINDS
from tests.support.models import penguins
from tests.support.passengers import export_passengers, passengers

IRIS = shipped_model()
PENGUINS = Path(str(files("palmerpenguins") / "data" / "penguins.csv"))


@pytest.fixture
def holdout(tmp_path: Path) -> Path:
    """All of Iris, with its names for the species."""
    data = load_iris()
    rows = [[*row, data.target_names[place]] for row, place in zip(data.data.tolist(), data.target, strict=True)]
    return write(tmp_path / "holdout.csv", [[*data.feature_names, "species"], *rows])


def write(path: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def evaluate(*arguments: str | Path) -> Any:
    result = run("evaluate", *arguments, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_every_number_is_scikit_learns(holdout: Path) -> None:
    """On the same probabilities; of a model that makes mistakes."""
    data = load_iris()
    found = evaluate(IRIS, holdout, "--target", "species")
    classifier = load(IRIS)
    probabilities = classifier.predict(data.data.tolist()).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    said = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs((said == data.target)[bins == b].sum() - sure[bins == b].sum()) for b in range(10)) / 150
    report = metrics.classification_report(data.target, said, target_names=data.target_names, output_dict=True)
    interval = binomtest(146, 150).proportion_ci(method="wilson")

    assert (found["n_rows"], found["left_out"]) == (150, {"n_rows": 0, "reasons": {}})
    assert found["baseline"] == {"label": "setosa", "accuracy": pytest.approx(1 / 3)}
    assert (
        found["matrix"] == metrics.confusion_matrix(data.target, said).tolist() == [[50, 0, 0], [0, 48, 2], [0, 2, 48]]
    )
    assert found["interval"] == pytest.approx([interval.low, interval.high])
    assert {name: found[name] for name in found if isinstance(found[name], float)} == pytest.approx(
        {
            "accuracy": report["accuracy"],
            "balanced_accuracy": metrics.balanced_accuracy_score(data.target, said),
            "macro_precision": report["macro avg"]["precision"],
            "macro_recall": report["macro avg"]["recall"],
            "macro_f1": report["macro avg"]["f1-score"],
            "log_loss": metrics.log_loss(data.target, probabilities),
            "brier_score": metrics.brier_score_loss(data.target, probabilities),
            "roc_auc": metrics.roc_auc_score(data.target, probabilities, multi_class="ovr"),
            "calibration_error": gap,
        }
    )
    for name in data.target_names:
        of_label = report[name]
        expected = {"precision": of_label["precision"], "recall": of_label["recall"], "f1": of_label["f1-score"]}
        assert found["labels"][name].items() >= {key: pytest.approx(value) for key, value in expected.items()}.items()


def test_two_classes_have_the_brier_score_and_the_roc_auc_of_the_second(tmp_path: Path) -> None:
    """As scikit-learn gives them; the label is by a threshold and not the highest probability."""
    kind = KINDS["threshold 0.1, int64"]()
    (tmp_path / "tuned.onnx").write_bytes(kind.artifact)
    truth = [str(int(row[0] < 14)) for row in kind.rows]
    path = write(
        tmp_path / "rows.csv", [["a", "b", "y"], *([*row, y] for row, y in zip(kind.rows, truth, strict=True))]
    )

    found = evaluate(tmp_path / "tuned.onnx", path, "--target", "y", "--by-position")

    targets, sure = np.array(truth).astype(int), load(tmp_path / "tuned.onnx").predict(kind.rows)[:, 1]
    assert found["accuracy"] == metrics.accuracy_score(truth, kind.labels)
    assert found["brier_score"] == pytest.approx(metrics.brier_score_loss(targets, sure), abs=1e-6)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(targets, sure))


def test_what_a_terminal_shows(holdout: Path) -> None:
    """The headline with what stands beside it, then each label, the confusion, the worst mistakes."""
    result = run("evaluate", IRIS, holdout, "--target", "species", "--worst", "2")

    assert result.returncode == 0
    assert (
        result.stdout
        == f"""150 rows of 150, 0 left out
accuracy           0.9733, 95 % interval 0.9334 to 0.9896
baseline           0.3333, always predicting setosa, the most common label
balanced accuracy  0.9733
macro F1           0.9733, precision 0.9733, recall 0.9733
log loss           0.1107
Brier score        0.0475
ROC AUC            0.9991, each label against the rest
calibration error  0.0351

label       precision  recall      F1  ROC AUC  rows
setosa         1.0000  1.0000  1.0000   1.0000    50
versicolor     0.9600  0.9600  0.9600   0.9986    50
virginica      0.9600  0.9600  0.9600   0.9986    50

true ↓ predicted →  setosa  versicolor  virginica
setosa                  50           0          0
versicolor               0          48          2
virginica                0           2         48

worst mistakes, 2 of 4
line{" " * (len(str(holdout)) - 1)}        true  predicted  probability
{holdout}:85  versicolor  virginica       0.9068
{holdout}:79  versicolor  virginica       0.9052
"""
    )


def test_a_real_table_with_gaps_says_what_was_left_out(tmp_path: Path) -> None:
    """Penguins, by a model that takes no gaps: 11 rows have some; by one that takes them none is left out."""
    (tmp_path / "whole.onnx").write_bytes(penguins().artifact)

    found = evaluate(tmp_path / "whole.onnx", PENGUINS, "--target", "species")

    null = "null is accepted if the model was trained with missing values: use python -m model describe, or ALLOW_MISSING=true"
    assert (found["n_rows"], found["left_out"]["n_rows"]) == (333, 11)
    assert found["left_out"]["reasons"] == {
        f'"sex": expected a string, got null; {null}': 9,
        f'"bill_length_mm": expected a number, got null; {null}': 2,
    }
    lines = run("evaluate", tmp_path / "whole.onnx", PENGUINS, "--target", "species").stdout.splitlines()
    assert lines[0] == "333 rows of 344, 11 left out"
    places = ", ".join(f"{PENGUINS}:{line}" for line in (10, 11, 12))
    assert lines[1] == f'  9: "sex": expected a string, got null; {null} ({places}, …)'


def test_every_format_gives_the_same(holdout: Path, tmp_path: Path) -> None:
    """CSV with commas and semicolons and compressed, JSON lines, Parquet; in one file or in several of a folder."""
    table = arrow_csv.read_csv(holdout)
    rows = table.to_pylist()
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=40)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path / "semicolon.csv", [list(rows[0]), *(list(row.values()) for row in rows)], ";")
    (tmp_path / "folder").mkdir()
    parquet.write_table(table.slice(0, 70), tmp_path / "folder" / "a.parquet")
    write(tmp_path / "folder" / "b.csv", [list(rows[0]), *(list(row.values()) for row in rows[70:])])
    with pa.CompressedOutputStream(str(tmp_path / "rows.csv.gz"), "gzip") as file:
        file.write(holdout.read_bytes())
    expected = evaluate(IRIS, holdout, "--target", "species", "--worst", "0")

    for name in ("rows.parquet", "rows.jsonl", "semicolon.csv", "folder", "folder/*", "rows.csv.gz"):
        assert evaluate(IRIS, tmp_path / name, "--target", "species", "--worst", "0") == expected, name


def test_a_gate_says_each_miss_and_ends_with_status_1(holdout: Path) -> None:
    """And with 0 where there is none."""
    bounds = "accuracy=0.99,macro_f1=0.9,recall:virginica=0.98"

    missed = run(
        "evaluate", IRIS, holdout, "--target", "species", "--fail-under", bounds, "--fail-over", "log_loss=0.1"
    )
    kept = run(
        "evaluate", IRIS, holdout, "--target", "species", "--fail-under", "accuracy=0.95", "--fail-over", "left_out=0"
    )

    assert (missed.returncode, missed.stderr.splitlines()) == (
        1,
        [
            "accuracy is 0.9733, expected at least 0.99",
            "recall:virginica is 0.96, expected at least 0.98",
            "log_loss is 0.1107, expected at most 0.1",
        ],
    )
    assert (kept.returncode, kept.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-under", "log_loss=0.1"], "log_loss is bounded by --fail-over"),
        (["--fail-over", "accuracy=0.1"], "accuracy is bounded by --fail-under"),
        (["--fail-under", "accuracy"], "expected NAME=NUMBER, such as accuracy=0.9; got 'accuracy'"),
        (["--fail-under", "acuracy=0.9"], "expected one of accuracy, balanced_accuracy, "),
        (["--fail-under", "accuracy=90"], "expected accuracy from 0 to 1, got 90; 0.9 is 90 %"),
        (
            ["--fail-under", "macro_f1=0.5,recall:setosa=nan"],
            "expected recall:setosa from 0 to 1, got nan; 0.9 is 90 %",
        ),
        (["--fail-over", "calibration_error=5"], "expected calibration_error from 0 to 1, got 5; 0.9 is 90 %"),
        (["--fail-under", "accuracy=high"], "expected accuracy=NUMBER, got 'accuracy=high'"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(arguments: list[str], message: str, holdout: Path) -> None:
    """Before anything is read."""
    result = run("evaluate", IRIS, holdout, "--target", "species", *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def labelled(path: Path, *labels: str) -> Path:
    return write(path, [[*load_iris().feature_names, "species"], *([5, 3, 1, 0, label] for label in labels)])


@pytest.mark.parametrize("command", [["evaluate"], ["compare", IRIS]])
@pytest.mark.parametrize("labels", [("rosa",), ("rosa", "setosa", "lily")])
def test_labels_of_which_most_are_none_of_the_models_are_refused(
    labels: tuple[str, ...], command: list[str | Path], tmp_path: Path
) -> None:
    """With both lists."""
    path = labelled(tmp_path / "rows.csv", *labels)

    result = run(*command, IRIS, path, "--target", "species")

    unknown = ", ".join(f'"{label}"' for label in sorted({*labels} - {"setosa"}))
    message = f'FileError: {path}: expected the model\'s labels, "setosa", "versicolor", "virginica"; got {unknown}'
    assert (result.returncode, result.stderr) == (1, f"{message}; --labels renames the model's classes\n")


@pytest.mark.parametrize("command", [["evaluate"], ["compare", IRIS]])
def test_some_labels_that_the_model_doesnt_have_leave_their_rows_out(command: list[str | Path], tmp_path: Path) -> None:
    """By file and line; in two files, one of which has none that is known."""
    first = labelled(tmp_path / "1.csv", "setosa", "setosa ", "setosa", "", "setosa", "setosa")
    second = labelled(tmp_path / "2.csv", *["rosa"] * 4)

    result = run(*command, IRIS, first, labelled(tmp_path / "3.csv", *["setosa"] * 9), second, "--target", "species")
    document = json.loads(run(*command, IRIS, first, "--target", "species", "--json").stdout)

    unknown = "its label is none of the model's"
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    start = lines.index("13 rows of 19, 6 left out")
    assert lines[start + 1 : start + 4] == [
        f'  4: {unknown}: "rosa" ({second}:2, {second}:3, {second}:4, …)',
        f'  1: {unknown}: "setosa " ({first}:3)',
        f"  1: it has no label ({first}:5)",
    ]
    assert document["left_out"] == {"n_rows": 2, "reasons": {f'{unknown}: "setosa "': 1, "it has no label": 1}}


def test_labels_may_be_the_models_own_class_ids(tmp_path: Path) -> None:
    """0, 1 and 2 of scikit-learn's table, which the file calls setosa, versicolor and virginica."""
    data = load_iris()
    table = pa.table({name: data.data[:, place] for place, name in enumerate(data.feature_names)} | {"y": data.target})
    parquet.write_table(table, tmp_path / "iris.parquet")

    assert evaluate(IRIS, tmp_path / "iris.parquet", "--target", "y")["accuracy"] == pytest.approx(146 / 150)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet", "in.jsonl"])
def test_texts_that_the_model_wasnt_trained_on_are_counted(name: str, tmp_path: Path) -> None:
    """In the rows that are answered, by feature."""
    export_passengers(tmp_path / "x.onnx")
    rows = passengers()
    rows["sex"] = rows["sex"].where(rows.index > 4, "unknown")
    rows.loc[9, "survived"] = 7
    rows.loc[9, "sex"] = "unknown"
    rows.to_csv(tmp_path / "in.csv", index=False)
    rows.to_parquet(tmp_path / "in.parquet")
    rows.to_json(tmp_path / "in.jsonl", orient="records", lines=True)

    result = run("evaluate", tmp_path / "x.onnx", tmp_path / name, "--target", "survived")
    found = evaluate(tmp_path / "x.onnx", tmp_path / name, "--target", "survived")

    assert result.stdout.splitlines()[2] == "sex: 5 rows have a text that the model wasn't trained on"
    assert found["new_texts"] == {"sex": 5}


def beside_a_gap(tmp_path: Path, *labels: str) -> tuple[pd.DataFrame, LogisticRegression]:
    """Write a model of the classes 0 and 1, and return its rows, of which one has no class: 1 is 1.0 then."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    X, y = X[["alcohol", "hue"]], (y > 0).astype(int)
    model = LogisticRegression().fit(X, y)
    export(model, X, y, tmp_path / "x.onnx", labels=labels or None)
    return X.assign(y=y.where(y.index != 3)), model


@pytest.mark.parametrize("labels", [(), ("no", "yes")])
@pytest.mark.parametrize("name", ["in.csv", "comma.csv", "in.parquet", "in.jsonl"])
def test_whole_numbers_beside_a_gap_are_labels_in_every_format(
    name: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    """pandas writes them with decimals into a CSV."""
    rows, model = beside_a_gap(tmp_path, *labels)
    rows.to_csv(tmp_path / "in.csv", index=False)
    rows.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    rows.to_parquet(tmp_path / "in.parquet")
    rows.to_json(tmp_path / "in.jsonl", orient="records", lines=True)

    found = evaluate(tmp_path / "x.onnx", tmp_path / name, "--target", "y")

    known = rows.dropna()
    assert found["left_out"] == {"n_rows": 1, "reasons": {"it has no label": 1}}
    assert found["accuracy"] == pytest.approx(model.score(known[["alcohol", "hue"]], known["y"]))


def test_a_label_with_decimals_is_itself(tmp_path: Path) -> None:
    """Not the class id without them."""
    rows, model = beside_a_gap(tmp_path, "1.0", "0.0")
    rows.to_csv(tmp_path / "in.csv", index=False)

    known = rows.dropna()
    assert evaluate(tmp_path / "x.onnx", tmp_path / "in.csv", "--target", "y")["accuracy"] == pytest.approx(
        1 - model.score(known[["alcohol", "hue"]], known["y"])
    )


def test_another_public_table(tmp_path: Path) -> None:
    """Wine, held out: what export says of it is what evaluate finds."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    X, X_held, y, y_held = train_test_split(X, y, random_state=0)
    export(LogisticRegression(max_iter=10_000).fit(X, y), X, y, tmp_path / "wine.onnx", holdout=(X_held, y_held))
    parquet.write_table(pa.Table.from_pandas(X_held.assign(cultivar=y_held)), tmp_path / "held.parquet")

    found = evaluate(tmp_path / "wine.onnx", tmp_path / "held.parquet", "--target", "cultivar")

    training = load(tmp_path / "wine.onnx").model.training or {}
    assert (found["n_rows"], found["accuracy"]) == (45, pytest.approx(training["accuracy"], abs=1e-4))


def test_the_command_itself(holdout: Path) -> None:
    """In a process of its own, for a gate: its output, its one line for a miss, its status."""
    command = [sys.executable, "-m", "model", "evaluate", str(IRIS), str(holdout), "--target", "species"]

    result = subprocess.run(
        [*command, "--fail-under", "accuracy=0.99"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stderr) == (1, "accuracy is 0.9733, expected at least 0.99\n")
    assert result.stdout.startswith("150 rows of 150, 0 left out\naccuracy           0.9733, 95 % interval ")
