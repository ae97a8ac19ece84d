"""Log lines: JSON or text, each with the id of the request that it belongs to."""

import logging
from contextvars import ContextVar
from typing import Any, Literal

from pythonjsonlogger.core import RESERVED_ATTRS

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestId(logging.Filter):
    """Puts the current request's id into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (current := request_id.get()) is not None:
            record.request_id = current
        return True


def config(level: str, format: Literal["JSON", "TEXT"]) -> dict[str, Any]:
    """Build the `logging.config.dictConfig` that sends everything to standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestId}},
        "formatters": {
            "JSON": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message"],
                "timestamp": True,
                "reserved_attrs": [*RESERVED_ATTRS, "color_message"],  # Uvicorn's copy of a message, for terminals
                "rename_fields": {"levelname": "level", "name": "logger"},
            },
            "TEXT": {
                "()": "logging.Formatter",
                "fmt": "{asctime} {levelname:<7} {name} {message} {request_id}",
                "style": "{",
                "defaults": {"request_id": ""},
            },
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "filters": ["request_id"],
                "formatter": format,
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        # Mangum logs each path as it came, so a caller could forge a line; RequestLog writes that line instead.
        "loggers": {"mangum": {"level": "WARNING"}},
    }
