"""Log lines: JSON or text, each with its request's id."""

import json
import logging
import sys
from contextvars import ContextVar
from typing import Any, Literal

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestId(logging.Filter):
    """Puts the current request's id into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (current := request_id.get()) is not None:
            record.request_id = current
        return True


class JSONLine(OrjsonFormatter):
    """Writes only ASCII, whatever standard output's encoding, also for lone surrogates, which orjson refuses."""

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        try:
            line = super().jsonify_log_record(log_data)
        except orjson.JSONEncodeError:
            line = ""
        if line and line.isascii():
            return line
        return json.dumps(log_data | {"timestamp": log_data["timestamp"].isoformat()}, default=str)


class TextLine(logging.Formatter):
    """Escapes characters that standard output's encoding lacks, as the access log does."""

    def format(self, record: logging.LogRecord) -> str:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)


class Output(logging.StreamHandler[Any]):
    """Standard output that may lose lines: if it is full or closed, it doesn't print a traceback for each line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own
        if not isinstance(sys.exception(), OSError) and not getattr(self.stream, "closed", True):  # None: there is none
            super().handleError(record)


def configure(level: str, format: Literal["JSON", "TEXT"]) -> None:
    """Send all log lines to standard output, replacing any other configuration."""
    logging.basicConfig(level=level, handlers=[handler(format)], force=True)
    # Mangum logs each path unescaped, so a caller could forge a line; AccessLog writes that line instead.
    logging.getLogger("mangum").setLevel("WARNING")


def handler(format: Literal["JSON", "TEXT"]) -> logging.Handler:
    """Create the handler of all lines."""
    handler = Output(sys.stdout)
    handler.addFilter(RequestId())
    handler.setFormatter(_json() if format == "JSON" else _text())
    return handler


def _json() -> logging.Formatter:
    return JSONLine(
        ["levelname", "name", "message"],
        timestamp=True,
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # Uvicorn's copy of a message, for terminals
        rename_fields={"levelname": "level", "name": "logger"},
    )


def _text() -> logging.Formatter:
    fmt = "{asctime} {levelname:<7} {name} {message} {request_id}"
    return TextLine(fmt, style="{", defaults={"request_id": ""})
