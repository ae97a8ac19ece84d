"""`python local_server.py`: the real Gunicorn, its settings, its start and its end."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from function.settings import Settings
from local_server import ServerSettings
from model.train import Trained
from tests.support.entry_points import ROOT, LocalServer
from tests.support.pasted_secrets import KEY, WRONG_KEYS

ROW = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must come within the 5 seconds that a refused start may take."""
    command = [sys.executable, str(ROOT / "local_server.py"), *arguments]
    environ = {"PORT": "0"} | environ
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=5, check=False)


def assert_refused(result: subprocess.CompletedProcess[str], line: str) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"{line}\n")


def connect(server: LocalServer) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=10)


def count_sockets(pid: int) -> int:
    return sum(str(path.readlink()).startswith("socket:") for path in Path(f"/proc/{pid}/fd").iterdir())


def get_with_retries(server: LocalServer, path: str) -> httpx2.Response:
    """Uvicorn closes connections that it has accepted but not read when its worker ends."""
    for _ in range(2):
        with contextlib.suppress(httpx2.TransportError), server.client() as client:
            return client.get(path)
    with server.client() as client:
        return client.get(path)


def write_app(folder: Path, answer: str) -> None:
    (folder / "other.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        f"    await send({{'type': 'http.response.body', 'body': b'{answer}'}})\n"
    )


def begin_request(connection: socket.socket) -> None:
    """Send all of a request but its last byte."""
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ROW)}\r\n\r\n".encode()
    connection.sendall(head + ROW[:-1])


class TestServing:
    def test_it_is_ours_that_answers(self, local_server: LocalServer) -> None:
        """The id of our request is in its log, in one access line."""
        with local_server.client() as client:
            response = client.post("/predict", content=ROW, headers={"X-Request-ID": "is-it-you"})
        assert set(response.headers) == {
            "date", "content-length", "content-type", "cache-control", "x-request-id", "x-model-sha256"
        }  # fmt: skip
        local_server.wait_for(lambda log: "is-it-you" in log)

        lines = [json.loads(line) for line in local_server.log().splitlines()]

        (line,) = (line for line in lines if line.get("request_id") == "is-it-you")
        assert line.pop("milliseconds") > 0
        assert line.pop("timestamp").startswith("20")
        assert line.pop("message").startswith("POST /predict 200 ")
        assert line == {
            "level": "INFO",
            "logger": "access",
            "method": "POST",
            "path": "/predict",
            "status": 200,
            "rows": 1,
            "request_id": "is-it-you",
        }

    def test_a_connection_outlives_head(self, tmp_path: Path) -> None:
        """Its next request isn't mistaken for the body that HEAD's answer lacks, and nothing is complained of."""
        with LocalServer.start(tmp_path / "log") as server:
            address = urlsplit(server.url).netloc
            with contextlib.closing(http.client.HTTPConnection(address, timeout=10)) as connection:
                for method, path in (
                    ("HEAD", "/"),
                    ("HEAD", "/predict"),
                    ("HEAD", "/openapi.json"),
                    ("GET", "/health"),
                ):
                    connection.request(method, path)
                    first = connection.sock
                    body = connection.getresponse().read()
                    assert connection.sock is first is not None
            server.wait_for(lambda log: log.count('"access"') == 4)

        assert body == b'{"health":"ok"}'
        assert [json.loads(line)["level"] for line in server.log().splitlines()].count("ERROR") == 0

    def test_the_workers_share_connections_out(self, tmp_path: Path) -> None:
        """Those that come at once too; which of them accepts one is left to chance within narrow bounds."""
        with LocalServer.start(tmp_path / "log", WORKERS="2") as server, contextlib.ExitStack() as stack:
            before = {pid: count_sockets(pid) for pid in server.worker_pids}
            connections = [stack.enter_context(connect(server)) for _ in range(40)]
            for connection in connections:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert all(connection.recv(65536).startswith(b"HTTP/1.1 200") for connection in connections)
            shares = [count_sockets(pid) - n for pid, n in before.items()]

        assert sum(shares) == 40
        assert min(shares) >= 10

    def test_features_and_probabilities_are_not_logged(self, local_server: LocalServer) -> None:
        """Nor a word of a body that is refused."""
        with local_server.client() as client:
            answer = client.post("/predict", content=b'{"data": [[5.4321, 3.5, 1.4, 0.2]]}').json()
            client.post(
                "/predict", content=b'{"data": [["sentinel", 3.5, 1.4, 0.2]]}', headers={"X-Request-ID": "last"}
            )
        local_server.wait_for(lambda log: '"last"' in log)

        log = local_server.log()

        assert "5.4321" not in log
        assert "sentinel" not in log
        assert not any(str(probability) in log for probability in answer["prediction"])

    def test_text_logs_are_for_a_terminal(self, tmp_path: Path) -> None:
        """LOG_FORMAT=TEXT: the line and its request's id."""
        with LocalServer.start(tmp_path / "log", LOG_FORMAT="TEXT") as server, server.client() as client:
            client.get("/health", headers={"X-Request-ID": "mine"})
            server.wait_for(lambda log: "mine" in log)

        (line,) = (line for line in server.log().splitlines() if "mine" in line)
        assert " INFO    access GET /health 200 " in line
        assert line.endswith(" ms mine")

    def test_a_worker_is_renewed_after_so_many_requests(self, tmp_path: Path) -> None:
        """LIMIT_MAX_REQUESTS; a client that retries, as with any server, loses nothing."""
        with LocalServer.start(tmp_path / "log", LIMIT_MAX_REQUESTS="5") as server:
            for _ in range(100):
                assert get_with_retries(server, "/health").status_code == 200
                if len(server.worker_pids) >= 3:
                    return
        pytest.fail(f"after 100 requests only {server.worker_pids} have started")

    @pytest.mark.parametrize(
        ("name", "shown"), [("uvicorn_worker.UvicornH11Worker", "UvicornH11Worker"), ("asgi", "ASGIWorker")]
    )
    def test_another_worker_class(self, tmp_path: Path, name: str, shown: str) -> None:
        """UVICORN_WORKER takes Uvicorn's others and Gunicorn's own."""
        with LocalServer.start(tmp_path / "log", UVICORN_WORKER=name) as server:
            with server.client() as client:
                assert client.post("/predict", content=ROW).status_code == 200
            assert f"Using worker: {shown}" in server.log()

    def test_a_model_of_the_original_pattern(self, tmp_path: Path, trained: Trained) -> None:
        """ZipMap, an input called `float_input`, labels in a file elsewhere: two variables, and it works."""
        pipeline, _, labels = trained
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # skl2onnx's, see model/train.py
            model = convert_sklearn(pipeline, initial_types=[("float_input", FloatTensorType([None, 4]))])
        (tmp_path / "original.onnx").write_bytes(model.SerializeToString())
        (tmp_path / "names").mkdir()
        (tmp_path / "names" / "iris.json").write_text(json.dumps(labels))
        environ = {
            "MODEL_FILEPATH": str(tmp_path / "original.onnx"),
            "LABEL_FILEPATH": str(tmp_path / "names" / "iris.json"),
        }
        with LocalServer.start(tmp_path / "log", **environ) as server, server.client() as client:
            prediction = client.post("/predict", content=ROW).json()["prediction"]
            assert client.post("/predict/label", content=ROW).json() == {"prediction": "setosa"}

        assert prediction == pytest.approx(pipeline.predict_proba([[5.1, 3.5, 1.4, 0.2]])[0], abs=1e-6)

    def test_a_logging_configuration_of_ones_own(self, tmp_path: Path) -> None:
        """LOGCONFIG, for Gunicorn's lines and Uvicorn's; the app's stay as they are."""
        config = tmp_path / "logging.conf"
        config.write_text(
            "[loggers]\nkeys=root,gunicorn.error\n[handlers]\nkeys=out\n[formatters]\nkeys=own\n"
            "[logger_root]\nhandlers=out\n"
            "[logger_gunicorn.error]\nqualname=gunicorn.error\nhandlers=out\npropagate=0\n"
            "[handler_out]\nclass=StreamHandler\nargs=(sys.stdout,)\nformatter=own\n"
            "[formatter_own]\nformat=own %(message)s\n"
        )
        with LocalServer.start(tmp_path / "log", LOGCONFIG=str(config)) as server:
            assert "own Listening at: " in server.log()

    def test_changed_code_is_served_with_reload(self, tmp_path: Path) -> None:
        """RELOAD, for development."""
        write_app(tmp_path, "before")
        environ = {"APP_NAME": "other:app", "PYTHONPATH": str(tmp_path), "RELOAD": "1"}
        with LocalServer.start(tmp_path / "log", **environ) as server:
            assert get_with_retries(server, "/").text == "before"
            write_app(tmp_path, "afterwards")
            server.wait_for(lambda log: log.count("Started server process") >= 2)
            assert get_with_retries(server, "/").text == "afterwards"

    def test_log_levels(self, tmp_path: Path) -> None:
        """LOGLEVEL is Gunicorn's, LOG_LEVEL the app's."""
        with LocalServer.start(tmp_path / "log", LOGLEVEL="DEBUG", LOG_LEVEL="WARNING") as server:
            assert get_with_retries(server, "/health").status_code == 200

        lines = [json.loads(line) for line in server.log().splitlines()]
        assert any(line["level"] == "DEBUG" and line["logger"] == "gunicorn.error" for line in lines)
        assert not any(line["logger"] == "access" for line in lines)

    def test_a_caller_who_leaves_is_no_error(self, tmp_path: Path) -> None:
        """One access line, with the status that nginx gives such a request."""
        with LocalServer.start(tmp_path / "log") as server:
            with connect(server) as connection:
                begin_request(connection)
            server.wait_for(lambda log: '"access"' in log)

        lines = [json.loads(line) for line in server.log().splitlines()]
        (line,) = (line for line in lines if line["logger"] == "access")
        assert (line["path"], line["status"]) == ("/predict", 499)
        assert not any(line["level"] == "ERROR" for line in lines)

    def test_another_app(self, tmp_path: Path) -> None:
        """APP_NAME."""
        write_app(tmp_path, "other")
        environ = {"APP_NAME": "other:app", "PYTHONPATH": str(tmp_path)}
        with LocalServer.start(tmp_path / "log", **environ) as server, server.client() as client:
            assert client.get("/").text == "other"

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("function.settings:nothing", "Failed to find attribute 'nothing' in 'function.settings'."),
            ("nothing:app", "No module named 'nothing'"),
        ],
    )
    def test_an_app_that_is_not_there(self, name: str, message: str) -> None:
        """One line."""
        assert_refused(run(APP_NAME=name), f"SettingsError: APP_NAME={name!r}: {message}")

    def test_ipv6(self, tmp_path: Path) -> None:
        """HOST takes it."""
        with LocalServer.start(tmp_path / "log", HOST="::1") as server:
            assert "Listening at: http://[::1]:" in server.log()


class TestStart:
    def test_help_explains_every_setting(self) -> None:
        """By its variable, with its default."""
        result = run("--help")

        assert result.returncode == 0
        names = [*ServerSettings.model_fields, *Settings.model_fields]
        explained = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line[:2] == "  "}
        for name in names:
            assert explained[name.upper()][0][0] != "[", f"{name} has its default alone"
        assert "port to listen on; 0 for any free one [8000]" in result.stdout

    def test_an_argument_is_refused(self) -> None:
        """Settings are variables; a word that is ignored would mislead."""
        result = run("--port", "80")

        assert result.returncode == 2
        assert "unrecognized arguments: --port 80" in result.stderr

    def test_a_port_in_use(self) -> None:
        """One line."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = run(PORT=str(port))

        message = (
            f"SettingsError: HOST='127.0.0.1' PORT={port}: can't listen there (Address already in use); choose another"
        )
        assert_refused(result, message)

    def test_an_address_that_is_not_ours(self) -> None:
        """One line."""
        result = run(HOST="192.0.2.1")

        reason = "can't listen there (Cannot assign requested address); choose another"
        assert_refused(result, f"SettingsError: HOST='192.0.2.1' PORT=0: {reason}")

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("PORT", "http", "Input should be a valid integer, unable to parse string as an integer"),
            ("PORT", "65536", "Input should be less than or equal to 65535"),
            ("WORKERS", "0", "Input should be greater than 0"),
            ("KEEP_ALIVE", "0", "Input should be greater than 0"),
            ("RELOAD", "perhaps", "Input should be a valid boolean, unable to interpret input"),
            ("LOGLEVEL", "loud", "Input should be 'debug', 'info', 'warning', 'error' or 'critical'"),
            ("LOGCONFIG", "/no/such.conf", "Path does not point to a file"),
            ("UVICORN_WORKER", "no.such.Worker", "no worker class of that name can be imported"),
            ("BACKLOG", "2147483648", "Input should be less than or equal to 65535"),
            ("APP_NAME", ":app", r"String should match pattern '^\w+(\.\w+)*(:\w.*)?$'"),
            ("HOST", "\udcff", "expected printable text"),
            ("MAX_BODY_BYTES", "9" * 30, "Input should be less than or equal to 1000000000"),
            ("UVICORN_WORKER", "os.getcwd", "expected a worker class for ASGI, of Uvicorn's or Gunicorn's"),
            ("UVICORN_WORKER", "builtins.dict", "expected a worker class for ASGI, of Uvicorn's or Gunicorn's"),
            ("UVICORN_WORKER", "sync", "expected a worker class for ASGI, of Uvicorn's or Gunicorn's"),
            ("MAX_ROWS", "all", "Input should be a valid integer, unable to parse string as an integer"),
            ("LOG_FORMAT", "xml", "Input should be 'JSON' or 'TEXT'"),
            (
                "METRICS_FOLDER",
                str(ROOT / "README.md"),
                "expected a folder that can be written, or created in one (File exists)",
            ),
            (
                "METRICS_FOLDER",
                "/proc/x",
                "expected a folder that can be written, or created in one (No such file or directory)",
            ),
            (
                "METRICS_FOLDER",
                "/proc/self",
                "expected a folder that can be written, or created in one (No such file or directory)",
            ),
        ],
    )
    def test_a_bad_setting(self, name: str, value: str, message: str) -> None:
        """One line that names the variable and the value."""
        assert_refused(run(**{name: value}), f"SettingsError: {name}={value!r}: {message}")

    @pytest.mark.parametrize("value", WRONG_KEYS.values(), ids=WRONG_KEYS)
    def test_a_key_in_place_of_its_digest(self, value: str) -> None:
        """One line without it."""
        result = run(API_KEY_SHA256=value)

        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("SettingsError: API_KEY_SHA256: expected ")
        assert result.stderr.count("\n") == 1
        assert KEY not in result.stderr

    def test_a_logging_configuration_that_is_none(self) -> None:
        """One line; its end is in the words of this Python's logging."""
        result = run(LOGCONFIG="README.md")

        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("SettingsError: LOGCONFIG='README.md': expected a logging configuration; ")

    def test_a_missing_model(self, tmp_path: Path) -> None:
        """One line that names the file, the cause and the variable."""
        path = tmp_path / "no.onnx"

        message = f"ArtifactError: {path}: can't be read (No such file or directory); MODEL_FILEPATH names the model"
        assert_refused(run(MODEL_FILEPATH=str(path)), message)

    def test_a_broken_model(self, tmp_path: Path) -> None:
        """One line."""
        path = tmp_path / "broken.onnx"
        path.write_bytes(b"not a model")

        result = run(MODEL_FILEPATH=str(path))

        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(
            f"ArtifactError: {path}: not an ONNX model that onnxruntime can load, export it again"
        )

    def test_another_model_than_meant(self, artifact: Path) -> None:
        """MODEL_SHA256."""
        result = run(MODEL_SHA256="0" * 64)

        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(f"ArtifactError: {artifact}: its SHA-256 is ")

    def test_from_another_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The shipped model is found from anywhere."""
        monkeypatch.chdir(tmp_path)
        with LocalServer.start(tmp_path / "log") as server, server.client() as client:
            assert client.get("/health").status_code == 200


class TestEnd:
    @pytest.mark.parametrize(
        ("signal_", "is_for_all"),
        [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGQUIT, False)],
        ids=["SIGTERM", "Ctrl-C", "SIGINT", "SIGQUIT"],
    )
    def test_it_is_clean(self, tmp_path: Path, signal_: signal.Signals, *, is_for_all: bool) -> None:
        """Status 0, no traceback, nothing left; Ctrl-C reaches the whole process group, a signal the master alone."""
        with LocalServer.start(tmp_path / "log", WORKERS="2") as server:
            pids = server.worker_pids
            send = os.killpg if is_for_all else os.kill
            send(server.process.pid, signal_)
            assert server.process.wait(timeout=5) == 0

        for line in server.log().splitlines():
            assert json.loads(line)["level"] in ("INFO", "WARNING")
        assert len(pids) == 2
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(server.url)

    def test_a_request_that_has_begun_is_answered(self, tmp_path: Path) -> None:
        """It has GRACEFUL_TIMEOUT seconds to come to its end."""
        with LocalServer.start(tmp_path / "log") as server, connect(server) as connection:
            begin_request(connection)
            time.sleep(0.2)  # until the worker has read it
            server.process.terminate()
            server.wait_for(lambda log: "Handling signal: term" in log)
            time.sleep(0.2)  # until the worker is told
            connection.sendall(ROW[-1:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert server.process.wait(timeout=10) == 0

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b'{"prediction":[0.974183,0.024898142,0.00091884134]}')

    def test_a_request_that_never_ends_is_cut_off(self, tmp_path: Path) -> None:
        """After GRACEFUL_TIMEOUT seconds, which the log says."""
        with LocalServer.start(tmp_path / "log", GRACEFUL_TIMEOUT="1") as server, connect(server) as connection:
            begin_request(connection)
            time.sleep(0.2)
            started = time.monotonic()
            server.process.terminate()
            server.process.wait(timeout=10)

        assert 0.9 <= time.monotonic() - started <= 4  # beyond it Gunicorn would kill the worker
        assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in server.log()
        assert "SIGKILL" not in server.log()
