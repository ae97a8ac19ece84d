"""One resolution, cut by purpose: the tests run what ships."""

import re
import subprocess
from pathlib import Path

import pytest

LOCKS = (
    "function/requirements.txt",
    "function/tracing.txt",
    "requirements.txt",
    "model/requirements.txt",
    "model/files.txt",
    "tests/requirements.txt",
    "tests/all.txt",
)
PEERS = [f"tests/benchmark/{name}.txt" for name in ("mlserver", "litserve", "bentoml")]


def pins(path: str) -> set[str]:
    """Every `name==version` with its marker."""
    return set(re.findall(r"^([a-z0-9._-]+(?:\[.*\])?==[^\\\n]*?)\s*\\?$", Path(path).read_text(), re.MULTILINE))


def versions(path: str) -> set[str]:
    """Every `name==version`, wherever it is installed."""
    return {pin.partition(" ")[0] for pin in pins(path)}


def names(path: str) -> set[str]:
    return {re.split(r"[\[=]", pin)[0] for pin in pins(path)}


@pytest.mark.parametrize("path", LOCKS[:-2])
def test_every_version_is_the_one_that_is_tested(path: str) -> None:
    """Each file is a part of the two that the tests install."""
    assert pins(path)
    assert versions(path) <= versions("tests/requirements.txt") <= versions("tests/all.txt")


def test_what_ships_in_lambda_has_no_server_and_no_training() -> None:
    """Nor a tool of the tests."""
    assert {"fastapi", "mangum", "numpy", "onnxruntime", "orjson", "pydantic"} <= names("function/requirements.txt")
    assert not names("function/requirements.txt") & {
        "gunicorn", "uvicorn", "uvicorn-worker", "uvloop", "httptools", "scikit-learn", "skl2onnx", "onnx", "pytest",
        "pandas", "pyarrow", "tqdm",
    }  # fmt: skip


def test_serving_adds_the_server_alone() -> None:
    """What counts for it and what sends spans, and what these need."""
    added = names("requirements.txt") - names("function/requirements.txt")

    server = {"click", "colorama", "gunicorn", "h11", "httptools", "uvicorn", "uvicorn-worker", "uvloop"}
    needs = {"certifi", "charset-normalizer", "googleapis-common-protos", "requests", "urllib3"}
    spans = {name for name in added if name.startswith("opentelemetry-")}
    assert added - spans - needs == server | {"prometheus-client"}
    assert spans >= {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}


def test_an_image_has_both_entry_points() -> None:
    """The server and Lambda's runtime interface client, as they are tested, for Linux alone."""
    wanted = {pin for path in ("requirements.txt", "tests/support/runtime.txt") for pin in pins(path)}

    assert pins("function/image.txt") == {pin.partition(" ")[0] for pin in wanted if "== 'win32'" not in pin}


def test_a_gate_installs_what_the_commands_need_alone() -> None:
    """Not the 2.7 GB of development, into an environment that may hold packages of the user's own."""
    command = ["make", "--dry-run", "--always-make", "gate", "HOLDOUT=rows.csv", "TARGET=y"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert re.findall("--requirement (.*)", said) == ["model/files.txt"]


@pytest.mark.parametrize("path", ["README.md", *map(str, sorted(Path("docs").glob("*.md")))])
def test_a_user_installs_by_targets_that_make_lists(path: str) -> None:
    """`make model`; the stamps in .venv/ are for Makefile."""
    assert "make .venv/" not in Path(path).read_text()


@pytest.mark.parametrize("path", PEERS)
def test_every_peer_runs_the_same_onnxruntime(path: str) -> None:
    """The bench compares servers, not runtimes."""
    (own,) = (pin for pin in pins("tests/requirements.txt") if pin.startswith("onnxruntime=="))

    assert own in pins(path)


@pytest.mark.parametrize("path", [*LOCKS, *PEERS, "function/image.txt", "tests/benchmark/plots.txt"])
def test_every_file_is_hashed_and_names_no_index(path: str) -> None:
    """pip then takes nothing else, from wherever it is set up to take it."""
    text = Path(path).read_text()

    assert all(f"{pin} \\\n    --hash=sha256:" in text for pin in pins(path))
    assert "http" not in re.sub(r"^\S*http\S*==.*$|# .*$|^ +#.*$", "", text, flags=re.MULTILINE)
    assert "index" not in re.sub(r"#.*$", "", text, flags=re.MULTILINE)
