"""The commands of the README and of the pages in docs/ give the output that is shown, and the tables leave nothing out."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnxmltools
import pytest
import skl2onnx
from catboost import CatBoostClassifier
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from starlette.testclient import TestClient
from xgboost import XGBClassifier

from function.classifier import load, load_bytes
from function.settings import Settings
from local_server import ServerSettings
from tests.support.entry_points import ROOT, LocalServer
from tests.support.models import lightgbm_classifier
from tests.support.pages import at, blocks, leave_out, link_project, read_page, run, run_command

README = Path("README.md").read_text()
PAGES = sorted(Path("docs").glob("*.md"))
OWN_TESTS = ("models", "image")  # below, and in tests/e2e/test_image_docs.py
MODELS, API, SETTINGS = (Path(f"docs/{name}.md").read_text() for name in ("models", "api", "settings"))

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the README's commands want curl")


def measured(text: str) -> str:
    """Leave out what differs from machine to machine: times, and the last digits of what was trained."""
    patterns = {r"[\d,]+ µs": "… µs", r"[\d,]+ bytes, SHA-256 [0-9a-f]{64}": "…", r"\d\.\d{4,}(e-\d+)?": "0.…"}
    patterns |= {
        r"\d{4}-\d\d-\d\d": "…",
        r"difference \d\.?\d*e-\d+": "difference …",
        r"in \d+ of \d+ trial rows": "in … trial rows",
    }
    for pattern, stands_for in patterns.items():
        text = re.sub(pattern, stands_for, text)
    return text


@pytest.mark.parametrize("block", blocks(README, "console"))
def test_commands_give_the_output_that_is_shown(block: str, local_server: LocalServer) -> None:
    """Of the shipped model."""
    assert run(block, at(local_server)) == block


@pytest.mark.parametrize("path", [path for path in PAGES if path.stem not in OWN_TESTS], ids=str)
def test_the_commands_of_a_page_give_the_output_that_is_shown(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One after the other, in a folder with the project's files; `tests/support/pages.py` says what a page may ask for."""
    page, here = read_page(path.read_text()), dict[str, str]()
    for name in page.needs:
        found = request.getfixturevalue(name)
        here |= at(found) if isinstance(found, LocalServer) else found if isinstance(found, Mapping) else {}
    link_project(tmp_path)
    for command in page.beforehand:
        run_command(command, here, tmp_path)

    for block in page.blocks:
        assert leave_out(page.differs, run(block, here, tmp_path)) == leave_out(page.differs, block)


def test_every_page_is_linked() -> None:
    """From the README."""
    assert [str(path) for path in PAGES if f"({path})" not in README] == [], "README.md has no link to these"


@pytest.mark.parametrize(
    "path", [*PAGES, *map(Path, ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))], ids=str
)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file of the project, and to a heading that it has."""
    missing = []
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        file = path.parent / target if target else path
        if not file.exists() or (heading and heading not in headings(file)):
            missing.append((target, heading))
    assert missing == []


def headings(path: Path) -> list[str]:
    """Give the anchors of a page as hosts of Markdown make them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_the_readme_is_read_to_its_end() -> None:
    """It has 200 lines at most."""
    assert len(README.splitlines()) <= 200


def test_every_page_says_first_what_it_is_for() -> None:
    """In its first sentence."""
    starts = [path.read_text().partition("\n# ")[2] or path.read_text() for path in PAGES]
    starts = [start.split("\n")[2] for start in starts]
    assert [start for start in starts if not start.startswith("After this page you ")] == []


@pytest.mark.parametrize("route", ["Python", "files"])
def test_a_model_of_ones_own_is_served_in_three_commands(route: str, tmp_path: Path) -> None:
    """From a DataFrame with missing values and texts to an endpoint that accepts null."""
    train, save = blocks(MODELS, "python")
    check, requests, export, _ = blocks(MODELS, "console")
    if route == "files":
        train = re.sub(r"^(export\(|from model).*\n", "", train, flags=re.MULTILINE) + save
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", train], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "penguins").exists() == (route == "Python")
    assert route == "Python" or run(export, folder=tmp_path) == export

    assert measured(run(check, folder=tmp_path)) == measured(check)
    with LocalServer.start(tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "penguins" / "penguins.onnx")) as server:
        assert run(requests, at(server)) == requests


def test_an_environment_of_ones_own_needs_the_packages_that_are_named() -> None:
    """What tests/e2e/test_commands.py exports with, but scikit-learn and NumPy, which the framework brings."""
    (named,) = re.findall(r"^pip install (.*)$", MODELS, re.MULTILINE)
    groups = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]
    needed = {re.split("[=<>]", package)[0] for package in groups["train"]}

    assert set(named.split()) == needed - {"numpy", "scikit-learn"}


def wine_file(folder: Path) -> Any:
    """Write a file as the table shows for scikit-learn, and a CSV beside it; return scikit-learn's model."""
    wine = load_wine()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(wine.data, wine.target)
    folder.mkdir()
    table = EXPORTERS["scikit-learn, trained on numbers"]
    (folder / "wine.onnx").write_bytes(run_row(table, model=model, X=wine.data))
    names = np.array(["barolo", "grignolino", "barbera"])[wine.target]
    lines = [[*wine.feature_names, "cultivar"], *([*row, name] for row, name in zip(wine.data, names, strict=True))]
    (folder / "wine.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return model


EXPORTERS = dict(re.findall(r"^\| ([^|]+) \| `(.*)`.* \|$", MODELS, re.MULTILINE))


def run_row(code: str, **names: Any) -> bytes:
    """Run what a row of the table says, and give the file."""
    namespace = {"skl2onnx": skl2onnx, "onnxmltools": onnxmltools, "numpy": np, "TfidfVectorizer": TfidfVectorizer}
    namespace |= {"LogisticRegression": LogisticRegression, "FloatTensorType": FloatTensorType, "n": 13} | names
    exec(code, namespace)  # noqa: S102 - the README's own
    if "onnx" in namespace:
        return bytes(namespace["onnx"].SerializeToString())
    return Path("my.onnx").read_bytes()


def test_a_file_that_exists_is_described(tmp_path: Path) -> None:
    """By its training data, or with a file of labels beside it."""
    *_, describe = blocks(MODELS, "console")
    (labels,) = blocks(MODELS, "json")
    wine_file(tmp_path / "wine")
    (tmp_path / "wine" / "label.json").write_text(labels)
    assert load(tmp_path / "wine" / "wine.onnx").model.labels == ("barolo", "grignolino", "barbera")
    (tmp_path / "wine" / "label.json").unlink()

    assert run(describe, folder=tmp_path) == describe
    assert load(tmp_path / "wine" / "wine.onnx").model.labels == ("barolo", "grignolino", "barbera")


BROUGHT: dict[str, Callable[[], tuple[Any, Any]]] = {
    "scikit-learn, trained on numbers": lambda: (make_pipeline(StandardScaler(), LogisticRegression()), None),
    "scikit-learn, one column of texts": lambda: (
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
        np.array(["a good day", "sehr schön", "übel, a_1 ١٢", "плохой день", "καλή 🎬 映画", "naïve cafe\u0301"] * 5),
    ),
    "XGBoost, trained on an array": lambda: (XGBClassifier(n_estimators=10), None),
    "LightGBM": lambda: (lightgbm_classifier(), None),
    "CatBoost": lambda: (CatBoostClassifier(iterations=10, verbose=False, allow_writing_files=False), None),
}


@pytest.mark.parametrize("name", [name for name in EXPORTERS if name not in ("PyTorch", "Keras")])
def test_every_exporter_gives_a_file_that_is_served(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its framework's own probabilities; PyTorch and Keras are in networks.py."""
    monkeypatch.chdir(tmp_path)
    wine = load_wine()
    model, texts = BROUGHT[name]()
    X, y = (wine.data.astype(np.float32), wine.target) if texts is None else (texts, [0, 0, 1, 1, 0, 1] * 5)
    model.fit(X, y)

    classifier = load_bytes(run_row(EXPORTERS[name], model=model, X=X), name="brought")

    rows = X.tolist() if texts is None else [[text] for text in X.tolist()]
    assert np.abs(classifier.predict(rows) - model.predict_proba(X)).max() < 1e-5


def test_tritonclient(local_server: LocalServer) -> None:
    """As the page has it."""
    (program,) = blocks(API, "python")
    (output,) = blocks(API, "text")
    here = program.replace("localhost:8000", urlsplit(local_server.url).netloc)

    result = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, check=True)

    assert result.stdout == output


def test_a_command_and_its_answer_come_early() -> None:
    """Nobody has to scroll."""
    head = "\n".join(README.splitlines()[:15])

    assert "make run" in head
    assert "$ curl" in head
    assert '{"prediction":' in head


def test_every_setting_is_in_a_table() -> None:
    """By its name."""
    documented = set(re.findall(r"`([A-Z_0-9]+)`", SETTINGS))

    settings = {name.upper() for name in [*Settings.model_fields, *ServerSettings.model_fields]}
    assert settings - documented == set(), "docs/settings.md has no row for these"


def test_every_route_is_in_a_table(client: TestClient) -> None:
    """By its method and path."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in API, f"docs/api.md's table needs `{method.upper()} {path}`"


def test_every_module_of_the_service_is_in_a_table() -> None:
    """In the row of its place, which says its purpose."""
    rows = {row.split("|")[1]: row for row in Path("CONTRIBUTING.md").read_text().splitlines() if row.startswith("| `")}
    for path in Path("function").rglob("[!_]*.py"):
        place = f"`{path.parent}/`"
        row = next((row for start, row in rows.items() if f"`{path}`" in start or place in start), "")
        assert f"`{path.stem}`" in row or f"`{path}`" in row or path.stem == "init_phase", (
            f"CONTRIBUTING.md: {path} isn't in the table of places"
        )
