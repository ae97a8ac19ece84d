"""The access log: one line per request, written in one piece."""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import orjson

from function.observability.inference import InferenceObserver, Run

CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that left before the response; it is only logged
MOST_WAITING = 100  # lines
log = logging.getLogger("access")


@dataclass(slots=True)
class Record:
    """What is known about one request; its route adds the rows and the run.

    Attributes:
        request_id: the caller's, or a new one.
        started: by `time.perf_counter`, in seconds.
        status: of the response, once that has started.
        is_answered: the response is complete.
        n_rows: of the features.
        run: of the model, for metrics.
    """

    request_id: str
    started: float
    status: int = CLIENT_CLOSED_REQUEST
    is_answered: bool = False
    n_rows: int | None = None
    run: Run | None = None

    @property
    def is_started(self) -> bool:
        """The response has started."""
        return self.status != CLIENT_CLOSED_REQUEST


_Ended = tuple[Mapping[str, Any], Record, float, Mapping[str, Any]]  # a request whose line isn't written yet


class AccessLog:
    """Writes access lines to standard output, besides `logging`.

    The lines of all requests that end in one turn of the event loop are written at its end, in one piece. A record of
    `logging` took 20 % of the time of each request.
    """

    def __init__(self, format: Literal["JSON", "TEXT"], observer: InferenceObserver | None = None) -> None:
        """Write in a format; with an observer, also write the predicted labels."""
        self._to_line = _json_line if format == "JSON" else _text_line
        self._observer = observer
        self._waiting: list[_Ended] = []

    def write(self, scope: Mapping[str, Any], record: Record, seconds: float, fields: Mapping[str, Any]) -> None:
        """Write the line of a request that has ended; `fields` are its metrics."""
        self._waiting.append((scope, record, seconds, fields))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        elif len(self._waiting) > MOST_WAITING:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not log.isEnabledFor(logging.INFO):
            return
        try:
            lines = b"".join([self._describe(*ended) for ended in waiting])
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
        except (OSError, ValueError, AttributeError):  # full, closed or none: lines may be lost, but no requests
            pass

    def _describe(self, scope: Mapping[str, Any], record: Record, seconds: float, fields: Mapping[str, Any]) -> bytes:
        method, path, status = scope["method"], _quote(scope["path"][:200]), record.status
        message = f"{method} {path} {status} {seconds * 1000:.1f} ms"
        facts: dict[str, Any] = {"method": method, "path": path, "status": status}
        facts["milliseconds"] = round(seconds * 1000, 3)
        if record.n_rows is not None:
            facts["rows"] = record.n_rows
        if (context := scope.get("aws.context")) is not None:
            facts["aws_request_id"] = context.aws_request_id
        if self._observer is not None and record.run is not None:
            facts["labels"] = labels = self._observer.measure([record.run]).predictions
            message = f"{message} {', '.join(labels)}"
        facts |= fields
        return self._to_line(message, facts, record.request_id)


@lru_cache(maxsize=256)
def _quote(path: str) -> str:
    return quote(path, errors="replace")


def _json_line(message: str, facts: dict[str, Any], request_id: str) -> bytes:
    line = {"level": "INFO", "logger": log.name, "message": message, **facts, "request_id": request_id}
    line["timestamp"] = datetime.now(UTC)
    with contextlib.suppress(orjson.JSONEncodeError):  # a lone surrogate in a label
        if (written := orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)).isascii():
            return written
    return json.dumps(line, default=datetime.isoformat).encode() + b"\n"  # ASCII, like every other line


def _text_line(message: str, facts: dict[str, Any], request_id: str) -> bytes:
    now = time.time()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    line = f"{when},{int(now % 1 * 1000):03d} INFO    {log.name} {message} {request_id}\n"
    return line.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
