"""The README's commands give the output that it shows, and its tables leave nothing out."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from function.settings import Settings
from local_server import ServerSettings
from tests.support.entry_points import ROOT, LocalServer

README = Path("README.md").read_text()
SECTIONS = {section.partition("\n")[0]: section for section in README.split("\n## ")}
OWN_MODEL = "Bring your own model"

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the README's commands want curl")


def blocks(section: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def run(block: str, server: LocalServer | None = None, folder: Path = ROOT) -> str:
    """Give the block again as it comes out here: each command and its output."""
    lines = []
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        here = command.replace(".venv/bin/python", sys.executable).replace("curl ", "curl --silent ", 1)
        if server is not None:
            here = here.replace("localhost:8000", urlsplit(server.url).netloc)
        result = subprocess.run(
            ["bash", "-c", here], cwd=folder, env=environ, capture_output=True, text=True, check=True
        )
        lines += [f"$ {command}", result.stdout.rstrip("\n")]
    return "\n".join(lines) + "\n"


def measured(text: str) -> str:
    """Leave out what differs from machine to machine: times, and the last digits of what was trained."""
    patterns = {r"[\d,]+ µs": "… µs", r"[\d,]+ bytes, SHA-256 [0-9a-f]{64}": "…", r"\d\.\d{4,}(e-\d+)?": "0.…"}
    for pattern, stands_for in patterns.items():
        text = re.sub(pattern, stands_for, text)
    return text


@pytest.mark.parametrize(
    "block", [block for title, text in SECTIONS.items() if title != OWN_MODEL for block in blocks(text, "console")]
)
def test_commands_give_the_output_that_is_shown(block: str, local_server: LocalServer) -> None:
    """Of the shipped model."""
    assert run(block, local_server) == block


def test_a_model_of_ones_own_is_served_in_three_steps(tmp_path: Path) -> None:
    """As the README has it."""
    export, _ = blocks(SECTIONS[OWN_MODEL], "python")
    (labels,) = blocks(SECTIONS[OWN_MODEL], "json")
    check, requests, _, _ = blocks(SECTIONS[OWN_MODEL], "console")
    subprocess.run([sys.executable, "-c", export], cwd=tmp_path, env=os.environ, check=True)
    (tmp_path / "wine" / "label.json").write_text(labels)

    assert measured(run(check, folder=tmp_path)) == measured(check)
    with LocalServer.start(tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "wine" / "wine.onnx")) as server:
        assert run(requests, server) == requests


def test_numbers_and_texts_mixed(tmp_path: Path) -> None:
    """As the README has it."""
    _, export = blocks(SECTIONS[OWN_MODEL], "python")
    _, _, describe, requests = blocks(SECTIONS[OWN_MODEL], "console")
    subprocess.run([sys.executable, "-c", export], cwd=tmp_path, env=os.environ, check=True)

    assert run(describe, folder=tmp_path) == describe
    with LocalServer.start(tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "penguins" / "penguins.onnx")) as server:
        assert run(requests, server) == requests


def test_tritonclient(local_server: LocalServer) -> None:
    """As the README has it."""
    (program,) = blocks(SECTIONS["Routes"], "python")
    (output,) = blocks(SECTIONS["Routes"], "text")
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
    documented = set(re.findall(r"`([A-Z_0-9]+)`", SECTIONS["Settings"]))

    settings = {name.upper() for name in [*Settings.model_fields, *ServerSettings.model_fields]}
    assert settings <= documented


def test_every_route_is_in_a_table(client: TestClient) -> None:
    """By its method and path."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in SECTIONS["Routes"]


def test_every_module_of_the_service_is_in_a_table() -> None:
    """In the row of its place, which says its purpose."""
    rows = {row.split("|")[1]: row for row in SECTIONS["How it works"].splitlines() if row.startswith("| `")}
    for path in Path("function").rglob("[!_]*.py"):
        place = f"`{path.parent}/`"
        row = next((row for start, row in rows.items() if f"`{path}`" in start or place in start), "")
        assert f"`{path.stem}`" in row or f"`{path}`" in row or path.stem == "init_phase", path
