"""The systems that are measured side by side: how each is started, asked and ended."""

import contextlib
import http.client
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from function.settings import shipped_model
from tests.support.calls import ROW
from tests.support.entry_points import ROOT, free_port
from tests.support.pythons import with_packages

HERE = Path(__file__).parent
PEERS = ("mlserver", "litserve", "bentoml")
PROBABILITIES = (0.974183, 0.024898142, 0.00091884134)  # of ROW, by the shipped model
TENSOR = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}


class WrongAnswerError(Exception):
    """A system's answer isn't the model's, so its speed means nothing."""


@dataclass(frozen=True, eq=False)
class System:
    """A server of the shipped model; {0}, {1}, {2} in its command and environment are free ports."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    body: bytes = ROW
    read: Callable[[Any], Sequence[float]] = lambda answer: answer["prediction"]

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Start it in a process group of its own, give the address once it answers right, and end it with the block."""
        ports = [free_port() for _ in range(3)]
        environ = {"MODEL_FILEPATH": str(shipped_model()), "PYTHONPATH": str(ROOT), **self.environ}
        with tempfile.TemporaryDirectory(prefix="speed") as folder, Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [part.format(*ports) for part in self.command],
                env=os.environ | {name: value.format(*ports) for name, value in environ.items()},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                address = f"127.0.0.1:{ports[0]}"
                self._wait(process, address, Path(folder, "log"))
                yield f"http://{address}{self.path}"
            finally:
                end(process)

    def check(self, address: str) -> None:
        """Ask for the known row.

        Raises:
            ConnectionError: any other status than 200.
            WrongAnswerError: the probabilities aren't those of the model, to 1e-5.
        """
        connection = http.client.HTTPConnection(address, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", self.path, self.body, {"content-type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:  # some aren't ready when they take connections
            raise ConnectionError(f"{response.status} {body!r}")
        if not is_right(self.read(json.loads(body))):
            raise WrongAnswerError(f"{self.name}: expected {PROBABILITIES}, got {body!r}")

    def _wait(self, process: subprocess.Popen[bytes], address: str, log_path: Path, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.check(address)
            except (OSError, http.client.HTTPException) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} doesn't serve: {error}\n{log_path.read_text()}") from None
            time.sleep(0.2)


def is_right(probabilities: Sequence[float]) -> bool:
    """Compare with the known row's probabilities: float32 has 7 digits, and no system shortens them below 5."""
    return len(probabilities) == len(PROBABILITIES) and all(
        math.isclose(value, known, abs_tol=1e-5) for value, known in zip(probabilities, PROBABILITIES, strict=True)
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: with a signal first, then for good."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)


def ours(n_workers: int = 2) -> System:
    """The local server with its defaults: checks, access lines in JSON, Prometheus' counters."""
    command = [sys.executable, str(ROOT / "local_server.py")]
    name = f"this service, {n_workers} worker{'s' * (n_workers > 1)}"
    return System(name, command, {"PORT": "{0}", "WORKERS": str(n_workers)})


def gunicorn(name: str, app: str, **environ: str) -> System:
    """An ASGI app under Gunicorn with Uvicorn's own worker, in two processes."""
    worker = ["--worker-class", "uvicorn_worker.UvicornWorker", "--workers", "2", "--bind", "127.0.0.1:{0}"]
    return System(name, [sys.executable, "-m", "gunicorn", *worker, app], environ)


def references(zipmap_path: Path) -> list[System]:
    """The references for this service: the smallest possible one, and the original style."""
    return [
        gunicorn("bare ASGI (the ceiling)", "tests.benchmark.ceiling:app"),
        gunicorn("the original style", "tests.benchmark.original:app", ZIPMAP_FILEPATH=str(zipmap_path)),
    ]


def peers() -> list[System]:
    """Other servers of models, each in an environment of its own.

    Their access lines are off, as ours aren't. Where the settings that they recommend for two cores weren't the
    fastest in trials, both are measured: MLServer without its pool of processes, LitServe with one worker. BentoML's
    endpoint is a coroutine, which beat its threads. MLServer's ports for gRPC and metrics can't be left out.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = ROOT / ".aws-sam" / "environments"
    pythons = {peer: with_packages(name, f"tests/benchmark/{peer}.txt", folder) for peer in PEERS}
    files = HERE / "peers"
    paths = {"PYTHONPATH": f"{files}:{ROOT}"}
    mlserver = [str(pythons["mlserver"].with_name("mlserver")), "start", str(files)]
    ports = {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{0}",
        "MLSERVER_GRPC_PORT": "{1}",
        "MLSERVER_METRICS_PORT": "{2}",
    }
    litserve = [str(pythons["litserve"]), str(files / "litserve_server.py"), "{0}"]
    bentoml = [str(pythons["bentoml"].with_name("bentoml")), "serve", "bentoml_service:Iris"]
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "bentoml"}
    return [
        *(
            System(
                f"MLServer, {pool}",
                mlserver,
                paths | ports | {"MLSERVER_PARALLEL_WORKERS": n, "MLSERVER_DEBUG": "false"},
                "/v2/models/iris/infer",
                json.dumps({"inputs": [TENSOR]}).encode(),
                lambda answer: answer["outputs"][0]["data"],
            )
            for pool, n in (("no pool", "0"), ("2 parallel workers", "2"))
        ),
        *(System(f"LitServe, {n} worker{'s' * (n > '1')}", [*litserve, n], paths) for n in ("1", "2")),
        System("BentoML, 2 workers", [*bentoml, "--host", "127.0.0.1", "--port", "{0}"], paths | quiet),
    ]
