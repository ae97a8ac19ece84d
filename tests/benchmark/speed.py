"""Measures how fast this service is, beside the smallest possible one, the original style, and other servers.

The systems are measured in turns, one at a time, so that whatever else the machine does hits all of them alike;
figures are medians over the rounds (least to most), ratios are taken within a round.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from function.settings import shipped_model
from tests.benchmark import files
from tests.benchmark.inside import ROUTES, json_rows, measure
from tests.benchmark.load import Load, load, need_wrk, steady_load
from tests.benchmark.models import linear, with_zipmap
from tests.benchmark.systems import HERE, PEERS, System, ours, peers, references
from tests.reliability.battery import ask, megabytes
from tests.support.calls import ROW
from tests.support.entry_points import LocalServer
from tests.support.pythons import with_packages

PACKAGES = ("fastapi", "gunicorn", "mangum", "numpy", "onnxruntime", "orjson", "pydantic", "uvicorn", "uvicorn-worker")
MAX_ROWS = 10_000
Values = Sequence[float]
Results = dict[str, Any]


class Spread(NamedTuple):
    """What several rounds found."""

    middle: float
    least: float
    most: float

    def __format__(self, spec: str) -> str:
        return f"{self.middle:{spec}} ({self.least:{spec}} to {self.most:{spec}})"


def spread(values: Values) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratio(values: Values, others: Values) -> Spread:
    """Compare round by round, because a disturbance hits both systems of a round."""
    return spread([value / other for value, other in zip(values, others, strict=True)])


@dataclass(frozen=True)
class Bench:
    """How long and how often to measure, on which systems."""

    n_rounds: int
    seconds: int
    folder: Path
    n_batches: Sequence[int]
    others: Sequence[System] = field(default_factory=tuple)

    def rounds(self, doings: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
        """Do each once a round, and give what it found in all of them."""
        found: dict[str, list[Any]] = {name: [] for name in doings}
        for number in range(self.n_rounds):
            print(f"round {number + 1} of {self.n_rounds}: {', '.join(doings)}", file=sys.stderr)
            for name, do in doings.items():
                found[name].append(do())
        return found


def table(title: str, head: str, rows: Sequence[Sequence[object]]) -> None:
    n_columns = head.count("|") + 1
    print(f"\n{title}\n\n| {head} |\n|{'---|' * n_columns}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


@contextlib.contextmanager
def serve(systems: Sequence[System]) -> Iterator[dict[System, str]]:
    """Start all, and ask each for a second, so that the first round finds it warm."""
    with contextlib.ExitStack() as stack:
        urls = {system: stack.enter_context(system.serve()) for system in systems}
        for system, url in urls.items():
            load(url, system.body, seconds=1)
        yield urls


def throughput(bench: Bench) -> Results:
    """Requests of one row per second, 16 keep-alive connections; then, with peers, the time to answer at a fixed rate."""
    systems = [ours(), *references(bench.folder / "zipmap.onnx"), ours(1), *bench.others]
    with serve(systems) as urls:
        doings = {system.name: partial(load, url, system.body, seconds=bench.seconds) for system, url in urls.items()}
        found: dict[str, list[Load]] = bench.rounds(doings)
        rates = {name: [load.requests_per_second for load in loads] for name, loads in found.items()}
        print_throughput(rates)
        results: Results = {"requests_per_second": rates}
        if bench.others:
            rate = max(median(values) for name, values in rates.items() if name.startswith("MLServer")) / 2
            results["steady"] = steady(bench, {system: urls[system] for system in (systems[0], *bench.others)}, rate)
    return results


def print_throughput(rates: Mapping[str, Values]) -> None:
    own, ceiling, *_ = rates.values()
    rows = [
        (name, f"{spread(values):,.0f}", f"{ratio(values, ceiling):.2f}", f"{ratio(values, own):.2f}")
        for name, values in rates.items()
    ]
    table("Requests of one row", "system | requests/s | of the ceiling | of this service", rows)


def steady(bench: Bench, urls: Mapping[System, str], rate: float) -> Results:
    doings = {
        system.name: partial(steady_load, url, system.body, seconds=bench.seconds, rate=rate)
        for system, url in urls.items()
    }
    found: dict[str, list[Load]] = bench.rounds(doings)
    rows = []
    for name, loads in found.items():
        p50, p99 = (spread([load.milliseconds[percent] for load in loads]) for percent in ("50", "99"))
        came = median([load.requests_per_second for load in loads])
        rows.append((name, f"{p50:.2f}", f"{p99:.2f}", f"{came:,.0f}{', too slow' if came < 0.95 * rate else ''}"))
    title = f"Time to answer one row at {rate:,.0f} requests/s, half of what MLServer takes, in milliseconds"
    table(title, "system | p50 | p99 | requests/s that came", rows)
    return {"rate": rate, "milliseconds": {name: [load.milliseconds for load in found[name]] for name in found}}


def balance(bench: Bench, n_runs: int = 10) -> Results:
    """Runs of one service, each with new connections; if two workers share these badly, the throughput halves."""
    system = ours()
    with serve([system]) as urls:
        rates = [load(urls[system], system.body, seconds=bench.seconds).requests_per_second for _ in range(n_runs)]
    rows = [(f"{min(rates):,.0f}", f"{median(rates):,.0f}", f"{max(rates):,.0f}", f"{min(rates) / max(rates):.2f}")]
    table(f"Requests of one row, {n_runs} runs", "worst | median | best | worst of best", rows)
    return {"requests_per_second": rates}


def invocations(bench: Bench) -> Results:
    """One warm invocation in process, from an event of an HTTP API to its answer."""
    bare = bench.folder / "bare"
    bare.mkdir()
    shutil.copy(HERE / "bare.py", bare)
    shutil.copy(shipped_model(), bare)
    handlers: dict[str, tuple[str, dict[str, str]]] = {
        "this service, METRICS=EMF": ("function.handler:handler", {"METRICS": "EMF"}),
        "this service, METRICS=NONE": ("function.handler:handler", {"METRICS": "NONE"}),
        "the original style": (
            "tests.benchmark.original:handler",
            {"ZIPMAP_FILEPATH": str(bench.folder / "zipmap.onnx")},
        ),
        "the bare handler": ("bare:handler", {"python_path": str(bare)}),
    }
    found: dict[str, list[float]] = bench.rounds(
        {
            name: partial(measure, "invocation", handler, bench.seconds, **environ)
            for name, (handler, environ) in handlers.items()
        }
    )
    rows = [
        (name, f"{spread(values):,.0f}", *(f"{ratio(values, found[other]):.2f}" for other in list(handlers)[2:]))
        for name, values in found.items()
    ]
    table("One warm invocation, in process", "handler | µs | of the original style | of the bare handler", rows)
    return found


def batches(bench: Bench) -> Results:
    """10,000 rows of Iris, and ONNX Runtime's own time on them, with one thread."""
    with LocalServer.start(bench.folder / "batches.log", WORKERS="1") as server:
        found = bench.rounds(
            {
                "over HTTP": partial(measure, "batches", MAX_ROWS, bench.seconds, server.url),
                "in process": partial(measure, "batches", MAX_ROWS, bench.seconds),
            }
        )
    rows = []
    for where, rounds in found.items():
        times = by_route(rounds)
        for route in ROUTES:
            milliseconds, of_runtime = (
                spread([t / 1000 for t in times[route]]),
                ratio(times[route], times["onnxruntime"]),
            )
            rows.append((where, route, f"{milliseconds:.1f}", f"{of_runtime:.2f}"))
    table("A batch of 10,000 rows", "where | as | ms | of ONNX Runtime's own time", rows)
    return found


def by_route(rounds: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {route: [times[route] for times in rounds] for route in ROUTES}


def neighbours(bench: Bench) -> Results:
    """What another client waits for one row while batches of 10,000 run all the time, one worker."""
    body = json_rows(iris_rows())
    with LocalServer.start(bench.folder / "neighbours.log", WORKERS="1") as server, ThreadPoolExecutor(1) as pool:

        def alone() -> dict[str, float]:
            return load(f"{server.url}/predict", ROW, seconds=bench.seconds, n_connections=1, pause=5).milliseconds

        def beside() -> dict[str, float]:
            url = f"{server.url}/predict/batch"
            batches = pool.submit(load, url, body, seconds=bench.seconds, n_connections=1)
            milliseconds = alone()
            batches.result()
            return milliseconds

        found = bench.rounds({"nobody else asks": alone, "batches run": beside})
    p99 = {name: [times["99"] for times in rounds] for name, rounds in found.items()}
    quiet, busy = p99.values()
    rows: list[tuple[str, str]] = [(name, f"{spread(values):.1f}") for name, values in p99.items()]
    rows.append(("difference", f"{spread([b - q for q, b in zip(quiet, busy, strict=True)]):.1f}"))
    table("One row for another client while batches of 10,000 rows run, one worker", "while | p99, ms", rows)
    return found


def iris_rows() -> Any:
    return np.random.default_rng(0).uniform(0, 8, (MAX_ROWS, 4)).round(1)


def memory(bench: Bench) -> Results:
    """What a worker holds after many batches of 10,000 rows."""
    body = json_rows(iris_rows())
    found = {}
    with LocalServer.start(bench.folder / "memory.log", WORKERS="1") as server:
        (pid,) = server.worker_pids
        n_done = 0
        for n_wanted in (0, *bench.n_batches):
            for _ in range(n_done, n_wanted):
                status, *_ = ask(server, body)
                assert status == 200
            n_done = n_wanted
            found[f"{n_wanted:,}"] = megabytes(pid)
    table("Memory of a worker", "after batches of 10,000 rows | RSS, MB", [(n, f"{mb:.1f}") for n, mb in found.items()])
    return found


def growth(bench: Bench) -> Results:
    """One request in process, as rows, features and classes grow."""
    sizes = [
        *(("rows", n, n, shipped_model()) for n in (1, 10, 100, 1_000, 10_000)),
        *(("features", n, 1, bench.folder / f"{n}-2.onnx") for n in (4, 32, 128, 512)),
        *(("classes", n, 1, bench.folder / f"4-{n}.onnx") for n in (2, 10, 30, 100)),
    ]
    for n_features, n_classes in ((4, 2), (32, 2), (128, 2), (512, 2), (4, 10), (4, 30), (4, 100)):
        linear(bench.folder / f"{n_features}-{n_classes}.onnx", n_features, n_classes)
    found = bench.rounds(
        {
            f"{n:,} {what}": partial(measure, "batches", n_rows, 1, MODEL_FILEPATH=str(path))
            for what, n, n_rows, path in sizes
        }
    )
    rows = [(name, *(f"{spread(by_route(rounds)[route]):,.0f}" for route in ROUTES)) for name, rounds in found.items()]
    table("One request, in process, in µs", "size | JSON | binary tensors | ONNX Runtime alone", rows)
    return found


def scoring(bench: Bench) -> Results:
    """`model score` on files, beside the sum of pyarrow's reading, ONNX Runtime's running and pyarrow's writing."""
    found: Results = {}
    rows = []
    for n_rows, kind in ((10_000_000, "parquet"), (1_000_000, "csv")):
        source, target = (bench.folder / f"{n_rows}.{name}.{kind}" for name in ("in", "out"))
        files.make_rows(source, n_rows)
        rounds = bench.rounds(
            {"score": partial(files.score, source, target), "parts": partial(files.parts, source, target)}
        )
        scored, parts = rounds["score"], rounds["parts"]
        sums = [sum(part.values()) for part in parts]
        of_sum = ratio([one.seconds for one in scored], sums)
        each = [f"{spread([part[name] for part in parts]):.2f}" for name in ("read", "run", "write")]
        rate = spread([n_rows / one.seconds for one in scored])
        own, whole = (f"{spread([getattr(one, name) for one in scored]):.2f}" for name in ("seconds", "whole_seconds"))
        memory_ = f"{max(one.megabytes for one in scored):.0f}"
        rows.append((f"{n_rows:,} rows, {kind}", own, whole, f"{rate:,.0f}", *each, f"{of_sum:.2f}", memory_))
        found[kind] = {"n_rows": n_rows, "score": [one._asdict() for one in scored], "parts": parts}
        source.unlink()
    head = "file | s | with its imports | rows/s | pyarrow reads, s | ONNX Runtime runs | pyarrow writes | s of their sum | RSS, MB"
    table("Scoring files", head, rows)
    return found | {"growth": scoring_growth(bench)}


def scoring_growth(bench: Bench) -> Results:
    """Time and memory as a file grows."""
    found: Results = {}
    for n_rows in (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000):
        source, target = bench.folder / "growth.in.parquet", bench.folder / "growth.out.parquet"
        files.make_rows(source, n_rows)
        found[f"{n_rows:,}"] = [files.score(source, target)._asdict() for _ in range(bench.n_rounds)]
    rows = [
        (n, *(f"{spread([one[name] for one in runs]):.1f}" for name in ("seconds", "megabytes")))
        for n, runs in found.items()
    ]
    table("Scoring a file of Parquet as it grows", "rows | s | RSS, MB", rows)
    return found


PARTS: dict[str, Callable[[Bench], Results]] = {
    "throughput": throughput,
    "balance": balance,
    "invocations": invocations,
    "batches": batches,
    "neighbours": neighbours,
    "memory": memory,
    "growth": growth,
    "scoring": scoring,
}


def machine(*, with_peers: bool) -> dict[str, str]:
    """Name the machine and the versions of the figures."""
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    versions = {name: version(name) for name in PACKAGES}
    if with_peers:
        for peer in PEERS:
            found = re.search(rf"^{peer}==(\S+)", (HERE / f"{peer}.txt").read_text(), re.MULTILINE)
            versions |= {peer: found[1]} if found else {}
    processor = {"processor": models[0] if models else platform.processor(), "cores": str(os.cpu_count())}
    return {**processor, "python": platform.python_version(), **versions}


def draw(paths: Sequence[Path]) -> None:
    """Draw the plots, with the packages that this wants in an environment of its own."""
    folder = HERE.parents[1] / ".aws-sam" / "environments"
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = with_packages(name, "tests/benchmark/plots.txt", folder)
    subprocess.run([python, HERE / "plots.py", *paths], check=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="speed", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="MLServer, LitServe and BentoML too")
    parser.add_argument("--full", action="store_true", help="memory after 1,000 batches in place of 300")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--json", type=Path, help="write every round of all figures there")
    parser.add_argument("--plots", type=Path, nargs="+", help="draw what was written there, and measure nothing")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    if arguments.plots:
        draw(arguments.plots)
        return
    if arguments.parts != ["scoring"]:
        need_wrk()
    found: Results = {"machine": machine(with_peers=arguments.peers)}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()))
    with tempfile.TemporaryDirectory(prefix="speed") as folder:
        with_zipmap(shipped_model(), Path(folder, "zipmap.onnx"))
        n_batches = (100, 1_000) if arguments.full else (100, 300)
        others = peers() if arguments.peers else []
        bench = Bench(arguments.rounds, arguments.seconds, Path(folder), n_batches, others)
        for part in arguments.parts or PARTS:
            found[part] = PARTS[part](bench)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
