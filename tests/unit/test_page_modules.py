"""The page's modules: their own tests in Node.js, against Python's csv and scikit-learn; and how they join."""

import csv
import graphlib
import io
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from function.api.modules import IMPORT, join, shorten
from function.api.routes.page import FOLDER
from tests.support.entry_points import ROOT

MODULES = sorted(FOLDER.glob("*.mjs"))
TESTS = sorted((ROOT / "tests" / "page").glob("*.test.mjs"))
TOP = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (?:(\w+)|[{\[]([^}\]]*)[}\]])", re.MULTILINE)


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, or skip where there is none that has its own test runner."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("no Node.js on the PATH")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 18:
        pytest.skip(f"Node.js 18 or newer is needed, the one on the PATH is {version}")
    return path


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Python makes of tables and of answers, for the tests in JavaScript."""
    path = tmp_path_factory.mktemp("page") / "cases.json"
    path.write_text(json.dumps({"tables": make_tables(), "answers": make_answers()}))
    return path


def make_tables() -> list[dict[str, Any]]:
    """500 tables of cells with quotes, separators and line breaks in them, as Python's csv writes them."""
    generator = random.Random(0)  # noqa: S311 - the same each time
    cells = ["", "a", 'x"y', "1,5", "2;5", "t\tt", "line\nbreak", "\r\n", '"', " s ", "é€", "|"]
    tables = []
    for _ in range(500):
        width = generator.randint(2, 4)
        rows = [[generator.choice(cells) for _ in range(width)] for _ in range(generator.randint(1, 5))]
        separator = generator.choice(",;\t|")
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator=generator.choice(["\n", "\r\n"])).writerows(rows)
        tables.append({"text": text.getvalue(), "separator": separator, "rows": rows})
    return tables


def make_answers() -> list[dict[str, Any]]:
    """Random answers with ties, of 2 to 30 labels, and scikit-learn's measures of them."""
    return [make_answer(n_labels, n_rows) for n_labels in (2, 3, 4, 30) for n_rows in (60, 1000)]


def make_answer(n_labels: int, n_rows: int) -> dict[str, Any]:
    generator = np.random.default_rng(n_labels * n_rows)
    given = generator.dirichlet(np.full(n_labels, 0.7), n_rows).round(2) + 0.001
    given /= given.sum(axis=1, keepdims=True)
    actual = np.where(generator.random(n_rows) < 0.5, given.argmax(axis=1), generator.integers(n_labels, size=n_rows))
    actual[:n_labels] = range(n_labels)
    predicted = np.where(
        generator.random(n_rows) < 0.9, given.argmax(axis=1), generator.integers(n_labels, size=n_rows)
    )
    macro = {"average": "macro", "zero_division": 0}
    return {
        "n_labels": n_labels,
        "rows": [
            {"probabilities": row.tolist(), "predicted": int(said), "actual": int(true)}
            for row, said, true in zip(given, predicted, actual, strict=True)
        ],
        "matrix": confusion_matrix(actual, predicted).tolist(),
        "precision": precision_score(actual, predicted, **macro),
        "recall": recall_score(actual, predicted, **macro),
        "f1": f1_score(actual, predicted, **macro),
        "auc": roc_auc_score(actual, given[:, 1] if n_labels == 2 else given, multi_class="ovr"),
        "log_loss": log_loss(actual, given),
    }


@pytest.mark.parametrize("path", TESTS, ids=[path.name for path in TESTS])
def test_nodes_own_tests_pass(path: Path, node: str, cases: Path) -> None:
    """Of what needs no browser."""
    environ = os.environ | {"CASES": str(cases)}
    result = subprocess.run(
        [node, "--test", "--test-reporter=spec", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd=ROOT,
    )

    assert result.returncode == 0, result.stdout
    assert re.search(r"^. pass [1-9]", result.stdout, re.MULTILINE)


def test_they_join_into_one_script(node: str, tmp_path: Path) -> None:
    """Which Node.js can read, with nothing left of modules."""
    (tmp_path / "page.mjs").write_text(script := join(FOLDER / "start.mjs"))

    subprocess.run([node, "--check", str(tmp_path / "page.mjs")], check=True)
    assert not re.search(r"^(import|export)\b|/\*|^\s*//", script, re.MULTILINE)


def test_every_module_is_part_of_the_page() -> None:
    """Imported by another, and by none that it imports itself."""
    imports = {path.name: {found["name"] for found in IMPORT.finditer(path.read_text())} for path in MODULES}

    assert set().union(*imports.values()) | {"start.mjs"} == set(imports)
    assert list(graphlib.TopologicalSorter(imports).static_order())[-1] == "start.mjs"  # raises on a cycle


def test_no_two_of_them_have_a_name_in_common() -> None:
    """At their top: joined they share it."""
    names = [
        name
        for path in MODULES
        for one, several in TOP.findall(path.read_text())
        for name in ([one] if one else re.findall(r"\w+", several))
    ]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", MODULES, ids=[path.name for path in MODULES])
def test_each_is_written_as_joining_wants_it(path: Path) -> None:
    """Imports of names as they are, one a line; no default exports; no text of several lines."""
    text = path.read_text()

    assert text.startswith("// ")
    assert len(re.findall(r"^import\b", text, re.MULTILINE)) == len(IMPORT.findall(text))
    assert not re.search(r"^import \{[^}]* as |^export (?:default|\{|\*)", text, re.MULTILINE)
    assert [line for line in text.splitlines() if line.count("`") % 2] == []


def test_a_style_means_the_same_without_its_spaces() -> None:
    """Those of selectors and values stay."""
    style = 'a :is(b, c) > d { margin: 0 1px; }\n@media (max-width: 9rem) {\n  p::before { content: "…"; }\n}\n'

    assert shorten(style) == 'a :is(b,c) > d{margin:0 1px}@media (max-width:9rem){p::before{content:"…"}}'
