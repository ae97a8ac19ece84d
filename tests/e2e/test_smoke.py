"""`make smoke`, pointed at entry_points that are right, and at some that aren't."""

import os
import subprocess
from pathlib import Path

import onnx
import pytest

from function.settings import shipped_model
from tests.support.entry_points import ROOT, LocalServer, free_port
from tests.support.sam import SamLocal

KEY = "my key"
DIGEST = "a0e12d601e10154fe5743fd6d2ba37492365077b485f06c131ef495420005253"


def smoke(url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    # Without a key a test is rightly skipped, in CI too.
    base = {name: value for name, value in os.environ.items() if name != "NO_SKIPS"}
    command = ["make", "--silent", "smoke", *([f"URL={url}"] if url else [])]
    return subprocess.run(command, cwd=ROOT, env=base | environ, capture_output=True, text=True, check=False)


def test_gunicorn_passes(local_server: LocalServer) -> None:
    """The local server."""
    result = smoke(local_server.url)

    assert result.returncode == 0, result.stdout
    assert " failed" not in result.stdout


def test_sam_local_passes(sam_local: SamLocal) -> None:
    """The package in Lambda's runtime."""
    result = smoke(sam_local.url)

    assert result.returncode == 0, result.stdout


def test_a_service_with_a_key_passes(tmp_path: Path) -> None:
    """When it is given; else it is told once what is missing."""
    with LocalServer.start(tmp_path / "log", API_KEY_SHA256=DIGEST) as server:
        assert smoke(server.url, API_KEY=KEY).returncode == 0
        for key, fault in (("another", "takes another key"), ("", "wants a key")):
            result = smoke(server.url, API_KEY=key)
            assert result.returncode != 0
            assert f"smoke: the service {fault}: make smoke URL={server.url} API_KEY=…" in result.stdout


def test_what_makes_no_sense_is_told_once(local_server: LocalServer, tmp_path: Path) -> None:
    """Not in each test."""
    closed = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "other.onnx").write_bytes(another_model())
    with LocalServer.start(tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "other.onnx")) as other:
        faults = {
            (closed, ""): f"smoke: expected a service at {closed}, got ConnectError: ",
            ("localhost:1", ""): "smoke: expected a service at localhost:1, got UnsupportedProtocol: ",
            (f"{local_server.url}/predict", ""): "and another body from /health",
            (local_server.url, KEY): "smoke: API_KEY is given, but the service answers without a key",
            (other.url, ""): "smoke: it serves another model, SHA-256 ",
        }
        for (url, key), fault in faults.items():
            result = smoke(url, **({"API_KEY": key} if key else {}))
            assert result.returncode != 0
            assert fault in result.stdout
            assert len(result.stdout.splitlines()) < 10


def another_model() -> bytes:
    """The shipped one with another name for its version."""
    model = onnx.load(shipped_model())
    model.model_version = 2
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("environ", [{"MAX_ROWS": "5"}, {"API_TITLE": "Another"}, {"MAX_BODY_BYTES": "2000000"}])
def test_a_service_that_answers_otherwise_fails(environ: dict[str, str], tmp_path: Path) -> None:
    """Be it in one figure."""
    with LocalServer.start(tmp_path / "log", **environ) as server:
        result = smoke(server.url)

    assert result.returncode != 0
    assert " failed" in result.stdout


def test_no_address_is_told() -> None:
    """In one line."""
    result = smoke("")

    assert result.returncode != 0
    (line, *_) = result.stderr.splitlines()
    assert "smoke: expected an address, such as make smoke URL=https://…" in line
