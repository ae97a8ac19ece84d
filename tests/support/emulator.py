"""AWS's runtime emulator around a package, without Docker: init phase and invocations as Lambda has them."""

import contextlib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import samcli

from tests.support.entry_points import free_port

RIE = Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{platform.machine().replace('aarch', 'arm')}"
# root may write anywhere; without this capability a folder's permissions hold for it too.
AS_ANYONE = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if os.geteuid() == 0 else ()


@dataclass
class Emulator:
    """`aws-lambda-rie` on a free port, its output in a file; the package is its working directory, as /var/task is."""

    process: subprocess.Popen[bytes]
    log_path: Path
    client: httpx2.Client

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, python: Path, package: Path, log_path: Path, *, handler: str = "function.handler.handler", **environ: str
    ) -> Iterator[Self]:
        """Serve invocations by a Python that has awslambdaric, and end it with the block."""
        address, runtime_api = (f"127.0.0.1:{free_port()}" for _ in range(2))
        ports = ("--runtime-interface-emulator-address", address, "--runtime-api-address", runtime_api)
        command = [*AS_ANYONE, str(RIE), *ports, str(python), "-m", "awslambdaric", handler]
        environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | environ
        environ |= {"AWS_LAMBDA_FUNCTION_NAME": "ClassifierFunction", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024"}
        environ |= {"AWS_LAMBDA_LOG_FORMAT": "JSON"}  # as template.yaml sets it
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=package, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            _wait_for(address, process)
            timeout = 30 + float(environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "0"))
            with httpx2.Client(base_url=f"http://{address}", timeout=timeout) as client:
                yield cls(process, log_path, client)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def invoke(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
        """Give the handler's result; the signature is the handler's own."""
        response = self.client.post("/2015-03-31/functions/function/invocations", content=json.dumps(event))
        result: dict[str, Any] = response.json()
        return result

    @property
    def peak_megabytes(self) -> float:
        """The most memory that the runtime's process has taken."""
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", (self._runtime / "status").read_text(), re.MULTILINE)
        return int(kilobytes) / 1000

    @property
    def processor_seconds(self) -> float:
        """The CPU seconds of the runtime's process so far, however busy the machine is."""
        fields = (self._runtime / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime

    @property
    def _runtime(self) -> Path:
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        (child,) = {pid for task in tasks for pid in task.read_text().split()}
        return Path("/proc") / child

    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def init_milliseconds(self) -> float:
        """How long the init phase took, as the emulator reports it."""
        (found,) = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.log())
        return float(found)

    @property
    def invocation_milliseconds(self) -> list[float]:
        """How long each invocation took, without the init phase before the first."""
        return [float(found) for found in re.findall(r"INVOKE RTDONE\(.*duration: ([\d.]+)ms\)", self.log())]


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.split(":")
    end = time.monotonic() + 10
    while True:
        assert process.poll() is None, "the emulator ended early"
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
        assert time.monotonic() < end, "the emulator isn't up within 10 s"
        time.sleep(0.01)
