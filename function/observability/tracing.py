"""Sends FastAPI's spans to the collector in OpenTelemetry's variables; without these it imports nothing."""

import sys
import threading
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from function.errors import SettingsError

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether spans should be sent.

    Raises:
        SettingsError: a variable has a value that OpenTelemetry can't use. It would log the value, often a secret.
    """
    given = {name: environ[name] for name in VARIABLES if environ.get(name)}
    for name, address in given.items():
        if not _is_address(address):
            raise SettingsError(f"{name}: expected an address such as http://localhost:4318, got another text")
    for name in HEADERS if given else ():
        if not all(map(_is_header, filter(None, environ.get(name, "").split(",")))):
            raise SettingsError(f"{name}: expected name=value, comma-separated and percent-encoded, got another text")
    return bool(given)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as an invalid port
        return False
    return is_whole and _is_plain(text) and " " not in text


def _is_header(text: str) -> bool:
    name, is_pair, value = text.partition("=")
    is_name = name.strip().replace("-", "").replace("_", "").isalnum()
    return (
        bool(is_pair) and is_name and not set(value) & set('";\\') and _is_plain(name.strip() + unquote(value).strip())
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def start() -> Callable[[], object]:
    """Set up OpenTelemetry, unless a Lambda layer has done so, and return a function that sends all waiting spans.

    Call it in the process that serves: a fork would lose the thread that sends spans.

    Raises:
        SettingsError: its packages are missing.
    """
    try:
        from opentelemetry import trace  # noqa: PLC0415 - 0.1 s, with the three below
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        message = f"{VARIABLES[0]}: expected OpenTelemetry's packages, in Lambda in a layer (make layer), got: {error}"
        raise SettingsError(message) from None
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)  # its exit handler has no time limit
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return provider.force_flush


def stop(seconds: float) -> None:
    """Send all waiting spans, within a time limit: an unreachable collector would delay the end by its timeouts."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return
    from opentelemetry import trace  # noqa: PLC0415 - already imported
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        thread = threading.Thread(target=provider.shutdown, daemon=True)  # it has no time limit of its own
        thread.start()
        thread.join(seconds)
