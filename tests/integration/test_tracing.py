"""OpenTelemetry at the local server: real spans in OTLP where its variables say so, nothing without them."""

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from function.errors import SettingsError
from function.observability import tracing
from function.observability.tracing import HEADERS, VARIABLES
from tests.support.collector import PARENT, TRACE, Collector
from tests.support.entry_points import ROOT, LocalServer
from tests.support.pasted_secrets import KEY


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


ADDRESS = "OTEL_EXPORTER_OTLP_ENDPOINT"
WRONG = {
    "a header without a name": ("OTEL_EXPORTER_OTLP_HEADERS", KEY),
    "a header with a quote": ("OTEL_EXPORTER_OTLP_HEADERS", f'authorization={KEY}"'),
    "a header with a backslash": ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={KEY}\\"),
    "a header's name with a space": ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"x y={KEY}"),
    "a header with a line break": ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={KEY}%0Ax"),
    "a header with an accent": ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={KEY}%C3%A9"),
    "a header without a width": ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"authorization=\u200b{KEY}"),
    "a header that isn't UTF-8": ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={KEY}\udcff"),
    "the second header": ("OTEL_EXPORTER_OTLP_HEADERS", f"a=b,{KEY}"),
    "an address of another scheme": (ADDRESS, f"grpc://me:{KEY}@localhost:1"),
    "an address without a scheme": (ADDRESS, f"me:{KEY}@localhost:1"),
    "an address without a host": (ADDRESS, f"http://me:{KEY}@"),
    "an address with the key as port": (ADDRESS, f"http://me:{KEY}"),
    "an address with a wrong port": (ADDRESS, f"http://me:{KEY}@localhost:99999"),
    "an address with a tab": (ADDRESS, f"http://me:{KEY}\t@localhost:1"),
    "an address with a space": (ADDRESS, f"http://me:{KEY}@localhost:1/a b"),
    "an address that isn't UTF-8": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://me:{KEY}\udcff@localhost:1"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG)
def test_a_wrong_variable_tells_no_secret(name: str, value: str) -> None:
    """Such as the collector's key in a header: it is refused where OpenTelemetry would repeat it in the log."""
    with pytest.raises(SettingsError, match=f"^{name}: expected .*, got another text$") as raised:
        tracing.is_wanted({ADDRESS: "http://localhost:1"} | {name: value})

    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("module", ["local_server", "function.handler"])
@pytest.mark.parametrize("name", ["a header without a name", "a header that isn't UTF-8", "the second header"])
def test_a_start_with_one_is_refused(module: str, name: str) -> None:
    """At both entry points, in one line."""
    variable, value = WRONG[name]
    environ = {ADDRESS: "http://localhost:1", "PORT": "0", variable: value}
    program = f"import {module} as entry; getattr(entry, 'main', list)()"

    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].partition("SettingsError: ")[2].startswith(f"{variable}: expected ")
    assert KEY not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HEADERS[0], "authorization=Bearer%20key"),
        (HEADERS[0], "authorization=Bearer key, x_tenant=a=b,"),
        (HEADERS[1], " api-key = a:b/c\t"),
        (HEADERS[0], ""),
        (VARIABLES[1], "https://me:key@[::1]:4318/v1/traces?a=b"),
        (VARIABLES[0], "http://localhost"),
    ],
)
def test_a_right_variable_is_taken(name: str, value: str) -> None:
    """As OpenTelemetry takes it; none of them counts where nothing is sent."""
    assert tracing.is_wanted({VARIABLES[0]: "http://localhost:4318"} | {name: value})
    assert not tracing.is_wanted({HEADERS[0]: KEY})


def test_without_the_variables_nothing_of_it_is_imported() -> None:
    """Nor is there any in the Lambda package."""
    program = (
        "import local_server, sys; local_server._trace(); import function.main;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "[]"
    assert "opentelemetry-sdk" not in Path("function/requirements.txt").read_text()
