"""The local server in every state of a connection, by the rules in function/server/rules.py; real sockets and nginx."""

import contextlib
import json
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.calls import ROW
from tests.support.entry_points import LocalServer
from tests.support.nginx import keeping
from tests.support.probe import CASES, Case, get, parse, probe

TIMEOUT = 2  # seconds, REQUEST_TIMEOUT here
KEEP_ALIVE = 3
LATE = 3  # seconds more, on a busy machine
KEY = b"my key"
HEALTH = get()
SLOW_APP = "tests.support.pooled:app"
UPGRADES = {
    "h2c": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "websocket": b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
    "another": b"connection: keep-alive, Upgrade\r\nupgrade: tls/1.0, h2c\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One worker, impatient, with routes that take their time in the thread pool."""
    environ = {"REQUEST_TIMEOUT": str(TIMEOUT), "KEEP_ALIVE": str(KEEP_ALIVE), "APP_NAME": SLOW_APP}
    with LocalServer.start(tmp_path_factory.mktemp("connections") / "log", **environ) as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A service that wants a key."""
    digest = "a0e12d601e10154fe5743fd6d2ba37492365077b485f06c131ef495420005253"
    with LocalServer.start(tmp_path_factory.mktemp("locked") / "log", API_KEY_SHA256=digest) as server:
        yield server


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def send(connection: socket.socket, *parts: bytes) -> None:
    """Send each part in a packet of its own."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # the server may have closed by now
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.05)
            connection.sendall(part)


def read(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def ask(url: str, *parts: bytes, is_ended: bool = True) -> list[tuple[int, bytes]]:
    """Give status and body of each answer; an ended connection sends no more."""
    with connect(url) as connection:
        send(connection, *parts)
        if is_ended:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        return [(answer.status, answer.body) for answer in parse(read(connection), parts[0])]


def statuses(url: str, *parts: bytes, is_ended: bool = True) -> list[int]:
    return [status for status, _ in ask(url, *parts, is_ended=is_ended)]


def memory(server: LocalServer, *, peak: bool = False) -> float:
    """Give the megabytes of its one worker."""
    (pid,) = server.worker_pids
    name = "VmHWM" if peak else "VmRSS"
    (kilobytes,) = re.findall(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 1000


@contextlib.contextmanager
def little_memory(server: LocalServer) -> Iterator[None]:
    """Check that the worker never takes more than 20 MB in addition."""
    with server.client() as client:
        client.get("/health")
    (pid,) = server.worker_pids
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory(server)
    yield
    assert memory(server, peak=True) - before <= 20


def predict(*lines: bytes, body: bytes = ROW, path: bytes = b"/predict/label") -> bytes:
    head = b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n" % (path, len(body))
    return head + b"".join(lines) + b"\r\n" + body


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_conformance_suite_asks(server: LocalServer, case: Case) -> None:
    """Every MUST holds, and so does what this service has chosen where there is a choice."""
    assert probe(server.url, case) == ""


class TestUpgrade:
    @pytest.mark.parametrize("lines", UPGRADES.values(), ids=UPGRADES)
    @pytest.mark.parametrize("n_packets", [1, 2, 3])
    def test_it_is_ignored(self, server: LocalServer, lines: bytes, n_packets: int) -> None:
        """RFC 9110, 7.8: the body is this request's, whatever packet it comes in, and there is one answer."""
        request = predict(lines)
        cut = len(request) - len(ROW)
        parts = [request] if n_packets == 1 else [request[:cut], request[cut:]]
        if n_packets == 3:
            parts = [request[:30], request[30 : cut + 5], request[cut + 5 :]]

        assert ask(server.url, *parts) == [(200, b'{"prediction":"setosa"}')]

    @pytest.mark.parametrize("n_packets", [1, 2])
    def test_a_body_is_no_request(self, server: LocalServer, n_packets: int) -> None:
        """Even if it looks like one."""
        request = predict(UPGRADES["h2c"], body=HEALTH)
        cut = len(request) - len(HEALTH)
        parts = [request] if n_packets == 1 else [request[:cut], request[cut:]]

        assert statuses(server.url, *parts, HEALTH) == [422, 200]

    def test_a_body_in_chunks(self, server: LocalServer) -> None:
        """Its framing is judged as any other."""
        head = b"POST /predict/label HTTP/1.1\r\nhost: a\r\ntransfer-encoding: %s\r\n" + UPGRADES["h2c"] + b"\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(ROW), ROW)

        assert statuses(server.url, head % b"chunked" + body, HEALTH) == [200, 200]
        assert statuses(server.url, head % b"gzip" + body, HEALTH) == [400]

    def test_many_in_one_packet(self, server: LocalServer) -> None:
        """Each is answered."""
        assert statuses(server.url, predict(UPGRADES["h2c"]) * 20 + HEALTH) == [200] * 21

    def test_curl_that_prefers_http2(self, server: LocalServer, tmp_path: Path) -> None:
        """It asks for h2c with every request, and stays with HTTP/1.1."""
        curl = shutil.which("curl")
        if curl is None or "HTTP2" not in subprocess.check_output([curl, "--version"], text=True):
            pytest.skip("a curl with HTTP/2 is missing")
        command = [curl, "--silent", "--http2", "--data", ROW.decode(), f"{server.url}/predict/label"]

        assert subprocess.check_output(command, text=True) == '{"prediction":"setosa"}'

    def test_nobody_gets_anothers_answer_through_a_proxy(self, server: LocalServer, tmp_path: Path) -> None:
        """An upgrade whose body is a request, while others ask over the same connections to the service."""
        wrong, over = [], threading.Event()

        def ask_for_health(url: str) -> None:
            with httpx2.Client(base_url=url, timeout=30) as client:
                while not over.is_set():
                    answer = client.get("/health")
                    if (answer.status_code, answer.content) != (200, b'{"health":"ok"}'):
                        wrong.append(answer.content)

        with keeping(server.url, tmp_path) as url:
            others = [threading.Thread(target=ask_for_health, args=(url,)) for _ in range(4)]
            for other in others:
                other.start()
            for _ in range(100):
                request = predict(UPGRADES["h2c"], body=predict())
                cut = len(request) - len(predict())
                with connect(url) as connection:
                    send(connection, request[:cut])
                    send(connection, request[cut:])
                    assert connection.recv(65536).startswith(b"HTTP/1.1 422")
            over.set()
            for other in others:
                other.join()

        assert wrong == []


class TestTrailers:
    @pytest.mark.parametrize("n_packets", [1, 2, 3])
    def test_they_are_no_headers(self, locked: LocalServer, n_packets: int) -> None:
        """RFC 9112, 7.1.2: neither a key nor an id of a request."""
        head = b"POST /predict/label HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n%s\r\n"
        body = b"%x\r\n%s\r\n0\r\n" % (len(ROW), ROW)
        trailers = b"x-api-key: my key\r\nx-request-id: of-a-trailer\r\ncontent-type: a/b\r\n\r\n"
        for key, expected in ((b"", 401), (b"x-api-key: my key\r\n", 200)):
            parts = [head % key, body, trailers]
            if n_packets < 3:
                parts = [head % key + body, trailers] if n_packets == 2 else [b"".join(parts)]
            with connect(locked.url) as connection:
                send(connection, *parts)
                connection.shutdown(socket.SHUT_WR)
                (answer,) = parse(read(connection), parts[0])

            assert answer.status == expected
            assert answer.headers[b"x-request-id"] != b"of-a-trailer"

    @pytest.mark.parametrize("line", [b"a: b\r\n", b"a", b"a: " + b"b" * 1000 + b"\r\n"], ids=["short", "one", "long"])
    def test_without_end_they_are_refused(self, server: LocalServer, line: bytes) -> None:
        """At 16 KiB, without taking memory."""
        head = b"POST /predict/label HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        with little_memory(server), connect(server.url) as connection:
            n_bytes = 0
            with contextlib.suppress(OSError):
                connection.sendall(head)
                while n_bytes < 100_000_000:
                    n_bytes += connection.send(line * (65536 // len(line)))
            assert n_bytes < 20_000_000  # what the system's buffers take
            assert read(connection)[:12] in (b"HTTP/1.1 431", b"")  # a reset may take the answer with it

    def test_chunks_of_many_words_are_refused(self, server: LocalServer) -> None:
        """Extensions that bring no byte of a body."""
        head = b"POST /predict/label HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"

        assert statuses(server.url, head + b"5;a=" + b"b" * 20_000) == [431]
        assert statuses(server.url, head + (b"1;a=%s\r\n{\r\n" % (b"b" * 900)) * 100 + b"0\r\n\r\n") == [422]


class TestPipelining:
    def test_every_request_is_answered_in_little_memory(self, server: LocalServer) -> None:
        """50,000 of them in one go, by one client."""
        n_requests, n_answers, rest = 50_000, 0, b""
        with little_memory(server), connect(server.url) as connection:
            writer = threading.Thread(target=send, args=(connection, HEALTH * n_requests))
            writer.start()
            while n_answers < n_requests:
                part = connection.recv(65536)
                assert part, f"closed after {n_answers} answers"
                *answers, rest = (rest + part).split(b'{"health":"ok"}')
                n_answers += len(answers)
            writer.join()
        assert memory(server) < 200

    def test_many_clients_take_little_memory(self, server: LocalServer) -> None:
        """100 of them, none of which reads, and the service answers others."""
        with little_memory(server), contextlib.ExitStack() as stack:
            for _ in range(100):
                connection = stack.enter_context(connect(server.url))
                connection.setblocking(False)
                connection.send(HEALTH * 1000)
            with server.client() as client:
                assert client.get("/health").status_code == 200

    def test_answers_come_in_order(self, server: LocalServer) -> None:
        """Of requests that take their time and others that don't."""
        slow = b"GET /slow?name=%d HTTP/1.1\r\nhost: a\r\n\r\n"

        answers = ask(server.url, slow % 1 + HEALTH + slow % 2 + predict() + slow % 3)

        expected = [b"1", b'{"health":"ok"}', b"2", b'{"prediction":"setosa"}', b"3"]
        assert [body for _, body in answers] == expected

    @pytest.mark.parametrize(
        "bad",
        [b"no HTTP\r\n\r\n", get(host="Host: a/b"), HEALTH[:-2] + b"x: " + b"y" * 20_000, predict()[:-40] + b"\0"],
    )
    def test_a_refusal_waits_for_the_answer_before_it(self, server: LocalServer, bad: bytes) -> None:
        """Otherwise the client would take it for that response."""
        slow = b"GET /slow?name=1 HTTP/1.1\r\nhost: a\r\n\r\n"

        first, *others = ask(server.url, slow + bad)

        assert first == (200, b"1")
        assert [status for status, _ in others] in ([400], [431], [])

    def test_a_late_request_behind_a_slow_answer(self, server: LocalServer) -> None:
        """It gets its 408 behind that answer."""
        slow = b"GET /slow?name=1&seconds=3 HTTP/1.1\r\nhost: a\r\n\r\n"
        for late in (HEALTH[:-2], predict()[:-1]):
            assert statuses(server.url, slow, late, is_ended=False) == [200, 408]


class TestWaiting:
    def test_empty_lines_are_no_request(self, server: LocalServer) -> None:
        """One now and then doesn't put off the end of an idle connection."""
        with connect(server.url) as connection:
            send(connection, HEALTH)
            assert connection.recv(65536)
            started = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - started < KEEP_ALIVE + LATE + 5:
                    connection.sendall(b"\r\n")
                    time.sleep(0.3)
            assert KEEP_ALIVE - 0.5 < time.monotonic() - started < KEEP_ALIVE + LATE

    def test_many_empty_lines_are_refused(self, server: LocalServer) -> None:
        """Before, between and behind requests; a few are read over."""
        few, many = b"\r\n" * 8, b"\r\n" * 3000

        assert statuses(server.url, few + HEALTH + few, few + HEALTH) == [200, 200]
        assert statuses(server.url, many + HEALTH) == [400]
        assert statuses(server.url, HEALTH, many, HEALTH) == [200, 400]
        assert statuses(server.url, HEALTH + many + HEALTH) == [200, 400]

    def test_an_idle_connection_is_kept_for_so_long(self, server: LocalServer) -> None:
        """KEEP_ALIVE seconds from the last answer."""
        with connect(server.url) as connection:
            for _ in range(2):
                send(connection, HEALTH)
                assert connection.recv(65536)
                time.sleep(KEEP_ALIVE - 1.5)
            started = time.monotonic()
            assert read(connection) == b""
            assert 1 < time.monotonic() - started < 1.5 + LATE

    def test_a_proxy_that_keeps_connections_gets_no_reset(self, tmp_path: Path) -> None:
        """KEEP_ALIVE is longer than what load balancers and nginx keep an idle connection for, 60 seconds."""
        environ = {"KEEP_ALIVE": "4"}
        with (
            LocalServer.start(tmp_path / "log", **environ) as server,
            keeping(server.url, tmp_path, idle=2) as url,
            httpx2.Client(base_url=url, timeout=30) as client,
        ):
            for pause in (0.9, 1.9, 2.1, 0):
                assert client.post("/predict/label", content=ROW).status_code == 200
                time.sleep(pause)

    def test_descriptors_run_short(self, tmp_path: Path) -> None:
        """Idle connections make room, those that have been idle longest; a request under way is answered."""
        with LocalServer.start(tmp_path / "log") as server, contextlib.ExitStack() as stack:
            (pid,) = server.worker_pids
            n_used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (n_used + 20, n_used + 20))
            busy = stack.enter_context(connect(server.url))
            send(busy, predict()[:-1])
            for _ in range(100):
                connection = stack.enter_context(connect(server.url))
                send(connection, HEALTH)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            send(busy, ROW[-1:])
            assert busy.recv(65536).startswith(b"HTTP/1.1 200")
            warnings = [json.loads(line) for line in server.log().splitlines() if "accept a connection" in line]

        assert 1 <= len(warnings) <= 10
        assert re.fullmatch(
            r"can't accept a connection: Too many open files; closed \d+ idle ones to make room",
            warnings[0]["message"],
        )


class TestUnread:
    def test_answers_that_nobody_reads(self, server: LocalServer) -> None:
        """40 clients ask for more than the system's buffers take: the connections are closed, and take little memory."""
        request = get("Accept: text/html", start="GET / HTTP/1.1")
        n_sockets = count_sockets(server)
        with little_memory(server), contextlib.ExitStack() as stack:
            for _ in range(40):
                connection = stack.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                connection.connect((urlsplit(server.url).hostname, urlsplit(server.url).port))
                connection.setblocking(False)
                connection.send(request * 120)
            assert count_sockets(server) > n_sockets
            wait_until(lambda: count_sockets(server) <= n_sockets)
        with server.client() as client:
            assert client.get("/health").status_code == 200

    def test_a_slow_reader_gets_its_answer(self, server: LocalServer) -> None:
        """If it reads more than 64 KiB in each REQUEST_TIMEOUT."""
        n_bytes, started = 0, time.monotonic()
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            address = urlsplit(server.url)
            connection.connect((address.hostname, address.port))
            send(connection, b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            while part := connection.recv(100_000):
                n_bytes += len(part)
                if time.monotonic() - started < TIMEOUT * 3:
                    time.sleep(0.2)
        assert n_bytes > 20_000_000


class TestHalfClosed:
    @pytest.mark.parametrize("path", [b"/slow?name=1", b"/slow?name=1&seconds=0"])
    def test_answers_of_the_thread_pool_arrive(self, server: LocalServer, path: bytes) -> None:
        """60 clients at once that send no more, but read."""
        request = b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path
        with contextlib.ExitStack() as stack:
            connections = []
            for _ in range(60):
                connections.append(connection := stack.enter_context(connect(server.url)))
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answers = [parse(read(connection), request) for connection in connections]

        assert [[answer.body for answer in each] for each in answers] == [[b"1"]] * 60

    def test_so_do_those_of_pipelined_requests(self, server: LocalServer) -> None:
        """All that are whole, many or few."""
        slow = b"GET /slow?name=%d HTTP/1.1\r\nhost: a\r\n\r\n"

        assert ask(server.url, slow % 1 + slow % 2 + slow % 3 + HEALTH[:-2])[-1] == (200, b"3")
        assert ask(server.url, slow % 1 + slow % 2 + slow % 3 + predict()[:-2])[-1] == (200, b"3")
        assert statuses(server.url, slow % 1 + HEALTH * 500) == [200] * 501


class TestVersions:
    def test_http_1_0_is_answered_and_closed(self, server: LocalServer) -> None:
        """With or without a Host, and with a wish to keep the connection."""
        for lines in (b"", b"host: a\r\n", b"connection: keep-alive\r\n"):
            request = b"GET /health HTTP/1.0\r\n" + lines + b"\r\n"
            assert statuses(server.url, request, is_ended=False) == [200]

    @pytest.mark.parametrize("line", [b"GET /health", b"GET /health HTTP/2.0", b"GET /health HTTP/0.9"])
    def test_no_other_version_is(self, server: LocalServer, line: bytes) -> None:
        """A line without a version is HTTP/0.9, whose answers have no head."""
        assert statuses(server.url, line + b"\r\nhost: a\r\n\r\n", is_ended=False) == [400]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what comes with a deadline, and doesn't without one."""
    end = time.monotonic() + 10 * TIMEOUT
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def count_sockets(server: LocalServer) -> int:
    (pid,) = server.worker_pids
    n_sockets = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            n_sockets += str(path.readlink()).startswith("socket:")
    return n_sockets


def test_the_server_is_fine_after_all_that(server: LocalServer) -> None:
    """And wrote no traceback."""
    assert statuses(server.url, predict()) == [200]
    assert "Traceback" not in server.log()
