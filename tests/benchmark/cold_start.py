"""Cold starts under AWS's runtime emulator: our package, plain `sam build` of the same source, a bare handler.

Usage: python -m tests.benchmark.cold_start [ROUNDS [FILE.json]]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.support.emulator import Emulator
from tests.support.entry_points import ROOT
from tests.support.pythons import interpreter, with_packages
from tests.support.sam import make_read_only, sam

PLAIN_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  ClassifierFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: ., Handler: function.handler.handler, Runtime: python3.13}
"""
EVENT = json.loads((ROOT / "events" / "predict.json").read_text())
N_INVOCATIONS = 20


class Package(NamedTuple):
    """A folder and the handler in it."""

    name: str
    folder: Path
    handler: str


class Start(NamedTuple):
    """One cold start: milliseconds, and megabytes."""

    init: float
    first: float
    warm: float
    memory: float


def main(n_rounds: str = "9", json_path: str = "") -> None:
    with tempfile.TemporaryDirectory(prefix="cold_start") as folder:
        runtime = with_packages("python3.13", "tests/support/runtime.txt", ROOT / ".aws-sam" / "environments")
        packages = build(Path(folder))
        starts: dict[Package, list[Start]] = {package: [] for package in packages}
        for n in range(int(n_rounds)):
            print(f"round {n + 1} of {n_rounds}", file=sys.stderr)
            for package in packages:
                starts[package].append(start(package, runtime, Path(folder) / "log"))
        print_table(starts)
        ours, bare = packages[0], packages[-1]
        print_modules(ours, bare, runtime)
        if json_path:
            inits = {package.name: [start.init for start in found] for package, found in starts.items()}
            Path(json_path).write_text(json.dumps({"cold_start": inits}, indent=1) + "\n")


def build(folder: Path) -> list[Package]:
    sam("build", "--build-dir", str(folder / "ours"))
    ours = folder / "ours" / "ClassifierFunction"
    source = folder / "source"
    shutil.copytree(
        ROOT / "function",
        source / "function",
        ignore=shutil.ignore_patterns("__pycache__", "package.py", "image.py", "Dockerfile"),
    )
    shutil.copytree(ours / "model", source / "model")
    shutil.copy(ROOT / "function" / "requirements.txt", source)
    (source / "template.yaml").write_text(PLAIN_TEMPLATE)
    path = f"{interpreter('python3.13').parent}:{os.environ['PATH']}"
    where = ["--template", str(source / "template.yaml"), "--build-dir", str(folder / "plain")]
    sam("build", *where, PATH=path)
    bare = folder / "bare"
    for name in ("numpy", "numpy.libs", "onnxruntime"):
        shutil.copytree(ours / name, bare / name)
    shutil.copy(Path(__file__).with_name("bare.py"), bare)
    shutil.copy(ours / "model" / "iris_svc.onnx", bare)
    alone = folder / "alone"
    shutil.copytree(ours, alone)
    for name in ("bare.py", "fastapi_alone.py", "fastapi_shortened.py"):
        shutil.copy(Path(__file__).with_name(name), alone)
    shutil.copy(ours / "model" / "iris_svc.onnx", alone)
    packages = [
        Package("this package", ours, "function.handler.handler"),
        Package("plain `sam build`", folder / "plain" / "ClassifierFunction", "function.handler.handler"),
        Package("bare handler that imports FastAPI and Mangum", alone, "fastapi_alone.handler"),
        Package("the same by function/init_phase.py", alone, "fastapi_shortened.handler"),
        Package("bare handler", bare, "bare.handler"),
    ]
    for built in {package.folder for package in packages}:
        make_read_only(built)
    return packages


def start(package: Package, runtime: Path, log_path: Path) -> Start:
    with Emulator.start(runtime, package.folder, log_path, handler=package.handler) as emulator:
        for _ in range(N_INVOCATIONS):
            answer = emulator.invoke(EVENT)
            assert json.loads(answer["body"])["prediction"][0] > 0.9, answer
        first, *warm = emulator.invocation_milliseconds
        return Start(emulator.init_milliseconds, first, median(warm), emulator.peak_megabytes)


def print_table(starts: dict[Package, list[Start]]) -> None:
    *_, bare = starts
    print(f"Medians of {len(starts[bare])} cold starts (least to most), in milliseconds; the package is read-only\n")
    print("| package | unzipped | init | ratio to bare | first invocation | warm | memory |")
    print("|---|---|---|---|---|---|---|")
    reference = median(start.init for start in starts[bare])
    for package, found in starts.items():
        unzipped = sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file()) / 1e6
        init, first, warm, memory = (median(column) for column in zip(*found, strict=True))
        least, most = min(start.init for start in found), max(start.init for start in found)
        print(
            f"| {package.name} | {unzipped:.0f} MB | {init:.0f} ({least:.0f} to {most:.0f}) "
            f"| {init / reference:.2f} | {first:.1f} | {warm:.1f} | {memory:.0f} MB |"
        )


def print_modules(ours: Package, bare: Package, runtime: Path, n_runs: int = 7) -> None:
    """Say what the init phase spends beyond the bare handler's: the least of several runs, by `-X importtime`."""
    costs, known = (import_times(package, runtime, n_runs) for package in (ours, bare))
    sums, counts = Counter[str](), Counter[str]()
    for module, microseconds in costs.items():
        if module not in known:
            name = module.partition(".")[0]
            sums[name] += microseconds
            counts[name] += 1
    print("\nWhat it imports beyond the bare handler, by -X importtime, the least of several runs:")
    print(f"{sums.total() / 1000:.0f} ms\n")
    print("| ms | modules | of |\n|---|---|---|")
    for name, microseconds in sums.most_common(12):
        print(f"| {microseconds / 1000:.1f} | {counts[name]} | {name} |")


def import_times(package: Package, runtime: Path, n_runs: int) -> Counter[str]:
    least = Counter[str]()
    script = f"import awslambdaric.bootstrap, {package.handler.rpartition('.')[0]}"
    for _ in range(n_runs):
        command = [str(runtime), "-X", "importtime", "-c", script]
        result = subprocess.run(command, cwd=package.folder, capture_output=True, text=True, check=True)
        for own, module in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", result.stderr, re.MULTILINE):
            least[module] = min(int(own), least.get(module, int(own)))
    return least


if __name__ == "__main__":
    main(*sys.argv[1:])
