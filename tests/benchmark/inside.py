"""What is measured inside one process: a child of the bench's, new for each round.

Usage: python -m tests.benchmark.inside RESULT_FILE MEASURE ARGUMENT...
"""

import asyncio
import functools
import http.client
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from function.settings import shipped_model
from tests.benchmark.ceiling import load_session
from tests.benchmark.systems import WrongAnswerError, is_right
from tests.support.entry_points import ROOT

Ask = Callable[[str, bytes, dict[str, str]], Awaitable[bytes]]
ROUTES = ("json", "binary", "onnxruntime")


def measure(name: str, *arguments: object, python_path: str = "", **environ: str) -> Any:
    """Measure in a new process, its log thrown away."""
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, "-m", "tests.benchmark.inside", file.name, name, *map(str, arguments)]
        environ = {"PYTHONPATH": f"{ROOT}:{python_path}", "MODEL_FILEPATH": str(shipped_model())} | environ
        subprocess.run(command, env=os.environ | environ, stdout=subprocess.DEVNULL, check=True)
        return json.loads(file.read())


def invocation(handler_name: str, seconds: str) -> float:
    """Give the microseconds of one warm invocation, from an event of an HTTP API to its answer."""
    module, _, name = handler_name.partition(":")
    handler = getattr(importlib.import_module(module), name)
    event = json.loads((ROOT / "events" / "predict.json").read_text())
    answer = handler(event, None)
    if not is_right(json.loads(answer["body"])["prediction"]):
        raise WrongAnswerError(f"{handler_name}: {answer}")
    timer = timeit.Timer(lambda: handler(event, None))
    n_calls = max(1, int(float(seconds) / 10 / min(timer.repeat(50, 1))))
    return median(timer.repeat(10, n_calls)) / n_calls * 1e6


async def _median(doings: Mapping[str, Callable[[], Awaitable[object]]], seconds: float) -> dict[str, float]:
    """Do each in turns, twice, and give the median microseconds of the second time: the first warms the caches."""
    times: dict[str, list[float]] = {name: [] for name in doings}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, do in doings.items():
            await do()
            started = time.perf_counter()
            await do()
            times[name].append(time.perf_counter() - started)
    return {name: median(found) * 1e6 for name, found in times.items()}


def batches(n_rows: str, seconds: str, url: str = "") -> dict[str, float]:
    """Give the microseconds of a request with so many rows, as JSON and as tensors, and of ONNX Runtime alone."""
    return asyncio.run(_batches(int(n_rows), float(seconds), over_http(url) if url else in_process()))


async def _batches(n_rows: int, seconds: float, ask: Ask) -> dict[str, float]:
    path = Path(os.environ["MODEL_FILEPATH"])
    session = load_session(str(path))
    (features,) = session.get_inputs()
    rows = np.random.default_rng(0).uniform(0, 8, (n_rows, features.shape[1])).round(1).astype(np.float32)
    infer = f"/v2/models/{path.stem}/infer"
    head, tensors = binary_request(features.name, rows)

    async def run() -> Any:
        return session.run(None, {features.name: rows})

    json_body = json_rows(rows)
    doings: dict[str, Callable[[], Awaitable[Any]]] = {
        "json": functools.partial(ask, "/predict/batch", json_body, {"content-type": "application/json"}),
        "binary": functools.partial(ask, infer, tensors, head),
        "onnxruntime": run,
    }
    check(json.loads(await doings["json"]())["prediction"], await doings["binary"](), (await run())[1])
    return await _median(doings, seconds)


def check(from_json: list[list[float]], from_tensors: bytes, probabilities: Any) -> None:
    """Compare both answers with ONNX Runtime's own, bit by bit."""
    is_same = np.array_equal(np.asarray(from_json, np.float32), probabilities)
    if not (is_same and probabilities.tobytes() in from_tensors):
        raise WrongAnswerError("expected ONNX Runtime's own probabilities, got others")


def json_rows(rows: Any) -> bytes:
    return json.dumps({"data": [[round(value, 1) for value in row] for row in rows.tolist()]}).encode()


def binary_request(name: str, rows: Any) -> tuple[dict[str, str], bytes]:
    """Write rows as the binary tensors of the Open Inference Protocol, and ask for all outputs as such."""
    size = {"binary_data_size": rows.nbytes}
    tensor = {"name": name, "shape": rows.shape, "datatype": "FP32", "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return {"inference-header-content-length": str(len(head))}, head + rows.tobytes()


def over_http(url: str) -> Ask:
    """Ask an address over one keep-alive connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    async def ask(path: str, body: bytes, headers: dict[str, str]) -> bytes:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise WrongAnswerError(f"{path}: {response.status} {content[:1000]!r}")
        return content

    return ask


def in_process() -> Ask:
    """Ask the app as a server does, without one."""
    app = importlib.import_module("function.main").app

    async def ask(path: str, body: bytes, headers: dict[str, str]) -> bytes:
        sent: list[dict[str, Any]] = []
        request = {"type": "http.request", "body": body, "more_body": False}
        messages: Iterator[dict[str, Any]] = iter([request, {"type": "http.disconnect"}])

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(_scope(path, headers | {"content-length": str(len(body))}), receive, send)
        await asyncio.sleep(0)  # at the end of a turn of the event loop the access line is written
        content = b"".join(message.get("body", b"") for message in sent)
        if sent[0]["status"] != 200:
            raise WrongAnswerError(f"{path}: {sent[0]['status']} {content[:1000]!r}")
        return content

    return ask


def _scope(path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


if __name__ == "__main__":
    result, name, *arguments = sys.argv[1:]
    measures: dict[str, Callable[..., Any]] = {"invocation": invocation, "batches": batches}
    found = measures[name](*arguments)
    Path(result).write_text(json.dumps(found))
