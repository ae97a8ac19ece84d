"""OpenTelemetry at the local server: real spans in OTLP where its variables say so, nothing without them."""

import subprocess
import sys
import time
from pathlib import Path

from tests.support.collector import PARENT, TRACE, Collector
from tests.support.entry_points import LocalServer


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


def test_without_the_variables_nothing_of_it_is_imported() -> None:
    """Nor is there any in the Lambda package."""
    program = (
        "import local_server, sys; local_server._trace(); import function.main;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "[]"
    assert "opentelemetry-sdk" not in Path("function/requirements.txt").read_text()
