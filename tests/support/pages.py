"""Runs the console blocks of a documentation page again: each command and its output.

A page may start with a hidden comment that says what its blocks need:

    <!-- test
    needs: local_server, moto_server
    differs: [\\d,]+ rows/s
    beforehand: cp model/iris_svc.onnx old.onnx
    -->

`needs` are pytest fixtures. A fixture that returns a mapping replaces texts of the page, such as an address; one that
skips also skips the page. `differs` is a regular expression for output that may differ. `beforehand` is a command whose
output is ignored. Both may be repeated. `console` blocks run in order, in one folder with the project's files and the
output of earlier commands; other languages (`sh`, `python`, `text`, …) don't run.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.entry_points import ROOT, LocalServer

FILES = ("function", "model", "events", "tests", "local_server.py", "template.yaml", "samconfig.toml", "Makefile",
         "pyproject.toml", "requirements.txt", "docs", ".venv")  # fmt: skip
COMMAND = re.compile(r"^\$ (.*(?:\\\n.*)*)$", re.MULTILINE)  # a line that ends in \ goes on in the next


class Page(NamedTuple):
    """The console blocks of a page, and what they need."""

    blocks: Sequence[str]
    needs: Sequence[str]
    differs: Sequence[str]
    beforehand: Sequence[str]


def read_page(text: str) -> Page:
    found = re.search(r"^<!-- test\n(.*?)^-->$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(": ") for line in (found[1] if found else "").splitlines()]
    said: dict[str, list[str]] = {"needs": [], "differs": [], "beforehand": []}
    for name, _, value in lines:
        assert name in said, f"expected one of {', '.join(said)} in the page's hidden comment, got {name}"
        said[name].append(value)
    needs = [name.strip() for value in said["needs"] for name in value.split(",")]
    return Page(blocks(text, "console"), needs, said["differs"], said["beforehand"])


def blocks(section: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def run(block: str, here: Mapping[str, str] | None = None, folder: Path = ROOT) -> str:
    """Return the block with this run's output: each command and its output with errors, as in a terminal.

    `here` says what stands here for a text of the page.
    """
    lines = []
    for command in COMMAND.findall(block):
        output = run_command(command, here or {}, folder)
        lines += [f"$ {command}", *([output] if output else [])]
    return "\n".join(lines) + "\n"


def run_command(command: str, here: Mapping[str, str], folder: Path) -> str:
    """Run a command of a page; one that is meant to fail shows so: `…; echo "status $?"`."""
    for shown, found in here.items():
        command = command.replace(shown, found)
    command = command.replace(".venv/bin/python", sys.executable).replace("curl ", "curl --silent ", 1)
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(["bash", "-c", command], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    assert result.returncode == 0, f"{command}\nstatus {result.returncode}\n{result.stdout}"
    output = result.stdout.rstrip("\n")
    for shown, found in here.items():
        output = output.replace(found, shown)
    return output


def at(server: LocalServer) -> Mapping[str, str]:
    """Say where a server is that a page has at localhost:8000."""
    return {"localhost:8000": urlsplit(server.url).netloc}


def link_project(folder: Path) -> None:
    """Let a folder hold the project's files, so that commands with relative paths work and what they write is its own."""
    for name in FILES:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)


def leave_out(patterns: Sequence[str], text: str) -> str:
    """Put an ellipsis in the place of what differs from run to run."""
    for pattern in patterns:
        text = re.sub(pattern, "…", text)
    return text
