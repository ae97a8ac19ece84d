"""Spans from the package under AWS's runtime emulator, by a layer."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.collector import PARENT, TRACE, Collector
from tests.support.emulator import Emulator
from tests.support.entry_points import ROOT


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


def test_instances_of_one_snapshot_draw_ids_of_their_own() -> None:
    """SnapStart restores each with the same random state, and Lambda's runtime then calls its hooks."""
    program = """
import random
import function.handler
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore
from opentelemetry import trace
state = random.getstate()
for _ in range(2):
    random.setstate(state)
    run_after_restore()
    print(trace.get_tracer("a").start_span("b").get_span_context().trace_id)
"""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    command = [sys.executable, "-c", program]

    result = subprocess.run(command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=True)

    first, second = [line for line in result.stdout.splitlines() if line.isdigit()]
    assert first != second


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
