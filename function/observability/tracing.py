"""Sends the spans that FastAPI makes to where OpenTelemetry's own variables say; without them nothing is imported."""

import sys
import threading
from collections.abc import Callable, Mapping

from function.errors import SettingsError

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_wanted(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in VARIABLES)


def start() -> Callable[[], object]:
    """Set OpenTelemetry up, unless a Lambda layer has, and give what sends the spans that wait.

    In the process that serves: the thread that sends them would be lost in a fork.

    Raises:
        SettingsError: its packages aren't there.
    """
    try:
        from opentelemetry import trace  # noqa: PLC0415 - a tenth of a second, with the three below
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        message = f"{VARIABLES[0]}: expected OpenTelemetry's packages, in Lambda in a layer (make layer), got: {error}"
        raise SettingsError(message) from None
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)  # its exit handler has no bound
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return provider.force_flush


def stop(seconds: float) -> None:
    """Send the spans that wait, for so long at most: a collector out of reach would hold up the end by its timeouts."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return
    from opentelemetry import trace  # noqa: PLC0415 - it is there
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        thread = threading.Thread(target=provider.shutdown, daemon=True)  # whose own wait can't be told how long
        thread.start()
        thread.join(seconds)
