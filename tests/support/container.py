"""A container of an image, as a user starts it: its port, its output, its end."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import httpx2

from tests.support.emulator import RIE
from tests.support.lambda_image import docker

EMULATE = ("--volume", f"{RIE}:/rie:ro", "--entrypoint", "/rie", "--env", "AWS_LAMBDA_LOG_FORMAT=JSON")
PEAK = """
import pathlib, re
peaks = (re.search(r"VmHWM:\\s+(\\d+)", path.read_text()) for path in pathlib.Path("/proc").glob("[0-9]*/status"))
print(max(int(peak[1]) for peak in peaks if peak))
"""


@dataclass
class Container:
    """It listens on a free port of this machine, and is removed with the block."""

    id: str
    port: int
    stack: contextlib.ExitStack

    @classmethod
    @contextlib.contextmanager
    def run(cls, image: str, *options: str, command: Sequence[str] = (), port: int = 8000) -> Iterator[Self]:
        """Start it, without waiting for what it serves."""
        started = docker("run", "--detach", "--publish", f"127.0.0.1::{port}", *options, image, *command)
        with contextlib.ExitStack() as stack:
            container = cls(started.stdout.decode().strip(), port, stack)
            stack.callback(docker, "rm", "--force", "--volumes", container.id)
            yield container

    @classmethod
    @contextlib.contextmanager
    def serve(cls, image: str, *options: str) -> Iterator[Self]:
        """Start the service, and wait until it answers."""
        with cls.run(image, *options) as container:
            container.wait(lambda: container.client.get("/health").json() == {"health": "ok"})
            yield container

    @classmethod
    @contextlib.contextmanager
    def emulate(cls, image: str, *options: str, command: Sequence[str]) -> Iterator[Self]:
        """Start it as Lambda does, by AWS's runtime emulator."""
        with cls.run(image, "--read-only", *EMULATE, *options, command=command, port=8080) as container:
            container.wait(lambda: bool(container.client.get("/").status_code))
            yield container

    @cached_property
    def url(self) -> str:
        address = docker("port", self.id, f"{self.port}/tcp").stdout.decode().splitlines()[0]
        return f"http://{address}"

    @cached_property
    def client(self) -> httpx2.Client:
        """Whatever listens there; it is closed with the block."""
        return self.stack.enter_context(httpx2.Client(base_url=self.url, timeout=120))

    def invoke(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
        """Give the handler's result; the signature is the handler's own."""
        response = self.client.post("/2015-03-31/functions/function/invocations", content=json.dumps(event))
        result: dict[str, Any] = response.json()
        return result

    def log(self) -> str:
        result = docker("logs", self.id)
        return (result.stdout + result.stderr).decode()

    def inspect(self, what: str) -> Any:
        return json.loads(docker("inspect", f"--format={{{{json {what}}}}}", self.id).stdout)

    @property
    def init_milliseconds(self) -> float:
        """How long the init phase took, as the emulator reports it."""
        (found,) = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.log())
        return float(found)

    @property
    def peak_megabytes(self) -> float:
        """The most memory that one of its processes has taken."""
        return int(docker("exec", self.id, "python", "-c", PEAK).stdout) / 1000

    def wait(self, answers: Callable[[], bool]) -> None:
        """Wait until something that it serves is so."""
        end = time.monotonic() + 120
        while True:
            assert self.inspect(".State.Running"), self.log()
            with contextlib.suppress(httpx2.TransportError):
                if answers():
                    return
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)
