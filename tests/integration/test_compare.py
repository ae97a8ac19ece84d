"""`python -m model compare`: what a new version changes for the old one's clients, and whether it is better."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from function.classifier import load
from model.export import export
from tests.support.command import run
from tests.support.kinds import GAPS
from tests.support.models import penguins

COLUMNS = ["mean radius", "mean texture", "mean smoothness"]


@pytest.fixture
def table() -> pd.DataFrame:
    data = load_breast_cancer(as_frame=True)
    return data.frame[COLUMNS].assign(tumour=np.where(data.target == 1, "benign", "malignant"))


@pytest.fixture
def holdout(table: pd.DataFrame, tmp_path: Path) -> Path:
    table[300:].to_csv(tmp_path / "holdout.csv", index=False)
    return tmp_path / "holdout.csv"


@pytest.fixture
def good(table: pd.DataFrame, tmp_path: Path) -> Path:
    return trained(table, tmp_path / "good.onnx")


@pytest.fixture
def weak(table: pd.DataFrame, tmp_path: Path) -> Path:
    """Trained so weakly that it says little else than the commonest label."""
    return trained(table, tmp_path / "weak.onnx", C=1e-4)


def trained(table: pd.DataFrame, path: Path, **options: float) -> Path:
    model = make_pipeline(StandardScaler(), LogisticRegression(**options))
    model.fit(table[COLUMNS][:300], table["tumour"][:300])
    export(model, table[COLUMNS][:300], table["tumour"][:300], path)
    return path


def compare(*arguments: str | Path) -> Any:
    result = run("compare", *arguments, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_both_evaluations_and_mcnemars_test(good: Path, weak: Path, holdout: Path, table: pd.DataFrame) -> None:
    """Numbers as SciPy and each model alone give them."""
    rows, truth = table[COLUMNS][300:].to_numpy().tolist(), table["tumour"][300:].to_numpy()
    old, new = (np.array(load(path).predict_label(rows)) for path in (good, weak))
    shifts = np.abs(load(weak).predict(rows) - load(good).predict(rows)).max(axis=1)

    found = compare(good, weak, holdout, "--target", "tumour")

    only_old, only_new = int(((old == truth) & (new != truth)).sum()), int(((new == truth) & (old != truth)).sum())
    assert only_old > only_new
    assert found["mcnemar"] == {
        "only_old": only_old,
        "only_new": only_new,
        "p": pytest.approx(binomtest(only_new, only_old + only_new).pvalue),
        "is_more_than_chance": True,
    }
    assert found["is_worse"]
    assert found["labels_changed"] == (old != new).sum() == sum(change["n_rows"] for change in found["changes"])
    assert [found["shift"][percent] for percent in ("50", "100")] == pytest.approx([np.median(shifts), shifts.max()])
    assert found["largest"][0]["line"] == int(shifts.argmax()) + 2
    for name, path in (("old", good), ("new", weak)):
        alone = json.loads(run("evaluate", path, holdout, "--target", "tumour", "--json").stdout)
        assert found["quality"][name] == {measure: alone[measure] for measure in found["quality"][name]}
        assert found["bytes"][name] == path.stat().st_size
        assert found["microseconds_per_1000_rows"][name] > 0


def test_worse_is_a_reason_to_fail(good: Path, weak: Path, holdout: Path) -> None:
    """By more than chance; the other way round it is none."""
    worse = run("compare", good, weak, holdout, "--target", "tumour", "--fail-if", "worse")
    better = run("compare", weak, good, holdout, "--target", "tumour", "--fail-if", "worse,incompatible")

    assert worse.returncode == 1
    assert re.fullmatch(
        r"worse: accuracy 0\.\d{4} → 0\.\d{4}; rows refused only by the old model 0, only by the new one 0\n",
        worse.stderr,
    )
    counts = r"only the old model is right in \d+ rows, only the new one in \d+"
    last = worse.stdout.splitlines()[-1]
    assert re.fullmatch(rf"{counts}; that is more than chance \(McNemar's exact test, p = .*\)", last), last
    assert (better.returncode, better.stderr) == (0, "")


def test_the_same_model_changes_nothing(good: Path, holdout: Path) -> None:
    """Without the truth; `changed` is no reason to fail then."""
    result = run("compare", good, good, holdout, "--fail-if", "changed,incompatible")

    assert (result.returncode, result.stderr) == (0, "")
    size = good.stat().st_size
    assert re.sub(r"rows +[\d,]+ +[\d,]+$", "rows … …", result.stdout, flags=re.MULTILINE).splitlines() == [
        "compatible: clients of the old model can use the new one",
        "269 rows of 269, 0 left out",
        "",
        "labels change in 0 rows of 269, 0.00%",
        (
            "largest change of a probability in a row: median 0.0000, 90 % of rows up to 0.0000, 99 % up to 0.0000, "
            "all up to 0.0000"
        ),
        "",
        *(line for line in result.stdout.splitlines() if line.endswith("new") and "old" in line),
        f"bytes{f'{size:,}'.rjust(len(result.stdout.splitlines()[7]) - 5 - 2 - len(f'{size:,}'))}  {size:,}",
        "µs per 1,000 rows … …",
    ]


def test_what_breaks_a_client_is_said(table: pd.DataFrame, good: Path, holdout: Path, tmp_path: Path) -> None:
    """Features in another order, another label; the gate says it in one line."""
    X, y = table[COLUMNS[::-1]], table["tumour"].replace("benign", "harmless")
    export(LogisticRegression(max_iter=10_000).fit(X, y), X, y, tmp_path / "other.onnx")
    breaks = [
        "features: in another order, mean smoothness, mean texture, mean radius",
        "labels: lost benign; added harmless",
    ]

    result = run("compare", good, tmp_path / "other.onnx", holdout, "--fail-if", "incompatible")
    found = compare(good, tmp_path / "other.onnx", holdout)

    assert found["breaks"][:2] == breaks
    assert result.returncode == 1
    assert result.stdout.startswith(f"incompatible: clients of the old model break:\n  {breaks[0]}\n  {breaks[1]}\n")
    assert result.stderr.startswith(f"incompatible: {breaks[0]}; {breaks[1]}")


def test_a_new_one_that_refuses_more_rows_is_worse(tmp_path: Path) -> None:
    """Whatever its accuracy on the others is; and null that was taken breaks a client."""
    gaps = GAPS["imputer"]()
    (tmp_path / "old.onnx").write_bytes(gaps.kind.artifact)
    names = [f"feature {place}" for place in range(6)]
    table = pd.DataFrame(gaps.kind.rows, columns=names).assign(y=gaps.kind.labels)
    whole = table.dropna()
    model = LogisticRegression(max_iter=1000).fit(whole[names].to_numpy(), whole["y"])
    export(model, whole[names].to_numpy(), whole["y"], tmp_path / "new.onnx")
    table.to_csv(tmp_path / "rows.csv", index=False)

    result = run("compare", tmp_path / "old.onnx", tmp_path / "new.onnx", tmp_path / "rows.csv",
                 "--target", "y", "--fail-if", "worse")  # fmt: skip

    n_refused = len(table) - len(whole)
    assert "  feature feature 0: null was accepted before, and is refused now\n" in result.stdout
    assert f"  {n_refused} of them refused only by the new model, and answered by the old one\n" in result.stdout
    assert result.returncode == 1
    assert result.stderr.endswith(f"rows refused only by the old model 0, only by the new one {n_refused}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-if", "worse"], "FileError: --fail-if worse: expected --target, the column of the true labels\n"),
        (["--fail-if", "slower"], "expected worse, incompatible, changed; got slower; --help shows the arguments\n"),
    ],
)
def test_a_reason_that_cant_be_judged_is_refused(arguments: list[str], message: str, good: Path, holdout: Path) -> None:
    """Before anything is read."""
    result = run("compare", good, good, holdout, *arguments)

    assert result.returncode in (1, 2)
    assert result.stderr.endswith(message)


def alone(artifact: Path, *arguments: str | Path) -> Any:
    return json.loads(run("evaluate", artifact, *arguments, "--json").stdout)


def numbered(table: pd.DataFrame, path: Path, *labels: str, n_classes: int = 2) -> Path:
    """Train on the classes 0, 1, …, and rename them."""
    y = pd.qcut(table["mean radius"], n_classes, labels=False)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table[COLUMNS[1:]], y)
    export(model, table[COLUMNS[1:]], y, path, labels=labels or None)
    return path


RENAMED = [
    ((), ("small", "large")),
    (("small", "large"), ()),
    (("small", "large"), ("small", "LARGE")),
    (("small", "large"), ("large", "small")),
]


@pytest.mark.parametrize(("before", "after"), RENAMED)
def test_a_model_whose_labels_are_renamed_is_as_good_as_before(
    before: tuple[str, ...], after: tuple[str, ...], table: pd.DataFrame, tmp_path: Path
) -> None:
    """Each reads the file's class ids as `evaluate` does; only what clients see changes."""
    old = numbered(table, tmp_path / "old.onnx", *before)
    new = numbered(table, tmp_path / "new.onnx", *after)
    rows = table.assign(size=pd.qcut(table["mean radius"], 2, labels=False))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    arguments = tmp_path / "rows.csv", "--target", "size"

    found = compare(old, new, *arguments)

    for name, path in (("old", old), ("new", new)):
        expected = alone(path, *arguments)
        assert found["quality"][name] == pytest.approx(
            {measure: expected[measure] for measure in found["quality"][name]}, rel=1e-12
        )  # the order of the labels is that of a sum
    names = dict(zip(before or ("0", "1"), after or ("0", "1"), strict=True))
    assert found["breaks"][0].startswith("labels: ")
    assert {(change["old"], change["new"]) for change in found["changes"]} == {
        (label, other) for label, other in names.items() if label != other
    }
    if not {*before}.issuperset(after):
        assert found["shift"]["100"] == 0
        assert compare(old, new, tmp_path / "rows.csv")["shift"]["100"] == 0


@pytest.mark.parametrize("whose", ["old", "new"])
def test_names_that_one_of_the_models_doesnt_have_are_refused(whose: str, table: pd.DataFrame, tmp_path: Path) -> None:
    """As by `evaluate`; --labels gives both models the file's names."""
    plain = numbered(table, tmp_path / "plain.onnx")
    named = numbered(table, tmp_path / "named.onnx", "small", "large")
    both = (plain, named) if whose == "old" else (named, plain)
    size = np.where(pd.qcut(table["mean radius"], 2, labels=False), "large", "small")
    table.assign(size=size).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "names.json").write_text('{"0": "small", "1": "large"}')

    result = run("compare", *both, tmp_path / "rows.csv", "--target", "size")
    found = compare(*both, tmp_path / "rows.csv", "--target", "size", "--labels", tmp_path / "names.json")

    message = (
        f'expected the {whose} model\'s labels, "0", "1"; got "large", "small"; --labels renames the model\'s classes'
    )
    assert (result.returncode, result.stderr) == (1, f"FileError: {tmp_path}/rows.csv: {message}\n")
    assert found["quality"]["old"] == found["quality"]["new"]
    assert found["labels_changed"] == 0


@pytest.mark.parametrize("names", [("small", "medium", "large"), ()], ids=["by label", "by class id"])
def test_a_class_that_only_one_model_has_counts_for_both(
    names: tuple[str, ...], table: pd.DataFrame, tmp_path: Path
) -> None:
    """Even if most rows are of it: the other one is wrong there."""
    old = numbered(table[table["mean radius"] < 14], tmp_path / "old.onnx", *names[:2])
    new = numbered(table, tmp_path / "new.onnx", *(names or ("a", "b", "c")), n_classes=3)
    place = pd.qcut(table["mean radius"], 3, labels=False)
    truth = place.map(dict(enumerate(names))) if names else place
    rows = table.assign(size=truth)[(place == 2) | (table.index < 300)]
    rows.to_csv(tmp_path / "rows.csv", index=False)

    found = compare(old, new, tmp_path / "rows.csv", "--target", "size")

    right = np.array(load(old).predict_label(rows[COLUMNS[1:]].to_numpy().tolist())) == rows["size"].astype(str)
    assert (found["n_rows"], found["left_out"]["n_rows"]) == (len(rows), 0)
    assert found["quality"]["old"]["accuracy"] == pytest.approx(right.mean())
    assert found["quality"]["new"]["accuracy"] == alone(new, tmp_path / "rows.csv", "--target", "size")["accuracy"]


def test_a_row_whose_label_may_be_renamed_is_left_out(table: pd.DataFrame, good: Path, tmp_path: Path) -> None:
    """One model has lost a label and has another: it isn't wrong where it can't be right."""
    y = table["tumour"].replace("malignant", "grave")
    export(LogisticRegression(max_iter=10_000).fit(table[COLUMNS], y), table[COLUMNS], y, tmp_path / "new.onnx")
    table[300:].to_csv(tmp_path / "rows.csv", index=False)

    found = compare(good, tmp_path / "new.onnx", tmp_path / "rows.csv", "--target", "tumour")

    n_lost = int((table["tumour"][300:] == "malignant").sum())
    reasons = {'its label is none of the new model\'s: "malignant"': n_lost}
    assert found["left_out"] == {"n_rows": n_lost, "reasons": reasons}
    assert found["breaks"] == ["labels: lost malignant; added grave"]


def test_models_of_other_features_are_said_to_be_so(tmp_path: Path, holdout: Path, good: Path) -> None:
    """The rows have no column for the second one."""
    (tmp_path / "penguins.onnx").write_bytes(penguins().artifact)

    result = run("compare", good, tmp_path / "penguins.onnx", holdout)

    assert result.returncode == 1
    assert result.stderr.startswith(
        f'FileError: {holdout}: expected a column for each feature, none is called "island", '
    )
    assert result.stderr.endswith("; so the new model takes them\n")
