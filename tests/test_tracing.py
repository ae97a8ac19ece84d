"""OpenTelemetry at the local door: real spans in OTLP where its variables say so, nothing without them."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.doors import ROOT, LocalServer
from tests.emulator import Emulator

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """What OTLP over HTTP is sent to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.services = set[str]()
        self.spans: list[Span] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.services |= {
                a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
            }
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.shutdown()


def test_every_worker_sends_spans(collector: Collector, tmp_path: Path) -> None:
    """Of requests, as children of the caller's, to where the standard variables say, the last at the end."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "iris",
    }
    with LocalServer.start(tmp_path / "log", WORKERS="2", **environ) as server:
        for _ in range(10):
            with server.client() as client:
                answer = client.post(
                    "/predict",
                    json={"data": [[5.1, 3.5, 1.4, 0.2]]},
                    headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
                )
                assert answer.status_code == 200
    end = time.monotonic() + 10
    while len(ours := [span for span in collector.spans if span.name == "POST /predict"]) < 10:
        assert time.monotonic() < end, [span.name for span in collector.spans]
        time.sleep(0.05)

    assert collector.services == {"iris"}
    assert {span.trace_id.hex() for span in ours} == {TRACE}
    assert {span.parent_span_id.hex() for span in ours} == {PARENT}
    attributes = {a.key: a.value for a in ours[0].attributes}
    assert attributes["http.route"].string_value == "/predict"
    assert attributes["http.response.status_code"].int_value == 200
    assert "5.1" not in str(collector.spans)


def test_lambda_sends_spans(collector: Collector, runtime: Path, package: Path, tmp_path: Path) -> None:
    """With a layer, before each invocation ends: Lambda lets nothing run after it."""
    layer = tmp_path / "python"
    subprocess.run([sys.executable, "function/package.py", "--layer", str(layer)], check=True)
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "iris",
        "PYTHONPATH": str(layer),  # where Lambda has /opt/python
    }
    event = json.loads((ROOT / "events" / "predict.json").read_text())
    event["headers"]["traceparent"] = f"00-{TRACE}-{PARENT}-01"

    with Emulator.start(runtime, package, tmp_path / "log", **environ) as emulator:
        for n_invocations in (1, 2):
            assert emulator.invoke(event)["statusCode"] == 200
            ours = [span for span in collector.spans if span.name == "POST /predict"]
            assert len(ours) == n_invocations

    assert collector.services == {"iris"}
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in ours} == {(TRACE, PARENT)}


def test_lambda_waits_a_second_for_a_silent_collector(runtime: Path, package: Path, tmp_path: Path) -> None:
    """With the template's timeout; OpenTelemetry's own would be 10 s."""
    layer = tmp_path / "python"
    subprocess.run([sys.executable, "function/package.py", "--layer", str(layer)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "PYTHONPATH": str(layer),
        }
        with Emulator.start(runtime, package, tmp_path / "log", **environ) as emulator:
            started = time.monotonic()
            assert emulator.invoke(json.loads((ROOT / "events" / "predict.json").read_text()))["statusCode"] == 200

    assert time.monotonic() - started < 6  # the init phase is in it


def test_lambda_without_the_layer_says_so(runtime: Path, package: Path, tmp_path: Path) -> None:
    """At the start, in one line."""
    with Emulator.start(
        runtime, package, tmp_path / "log", OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:1"
    ) as emulator:
        emulator.client.post("/2015-03-31/functions/function/invocations", content="{}")
        log = emulator.log()

    assert (
        "OTEL_EXPORTER_OTLP_ENDPOINT: expected OpenTelemetry's packages, in Lambda in a layer (make layer), got: "
        in log
    )


def test_without_the_variables_nothing_of_it_is_imported() -> None:
    """Nor is there any in the Lambda package."""
    program = (
        "import local_server, sys; local_server._trace(); import function.main;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "[]"
    assert "opentelemetry-sdk" not in Path("function/requirements.txt").read_text()
