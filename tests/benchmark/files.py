"""`python -m model score` beside the least that it could take: pyarrow's reading, onnxruntime's running, pyarrow's writing.

python -m tests.benchmark.files IN OUT measures these three alone, in a process of its own, on all cores.
"""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from function.classifier import load
from function.server.cores import count_cores
from function.settings import shipped_model

CHUNK = 10_000  # rows of a run
BLOCK = 1_000_000  # rows that are made at once


class Scored(NamedTuple):
    """A run of the command: its own seconds, those of the whole process with its imports, the most RSS in MB."""

    seconds: float
    whole_seconds: float
    megabytes: float


def make_rows(path: Path, n_rows: int) -> None:
    """Write rows like those of Iris, as many as are asked for."""
    names = [feature.name for feature in load(shipped_model()).model.features]
    random = np.random.default_rng(0)
    schema = pa.schema([(name, pa.float64()) for name in names])
    writer = csv.CSVWriter(path, schema) if path.suffix == ".csv" else parquet.ParquetWriter(path, schema)
    with writer:
        for start in range(0, n_rows, BLOCK):
            rows = random.uniform(0, 8, (min(BLOCK, n_rows - start), len(names))).round(1)
            writer.write_table(pa.Table.from_arrays([pa.array(column) for column in rows.T], schema=schema))


def score(source: Path, target: Path) -> Scored:
    """Run the command."""
    command = [sys.executable, "-m", "model", "score", str(shipped_model()), str(source), str(target)]
    command.append("--overwrite")
    started, megabytes = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while process.poll() is None:
        # Not rusage's, which counts what its parent had when it was forked.
        with contextlib.suppress(OSError, TypeError):
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            megabytes = int(found[1]) / 1024  # type: ignore[index]
        time.sleep(0.02)
    whole = time.perf_counter() - started
    output, _ = process.communicate()
    said = re.search(r" rows answered in ([\d.,]+) s, ", output)
    if process.returncode or said is None:
        raise RuntimeError(f"expected all rows to be answered, got status {process.returncode}: {output}")
    return Scored(float(said[1].replace(",", "")), whole, megabytes)


def parts(source: Path, target: Path) -> dict[str, float]:
    """Give the seconds of each part, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmark.files", str(source), str(target)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def main(source: str, target: str) -> None:
    classifier = load(shipped_model())
    seconds: dict[str, float] = {}
    read = csv.read_csv if source.endswith(".csv") else parquet.read_table
    table = _time(seconds, "read", lambda: read(source))
    rows = np.stack([column.to_numpy() for column in table.columns], axis=1).astype(np.float32)

    def run(start: int) -> Any:
        return classifier.session.run([classifier.model.signature.output_name], [rows[start : start + CHUNK]])[0]

    with ThreadPoolExecutor(count_cores()) as pool:
        found = _time(seconds, "run", lambda: np.concatenate(list(pool.map(run, range(0, len(rows), CHUNK)))))
    labels = pa.array(classifier.model.labels).take(pa.array(found.argmax(axis=1)))
    table = table.append_column("label", labels)
    for place, label in enumerate(classifier.model.labels):
        table = table.append_column(f"probability_{label}", pa.array(np.ascontiguousarray(found[:, place])))
    write = csv.write_csv if target.endswith(".csv") else parquet.write_table
    _time(seconds, "write", lambda: write(table, target))
    print(json.dumps(seconds))


def _time(seconds: dict[str, float], name: str, do: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = do()
    seconds[name] = time.perf_counter() - started
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
