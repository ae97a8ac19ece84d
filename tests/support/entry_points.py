"""The entry points, each as a function from a call to its answer, so that one table of calls tests all of them."""

import base64
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import httpx2

ROOT = Path(__file__).parents[2]
READY = "Started server process|ASGI server listening on"  # in the words of Uvicorn's worker, and of Gunicorn's
Event = Callable[[str], dict[str, Any]]
AccessLines = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Call:
    """A request as a caller makes it."""

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True)
class Answer:
    """What must be the same at every entry point."""

    status: int
    content_type: str | None
    allow: str | None
    json_length: str | None  # of the protocol's binary answers
    caching: str | None
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says; None where there is none, as in the answer to HEAD."""
        return json.loads(self.body) if self.body else None


EntryPoint = Callable[[Call], Answer]
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def unmeasured() -> dict[str, str]:
    """Give this environment without what has a process's coverage written, for one that can write nothing."""
    return {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}


def http_entry_point(client: httpx2.Client) -> EntryPoint:
    """Any address that speaks HTTP; Starlette's TestClient is one too."""

    def call(call: Call) -> Answer:
        response = client.request(call.method, call.path, content=call.body, headers=call.headers)
        headers = response.headers
        return Answer(response.status_code, *_compared(headers), response.content)

    return call


def lambda_entry_point(handler: Handler, to_event: Callable[[Call], dict[str, Any]]) -> EntryPoint:
    """The handler, by one of the forms in which AWS hands it a request."""

    def call(call: Call) -> Answer:
        return answer_of(handler(to_event(call), None))

    return call


def answer_of(result: Mapping[str, Any]) -> Answer:
    """Read the handler's result as API Gateway does."""
    headers = dict(result.get("headers") or {})
    headers |= {name: values[-1] for name, values in (result.get("multiValueHeaders") or {}).items()}
    body = result["body"].encode()
    if result["isBase64Encoded"]:
        body = base64.b64decode(body, validate=True)
    if headers.get("content-encoding") == "gzip":  # as every client does by itself
        body = gzip.decompress(body)
    return Answer(result["statusCode"], *_compared(headers), body)


def _compared(headers: Mapping[str, str]) -> tuple[str | None, str | None, str | None, str | None]:
    content_type, allow, json_length, caching = (
        headers.get(name) for name in ("content-type", "allow", "inference-header-content-length", "cache-control")
    )
    return content_type, allow, json_length, caching


def http_api_event(call: Call) -> dict[str, Any]:
    return _version_2(call, "predict")


def function_url_event(call: Call) -> dict[str, Any]:
    return _version_2(call, "predict_function_url")


def rest_api_event(call: Call) -> dict[str, Any]:
    event = _version_1(call, "predict_rest_api", decode=True)
    headers = _headers(call, event)
    return event | {"headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()}}


def alb_event(call: Call) -> dict[str, Any]:
    event = _version_1(call, "predict_alb", decode=False)
    return event | {"headers": _headers(call, event)}


def alb_multi_value_event(call: Call) -> dict[str, Any]:
    event = alb_event(call)
    return event | {"multiValueHeaders": {name: [value] for name, value in event.pop("headers").items()}}


def lattice_event(call: Call) -> dict[str, Any]:
    event = _template("predict_lattice")
    kept = {"headers": {name: values[0] for name, values in event["headers"].items()}}
    headers = {name: [value] for name, value in _headers(call, kept).items()}
    return event | {"method": call.method, "path": call.path, "headers": headers} | _body(call)


def in_base64(to_event: Callable[[Call], dict[str, Any]]) -> Callable[[Call], dict[str, Any]]:
    """The same form with its body as base64, as a gateway sends what it takes for binary."""

    def convert(call: Call) -> dict[str, Any]:
        return to_event(call) | {"body": base64.b64encode(call.body).decode(), "isBase64Encoded": True}

    return convert


EVENT_FORMS = {
    "HTTP API": http_api_event,
    "REST API": rest_api_event,
    "Function URL": function_url_event,
    "ALB": alb_event,
    "ALB, multi-value": alb_multi_value_event,
    "VPC Lattice": lattice_event,
}


def _template(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def _headers(call: Call, event: Mapping[str, Any]) -> dict[str, str]:
    sent = {"content-length": str(len(call.body)), **call.headers} if call.body else dict(call.headers)
    kept = {
        name: value
        for name, value in event["headers"].items()
        if not name.lower().startswith("content-") and name.lower() not in sent
    }
    return kept | sent


def _body(call: Call) -> dict[str, Any]:
    try:
        return {"body": call.body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:  # no gateway can send it as text
        return {"body": base64.b64encode(call.body).decode(), "isBase64Encoded": True}


def _version_2(call: Call, name: str) -> dict[str, Any]:
    event = _template(name)
    path, _, query = call.path.partition("?")
    http = event["requestContext"]["http"] | {"method": call.method, "path": path}
    context = event["requestContext"] | {"http": http}
    body = _body(call)
    new = {"rawPath": path, "rawQueryString": query, "headers": _headers(call, event), "requestContext": context}
    return event | new | body


def _version_1(call: Call, name: str, *, decode: bool) -> dict[str, Any]:
    """Give an event that has its query in parts, which a REST API decodes and a load balancer doesn't."""
    path, _, query = call.path.partition("?")
    raw = [(key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part)]
    pairs = parse_qsl(query, keep_blank_values=True) if decode else raw
    new: dict[str, Any] = {"httpMethod": call.method, "path": path, "queryStringParameters": dict(pairs)}
    if decode:
        several: dict[str, list[str]] = {}
        for key, value in pairs:
            several.setdefault(key, []).append(value)
        new["multiValueQueryStringParameters"] = several
    return _template(name) | new | _body(call)


def free_port() -> int:
    """For programs that can't be given 0."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_running(pid: int) -> bool:
    """Not gone, nor waiting for somebody to take notice of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class LocalServer:
    """`python local_server.py` in a process group of its own, its output in a file."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @classmethod
    @contextlib.contextmanager
    def start(cls, log_path: Path, *condition: str, **environ: str) -> Iterator[Self]:
        """Wait until every worker serves, and end the server with the block; a command makes the condition for it."""
        environ = {"PORT": "0", "WORKERS": "1"} | environ
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*condition, sys.executable, str(ROOT / "local_server.py")],
                env=os.environ | environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = cls(process, log_path)
        try:
            server.wait_for(lambda log: len(re.findall(READY, log)) >= int(environ["WORKERS"] or 1))
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for(self, is_so: Callable[[str], bool], seconds: float = 20) -> None:
        """Wait until the log is so."""
        end = time.monotonic() + seconds
        while not is_so(self.log()):
            assert self.process.poll() is None, f"the server ended early:\n{self.log()}"
            assert time.monotonic() < end, f"not within {seconds} s:\n{self.log()}"
            time.sleep(0.02)

    @property
    def url(self) -> str:
        """The address that the server itself says it listens on."""
        match = re.search(r"Listening at: (http://[\d.]+:\d+)", self.log())
        assert match, self.log()
        return match[1]

    @property
    def worker_pids(self) -> set[int]:
        """Of the workers started so far."""
        return {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log())}

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=10)
