"""The `sam` command as the tests run it: at the project's root, against no real AWS."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2

from tests.support.entry_points import ROOT, free_port

SAM = str(Path(sys.executable).with_name("sam"))
# Without credentials: with them sam asks AWS who they belong to before each invocation. And as no part of `make test`.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))} | {
    "SAM_CLI_TELEMETRY": "0",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


def sam(*arguments: str, **environ: str) -> str:
    """Run sam to its end and give what it printed."""
    result = subprocess.run(
        [SAM, *arguments], cwd=ROOT, env=ENVIRON | environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def make_read_only(package: Path) -> None:
    """As /var/task is."""
    for path in [*package.rglob("*"), package]:
        path.chmod(path.stat().st_mode & ~0o222)


@dataclass
class SamLocal:
    """`sam local start-api` in a process group of its own, its output in a file."""

    log_path: Path
    url: str

    @classmethod
    @contextlib.contextmanager
    def start_api(cls, options: Sequence[str], log_path: Path) -> Iterator[Self]:
        """Wait until the function answers through it, and end it and its container with the block."""
        port = free_port()
        command = [SAM, "local", "start-api", "--port", str(port), "--warm-containers", "LAZY", *options]
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=ENVIRON, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        api = cls(log_path, f"http://127.0.0.1:{port}")
        try:
            api._wait(process)
            yield api
        finally:
            _interrupt(process)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 120
        while True:
            assert process.poll() is None, self.log_path.read_text()
            with contextlib.suppress(httpx2.TransportError), self.client() as client:
                assert client.get("/health").json() == {"health": "ok"}, self.log_path.read_text()
                return
            assert time.monotonic() < end, self.log_path.read_text()
            time.sleep(0.1)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End sam as Ctrl-C does, on which it removes its containers: more than once, for it may miss one when it is busy."""
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
            return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
