"""HTTP/1.1 for the local server: Uvicorn's, with limits that it lacks; where it ends is decided by Uvicorn's internals.

Uvicorn has no deadline for a request to arrive, no limit to a head, and answers what isn't HTTP in plain text:
https://github.com/encode/uvicorn/blob/master/uvicorn/protocols/http/httptools_impl.py. It isn't shipped to Lambda.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from function.api import responses

MAX_HEAD_BYTES = 16 * 1024
MOST_WAITING_BYTES = 64 * 1024
HEAD_TOO_LARGE = (431, f"expected a head of at most {MAX_HEAD_BYTES} bytes, got more", "head_too_large")


class JoiningTransport:
    """Writes what one turn of the event loop has to say at its end: an answer is one packet, and answers follow closely.

    A head and its body would be two calls of the system, and each answer would wake up a client that has just slept.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if len(self._waiting) + len(data) > MOST_WAITING_BYTES:
            self.flush()
            self._transport.write(data)
            return
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting += data

    def flush(self) -> None:
        """Write what waits."""
        data, self._waiting = self._waiting, b""
        if data and not self._transport.is_closing():  # the connection may be lost meanwhile
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class HeadError(Exception):
    """Raised in a callback of the parser, which makes an error of its own of it: `send_400_response` answers that."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1, with a deadline for a request to arrive and a limit to the size of its head."""

    def __init__(self, *args: Any, request_timeout: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request_timeout = request_timeout
        self._began: float | None = None  # when a request began to arrive, or the connection to wait for its first
        self._timer: asyncio.TimerHandle | None = None
        self._n_head_bytes: int | None = 0  # None between a head's end and the next one's beginning

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._began = self.loop.time()
        self._timer = self.loop.call_later(self._request_timeout, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._n_head_bytes is not None:
            self._n_head_bytes += len(data)
        super().data_received(data)
        # Only the parser sees a head that isn't whole yet.
        if self._n_head_bytes is not None and self._n_head_bytes > MAX_HEAD_BYTES:
            self._refuse(*HEAD_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it
        """Answer a caller that sends no more, but reads: what waits is written, and a whole request is still answered."""
        self.transport.flush()  # type: ignore[attr-defined] # it is a JoiningTransport
        is_answering = self._began is None and self.cycle is not None and not self.cycle.response_complete
        if is_answering:
            self.cycle.keep_alive = False  # the last one: the connection closes behind its answer
        return is_answering

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._n_head_bytes = self._n_head_bytes or 1  # at least: behind another request in one packet
        if self._began is None:
            self._began = self.loop.time()

    def on_headers_complete(self) -> None:
        self._n_head_bytes = None
        n_bytes, n_hosts = len(self.url), 0
        for name, value in self.headers:
            n_bytes += len(name) + len(value)
            n_hosts += name == b"host"
        if n_bytes > MAX_HEAD_BYTES:
            self._refuse(*HEAD_TOO_LARGE)
            raise HeadError
        if n_hosts != 1 and self.parser.get_http_version() == "1.1":
            raise HeadError  # two readers could take it for two addresses
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._began = None
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that rests; one on which a request has begun to arrive has that request's deadline."""
        if self._began is None:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what isn't HTTP; Uvicorn's own answer is plain text."""
        self._refuse(400, "expected a request in HTTP/1.1, got another text", "http_invalid")

    def _check_deadline(self) -> None:
        """Look at the request that is arriving, once it may be late: a timer for each would take longer."""
        now = self.loop.time()
        left = self._request_timeout if self._began is None else self._began + self._request_timeout - now
        if left > 0:
            self._timer = self.loop.call_later(left, self._check_deadline)
        else:
            self._end_slow_request()

    def _end_slow_request(self) -> None:
        is_answering = self.cycle is not None and (
            self.cycle.response_started if self._n_head_bytes is None else not self.cycle.response_complete
        )
        if self._n_head_bytes == 0 or is_answering:
            self.transport.close()  # there is no request yet, or an answer is on its way, to this one or the one before
        else:
            self._refuse(408, f"expected a whole request within {self._request_timeout:g} s", "request_timeout")

    def _refuse(self, status: int, message: str, type: str) -> None:
        """Answer in place of the app, once, and close."""
        if self.transport.is_closing():
            return
        response = responses.error("", status, message, type=type)
        headers = [*response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n"]
        self.transport.write(b"".join(lines) + bytes(response.body))
        self.transport.close()
