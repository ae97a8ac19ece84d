"""Sends the spans that FastAPI makes to where OpenTelemetry's own variables say; without them nothing is imported."""

import sys
import threading
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from function.errors import SettingsError

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether spans are to be sent.

    Raises:
        SettingsError: a variable has a value that OpenTelemetry can't use, and would repeat in the log: a secret, often.
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
    except ValueError:  # such as a port that is none
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
