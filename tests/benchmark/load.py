"""Load, by wrk: as much as a system takes, or at a steady rate.

wrk does both: it counts microseconds, and adds what a stalled answer kept a connection from asking. autocannon, which
has a steady rate of its own, counts whole milliseconds and sends each second's requests at its start.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

N_STEADY = 200  # connections; each rests most of the time, so that the rate hardly hangs on the answers


class Load(NamedTuple):
    """What a system did under load; percentiles of the time to answer, such as "99" -> milliseconds."""

    requests_per_second: float
    milliseconds: dict[str, float]


def need_wrk() -> None:
    """End in one line if the load generator isn't there."""
    if not shutil.which("wrk"):
        sys.exit("speed: expected the load generator wrk on the PATH; on Debian: apt-get install wrk")


def load(url: str, body: bytes, *, seconds: int, n_connections: int = 16, pause: int = 0) -> Load:
    """Ask over keep-alive connections, each of which rests `pause` milliseconds on average before it asks."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        where = ["-s", str(Path(__file__).with_name("post.lua")), url, "--", file.name, str(pause)]
        command = ["wrk", "-t1", f"-c{n_connections}", f"-d{seconds}", *where]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return parse(output)


def steady_load(url: str, body: bytes, *, seconds: int, rate: float) -> Load:
    """Ask at about `rate` requests per second."""
    return load(url, body, seconds=seconds, n_connections=N_STEADY, pause=round(N_STEADY / rate * 1000))


def parse(output: str) -> Load:
    """Read the last line of wrk's output, which post.lua writes."""
    summary = json.loads(output.splitlines()[-1])
    if summary["n_errors"] or not summary["n_requests"]:
        raise RuntimeError(
            f"expected answers alone, got {summary['n_errors']} errors in {summary['n_requests']} answers"
        )
    return Load(summary["n_requests"] / summary["seconds"], summary["milliseconds"])
