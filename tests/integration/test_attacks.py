"""The local server under slow, large and smuggled requests: real sockets against a real Gunicorn."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.calls import ROW
from tests.support.entry_points import LocalServer

DEADLINE = 2  # seconds, REQUEST_TIMEOUT here
HEAD = b"POST /predict/label HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
GOOD = HEAD % len(ROW) + ROW
HEALTH = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    log_path = tmp_path_factory.mktemp("attacks") / "log"
    with LocalServer.start(log_path, REQUEST_TIMEOUT=str(DEADLINE), WORKERS="1") as server:
        yield server


def connect(server: LocalServer) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def read(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def read_all(server: LocalServer, request: bytes) -> bytes:
    with connect(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return read(connection)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def detail(answer: bytes) -> dict[str, object]:
    _, _, body = answer.partition(b"\r\n\r\n")
    (found,) = json.loads(body)["detail"]
    return dict(found)


@pytest.mark.parametrize(
    "part",
    [b"GET /heal", HEALTH[:-2], HEAD % len(ROW), GOOD[:-1], HEALTH + GOOD[:-1], HEALTH + HEALTH[:-2]],
    ids=["half a line", "half a head", "no body", "half a body", "a second body", "a second head"],
)
def test_a_request_must_arrive_in_time(server: LocalServer, part: bytes) -> None:
    """Else it is a 408, and the connection closes."""
    started = time.monotonic()

    answer = read_all(server, part)

    assert DEADLINE - 0.1 < time.monotonic() - started < DEADLINE + 1
    *_, last = answer.split(b"HTTP/1.1 ")
    assert last.startswith(b"408 ")
    expected = {"loc": [], "msg": "expected a whole request within 2 s", "type": "request_timeout"}
    assert detail(b"HTTP/1.1 " + last) == expected


def test_a_drip_doesnt_put_the_deadline_off(server: LocalServer) -> None:
    """A byte now and then is no request."""
    with connect(server) as connection:
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in HEAD % len(ROW) + ROW:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        assert time.monotonic() - started < DEADLINE + 1


def test_a_connection_without_a_request_is_closed(server: LocalServer) -> None:
    """Without a word."""
    assert read_all(server, b"") == b""


def test_slow_ones_hold_up_nobody(server: LocalServer) -> None:
    """400 half-sent heads and 50 half-sent bodies, and all are gone after the deadline."""
    with contextlib.ExitStack() as stack, server.client() as client:
        slow = [stack.enter_context(connect(server)) for _ in range(450)]
        for index, connection in enumerate(slow):
            connection.sendall(HEALTH[:-2] if index < 400 else GOOD[:-1])
        times = []
        for _ in range(100):
            started = time.monotonic()
            assert client.get("/health").status_code == 200
            times.append(time.monotonic() - started)
        assert sorted(times)[98] < 0.25  # a 50th of a second is the battery's to measure
        assert all(status(read(connection)) == 408 for connection in slow)


@pytest.mark.parametrize("length", [8 * 1024, 17 * 1024, 1024 * 1024])
@pytest.mark.parametrize("head", [b"x: %s\r\n", b"%s: x\r\n"], ids=["value", "name"])
def test_a_large_head_is_refused(server: LocalServer, head: bytes, length: int) -> None:
    """16 KiB are enough for anybody."""
    answer = read_all(server, HEALTH[:-2] + head % (b"a" * length) + b"connection: close\r\n\r\n")

    assert status(answer) == (200 if length < 16 * 1024 else 431)
    if length > 16 * 1024:
        message = "expected a head of at most 16384 bytes, got more"
        assert detail(answer) == {"loc": [], "msg": message, "type": "head_too_large"}


def test_a_head_of_many_lines_is_refused(server: LocalServer) -> None:
    """Each small, and sent apart."""
    with connect(server) as connection:
        connection.sendall(HEALTH[:-2])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(3000):
                connection.sendall(b"a: bbbb\r\n")
        assert status(read(connection)) == 431


SMUGGLED = {
    "length and chunks": b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    "a length with a sign": b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nabcde",
    "a length in hexadecimal": b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nabcde",
    "bare line feeds": b"GET /health HTTP/1.1\nhost: a\n\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
    "a folded header": b"GET /health HTTP/1.1\r\nhost: a\r\nx: b\r\n c\r\n\r\n",
    "NUL in a header": b"GET /health HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
    "chunked twice": b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "another coding last": b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
}


@pytest.mark.parametrize("request_", SMUGGLED.values(), ids=SMUGGLED)
def test_what_two_parsers_could_read_differently_is_refused(server: LocalServer, request_: bytes) -> None:
    """It never reaches the app."""
    n_lines = server.log().count('"access"')

    answer = read_all(server, request_)

    assert status(answer) == 400
    expected = {"loc": [], "msg": "expected a request in HTTP/1.1, got another text", "type": "http_invalid"}
    assert detail(answer) == expected
    assert b"\r\ncache-control: no-store\r\n" in answer
    assert server.log().count('"access"') == n_lines


def test_a_broken_body_is_refused(server: LocalServer) -> None:
    """Its head was fine, so the app had begun to wait for it."""
    answer = read_all(server, b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n\r\n")

    assert status(answer) == 400


@pytest.mark.parametrize("delay", [0, 0.0005, 0.01])
@pytest.mark.parametrize("n_rows", [1, 10_000])
def test_a_caller_that_sends_no_more_is_answered(server: LocalServer, n_rows: int, delay: float) -> None:
    """As `nc -N` and some proxies do, whenever the end of what they send comes; then the connection closes."""
    body = (
        ROW[:-1].replace(b"]]", b"], " + b", ".join([b"[5, 3, 1, 0]"] * (n_rows - 1)) + b"]") + b"}"
        if n_rows > 1
        else ROW
    )
    request = b"POST /predict/batch HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    for _ in range(20 if n_rows == 1 else 3):
        with connect(server) as connection:
            connection.sendall(request)
            time.sleep(delay)
            connection.shutdown(socket.SHUT_WR)
            answer = read(connection)
        assert status(answer) == 200
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["label"]) == n_rows


def test_the_server_is_fine_after_all_that(server: LocalServer) -> None:
    """And wrote no traceback."""
    assert status(read_all(server, GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))) == 200
    assert "Traceback" not in server.log()
