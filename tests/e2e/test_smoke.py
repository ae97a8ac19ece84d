"""`make smoke`, pointed at entry_points that are right, and at some that aren't."""

import contextlib
import http.server
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.entry_points import ROOT, LocalServer, free_port
from tests.support.passengers import export_passengers
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
        for key, fault in (("another", "expects another key"), ("", "requires a key")):
            result = smoke(server.url, API_KEY=key)
            assert result.returncode != 0
            assert f"smoke: the service {fault}: make smoke URL={server.url} API_KEY=…" in result.stderr


def test_any_model_is_held_against_its_own_description(tmp_path: Path) -> None:
    """Also with texts, missing values and a key; tests for the shipped model are skipped."""
    export_passengers(tmp_path / "titanic.onnx")
    with LocalServer.start(
        tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "titanic.onnx"), API_KEY_SHA256=DIGEST, MAX_ROWS="50"
    ) as server:
        result = smoke(server.url, API_KEY=KEY)

    assert result.returncode == 0, result.stdout
    assert (
        "it serves another model than the shipped one, so it is only compared with its own /metadata" in result.stdout
    )
    assert re.search(r"\b10 passed, \d+ skipped", result.stdout), result.stdout


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/predict", b'"prediction":[', b'"prediction":[0.5,'),
        ("/predict/label", b'{"prediction":"', b'{"prediction":"x'),
        ("/label", b'"1":', b'"7":'),
        ("/metadata", b'"missing":true', b'"missing":false'),
        ("/metadata", b'"max_rows":50', b'"max_rows":60'),
    ],
)
def test_a_model_that_breaks_its_promise_fails(path: str, before: bytes, after: bytes, tmp_path: Path) -> None:
    """Be it in one of its routes."""
    export_passengers(tmp_path / "titanic.onnx")
    with (
        LocalServer.start(tmp_path / "log", MODEL_FILEPATH=str(tmp_path / "titanic.onnx"), MAX_ROWS="50") as server,
        liar(server.url, path, before, after) as url,
    ):
        result = smoke(url)

    assert result.returncode != 0
    assert " failed" in result.stdout


@contextlib.contextmanager
def liar(service: str, path: str, before: bytes, after: bytes) -> Iterator[str]:
    """Serve what a service serves, but for one thing in the answers of one route."""

    class Front(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = httpx2.request(self.command, f"{service}{self.path}", content=body, timeout=30)
            content = answer.content.replace(before, after) if self.path == path else answer.content
            self.send_response(answer.status_code)
            for name in ("content-type", "x-model-sha256", "x-request-id"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_makes_no_sense_is_told_once(local_server: LocalServer) -> None:
    """Not in each test."""
    closed = f"http://127.0.0.1:{free_port()}"
    faults = {
        (closed, ""): f"smoke: expected a service at {closed}, got ConnectError: ",
        ("localhost:1", ""): "smoke: expected URL to be an address such as https://example.org, got localhost:1",
        (f"{local_server.url}/predict", ""): (
            f"smoke: expected this service at {local_server.url}/predict, without a route's path; "
            f"{local_server.url}/predict/health got status 404"
        ),
        (local_server.url, KEY): "smoke: API_KEY is given, but the service answers without a key",
    }
    for (url, key), fault in faults.items():
        result = smoke(url, **({"API_KEY": key} if key else {}))
        assert result.returncode != 0
        assert result.stderr.startswith(fault)
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


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
