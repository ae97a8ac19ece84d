"""HTTP/1.1 for the local server: Uvicorn's protocol with the rules in `rules`. It depends on Uvicorn's internals.

Uvicorn has no deadline for a request to arrive, and no limit for bytes between two requests. It loses the body of a
request that asks for an upgrade, and answers anything but HTTP in plain text:
https://github.com/encode/uvicorn/blob/master/uvicorn/protocols/http/httptools_impl.py. It isn't shipped to Lambda.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from function.api import responses
from function.server.head import HeadError, answer_options, check_head, without_upgrade
from function.server.rules import MAX_FRAMING_BYTES, MAX_HEAD_BYTES, MOST_WAITING, Rules
from function.server.transport import JoiningTransport

LAST_LOOK = 0.02  # seconds between a deadline and its consequence
SLICE = 2 * 1024  # bytes that are parsed before the number of requests in them is checked
HEAD_TOO_LARGE = (431, f"expected a head of at most {MAX_HEAD_BYTES} bytes, got more", "head_too_large")
FRAMING_TOO_LARGE = (
    431,
    f"expected chunk sizes and trailers of at most {MAX_FRAMING_BYTES} bytes, got more",
    "trailers_too_large",
)
NOT_HTTP = (400, "expected a request in HTTP/1.1, got another text", "http_invalid")


class Arriving(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1, except for how requests arrive: within the limits of the rules, and one after the other."""

    transport: JoiningTransport  # type: ignore[assignment]

    def __init__(self, *args: Any, rules: Rules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rules = rules
        self._rule = rules.connected
        self._since = 0.0  # when the state began, by the event loop's clock
        self._n_bytes = 0  # that don't count as progress of the request
        self._n_body_left = 0  # of a body with a declared length
        self._unparsed = memoryview(b"")
        self._refusal = b""  # waits for earlier responses
        self._is_eof = False

    def data_received(self, data: bytes) -> None:
        if len(data) <= SLICE and not self._unparsed and not self.transport.is_held:
            self._feed(data)
            if len(self.pipeline) >= MOST_WAITING:
                self.transport.hold()
        else:
            self._unparsed = memoryview(bytes(self._unparsed) + data if self._unparsed else data)
            self._parse()

    def _parse(self) -> None:
        """Parse received data, until enough requests wait."""
        while not (self._refusal or self.transport.is_closing()):
            if len(self.pipeline) >= MOST_WAITING or self.flow.write_paused:
                self.transport.hold()
                return
            if not self._unparsed:
                if self.transport.is_held:
                    self.transport.release()
                return
            n_bytes = max(SLICE, self._n_body_left)
            part, self._unparsed = self._unparsed[:n_bytes], self._unparsed[n_bytes:]
            self._feed(part)
        self._unparsed = memoryview(b"")

    def _feed(self, data: bytes | memoryview) -> None:
        self._n_bytes += len(data)
        try:
            self._feed_parser(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(*NOT_HTTP)
            return
        if self._n_bytes > self._rule.n_bytes:
            if self._rule is self._rules.head:
                self._refuse(*HEAD_TOO_LARGE)
            else:
                self._refuse(*(FRAMING_TOO_LARGE if self._rule is self._rules.body else NOT_HTTP))

    def _feed_parser(self, data: bytes | memoryview) -> None:
        """Parse; ignore upgrades (RFC 9110, 7.8): the parser skips their body, so a new one gets the head."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                (n_parsed,) = upgrade.args
                version = self.parser.get_http_version().encode()
                head = without_upgrade(self.parser.get_method(), self.url, version, self.headers)
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as Uvicorn does
                data = head + bytes(data[n_parsed:])
            else:
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._rule, self._since, self._n_bytes = self._rules.head, self.loop.time(), 0

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        n_bytes, self._n_body_left = check_head(self.url, version, self.headers)
        if n_bytes > MAX_HEAD_BYTES:
            self._refuse(*HEAD_TOO_LARGE)
            raise HeadError
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise HeadError
            return
        if version == "1.0":
            self.expect_100_continue = False  # HTTP/1.0 has no interim responses
        if self.url == b"*":
            self._answer_about_the_server()
        else:
            super().on_headers_complete()
        self._rule, self._n_bytes = self._rules.body, 0
        self.headers = []  # trailers aren't headers (RFC 9112, 7.1.2)

    def _answer_about_the_server(self) -> None:
        if self.parser.get_method() != b"OPTIONS":
            raise HeadError
        app, self.app, self.url = self.app, answer_options, b"/"
        super().on_headers_complete()
        self.app = app

    def on_body(self, body: bytes) -> None:
        self._n_bytes = 0
        self._n_body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._rule is self._rules.head:  # of a request with an upgrade
            return
        super().on_message_complete()
        self._n_bytes = 0
        if self.cycle.response_complete:
            self._rest()
        else:
            self._rule = self._rules.answering

    def _rest(self) -> None:
        self._rule, self._since = self._rules.idle, self.loop.time()

    def _refuse(self, status: int, message: str, type: str) -> None:
        raise NotImplementedError


class Protocol(Arriving):
    """The whole protocol: responses in order, deadlines, and the end of a connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False
        self._has_stalled = False  # a response is complete, but the client reads too slowly
        self._read: tuple[int, float] | None = None  # bytes that the client had read, and the time

    @property
    def idle_since(self) -> float | None:
        """When a connection without a request became idle; None if it has a request."""
        return self._since if self._rule is self._rules.idle or self._rule is self._rules.connected else None

    def let_go(self) -> None:
        """Close at once, even if the client hasn't read everything."""
        if self.transport.n_unsent:
            self.transport.abort()
        else:
            self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self._rules.interval, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override] # as in asyncio
        """Handle a client that sends no more but still reads: write waiting data, and answer all complete requests."""
        self.transport.flush()
        if self._rule is self._rules.body and not self._is_eof:  # it will never be complete
            if not self.pipeline:
                return False
            self.pipeline.popleft()
        self._is_eof = True
        if self.cycle is None:
            return False
        if self._rule is self._rules.answering and not self._unparsed:
            self.cycle.keep_alive = False  # the last request: the connection closes after its response
        return bool(self._unparsed or self.pipeline) or not self.cycle.response_complete

    def pause_writing(self) -> None:
        """Stop reading while the client doesn't read."""
        super().pause_writing()
        self.transport.hold()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._has_stalled:
            self._has_stalled = False
            self._go_on()
        else:
            self._parse()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._has_stalled = True
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Start the waiting request, or refuse one, or wait for one."""
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refusal:
            self.transport.write(self._refusal)
            self.transport.close()
        elif self._is_eof and not self._unparsed:
            self.transport.close()
        elif self._rule is self._rules.answering:
            self._rest()
        if self.transport.is_held:
            self.loop.call_soon(self._parse)

    def _check(self) -> None:
        """Check the deadlines at intervals: a timer for each request would cost more."""
        now = self.loop.time()
        if self._leaves_unread(now):
            self.transport.abort()
            return
        if not self.transport.is_reading and self._rule in (self._rules.head, self._rules.body):
            self._since = now
        left = self._since + self._rule.seconds - now
        if left > 0:
            self._is_late = False
        elif self._is_late:
            left = self._rules.interval
            self._end_late()
        else:  # the event loop may have been busy: read what has arrived first
            self._is_late, left = True, LAST_LOOK
        self._timer = self.loop.call_later(min(left, self._rules.interval), self._check)

    def _leaves_unread(self, now: float) -> bool:
        """Return whether the client has read too little for too long."""
        if not self.transport.n_unsent:
            self._read = None
            return False
        n_read = self.transport.n_read
        if self._read is None or n_read - self._read[0] >= self._rules.unread.n_bytes:
            self._read = n_read, now
        return now - self._read[1] >= self._rules.unread.seconds

    def _end_late(self) -> None:
        if self.idle_since is not None:
            self.transport.close()
        else:
            seconds = f"{self._rule.seconds:g}"
            self._refuse(408, f"expected a whole request within {seconds} s", "request_timeout")

    def _refuse(self, status: int, message: str, type: str) -> None:
        """Answer instead of the app, once, after all earlier responses, and close."""
        if self._refusal or self.transport.is_closing():
            return
        response = responses.error("", status, message, type=type)
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n"]
        self._refusal = b"".join(lines) + bytes(response.body)
        self._unparsed = memoryview(b"")
        self.transport.hold()
        is_begun = self._rule is self._rules.body  # the app has started, or is about to
        if is_begun and self.pipeline:
            self.pipeline.popleft()
        elif is_begun and self.cycle.response_started:
            self.transport.close()
        elif is_begun or self.cycle is None or self.cycle.response_complete:
            self.transport.write(self._refusal)
            self.transport.close()
