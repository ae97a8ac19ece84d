"""The limits of a connection in each state: every byte that a client sends, or leaves unread, counts against one.

| state | begins with | bytes | seconds | beyond the limit |
|---|---|---|---|---|
| connected | the connection | 64, empty lines | REQUEST_TIMEOUT | 400; closed |
| head | its first byte | 16 KiB | REQUEST_TIMEOUT | 431; 408 |
| body | the end of the head | the app's MAX_BODY_BYTES | of the same REQUEST_TIMEOUT | 413; 408 |
| between two parts of a body, and trailers | any part of it | 16 KiB | of the same REQUEST_TIMEOUT | 431; 408 |
| answering | the end of the request | 64, empty lines | the app's | 400 |
| idle | the end of the answer | 64, empty lines | KEEP_ALIVE | 400; closed |
| unread: an answer that the client leaves unread | a full buffer | the answer's | REQUEST_TIMEOUT for each 64 KiB | aborted |

With pipelining, up to `MOST_WAITING` requests wait for the responses before them. With more, or while a response is
unread, nothing is read or parsed; the clock of a request then stops. A refusal waits for all earlier responses. If
descriptors run short, connections in the states connected and idle are closed, those that have waited longest first.
"""

from typing import NamedTuple

MAX_HEAD_BYTES = 16 * 1024
# Chunk sizes, their extensions, and trailers: all bytes between two parts of a body, or after it.
MAX_FRAMING_BYTES = 16 * 1024
MAX_EMPTY_BYTES = 64
LEAST_READ_BYTES = 64 * 1024  # of a response, in each REQUEST_TIMEOUT
MOST_WAITING = 8  # requests


class Rule(NamedTuple):
    """The limits of one state: bytes without progress of the request, and seconds since it began."""

    n_bytes: float
    seconds: float


class Rules:
    """The rule of each state; `interval` is the most seconds between two checks of a connection."""

    def __init__(self, request_timeout: float, keep_alive: float) -> None:
        self.connected = Rule(MAX_EMPTY_BYTES, request_timeout)
        self.head = Rule(MAX_HEAD_BYTES, request_timeout)
        self.body = Rule(MAX_FRAMING_BYTES, request_timeout)
        self.answering = Rule(MAX_EMPTY_BYTES, float("inf"))
        self.idle = Rule(MAX_EMPTY_BYTES, keep_alive)
        self.unread = Rule(LEAST_READ_BYTES, request_timeout)
        self.interval = min(request_timeout, keep_alive) / 4
