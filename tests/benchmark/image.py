"""Measures the container image: size, start and memory, with the shipped model and with one of a gigabyte.

python -m tests.benchmark.image --base python:3.13-slim; medians of RUNS starts, each in a container of its own.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from function.settings import shipped_model
from tests.support.base_image import build_image
from tests.support.container import Container
from tests.support.entry_points import ROOT
from tests.support.lambda_image import docker
from tests.support.large import large_model

HANDLER = ("python", "-m", "awslambdaric", "function.handler.handler")


class Start(NamedTuple):
    """One start as a function, in milliseconds and megabytes."""

    init: float
    peak: float


@contextmanager
def image(model: Path, base: str, folder: Path) -> Iterator[str]:
    """Build an image of a model, for as long as it is measured."""
    tag = f"web-single-bench:{os.getpid()}"
    built = build_image(folder / "content", "--base", base, "--tag", tag, MODEL_FILEPATH=str(model))
    if built.returncode:
        sys.exit(built.stderr.strip())
    try:
        yield tag
    finally:
        docker("rmi", tag)


def start(tag: str) -> Start:
    """Start a container by AWS's runtime emulator, and have it answer once."""
    event = json.loads((ROOT / "events" / "predict.json").read_text())
    with Container.emulate(tag, command=HANDLER) as container:
        assert container.invoke(event)["statusCode"] == 200
        return Start(container.init_milliseconds, container.peak_megabytes)


def size(tag: str) -> float:
    return int(docker("image", "inspect", "--format={{.Size}}", tag).stdout) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the container image.")
    parser.add_argument("--base", default="python:3.13-slim")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print("| model | image without base | init, median (least to most) | most memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for model in (shipped_model(), large_model(Path(name) / "large.onnx", 1000)):
            with image(model, arguments.base, Path(name)) as tag:
                starts = [start(tag) for _ in range(arguments.runs)]
                inits = [one.init for one in starts]
                spread = f"{statistics.median(inits):,.0f} ms ({min(inits):,.0f} to {max(inits):,.0f})"
                print(
                    f"| {model.stem}, {model.stat().st_size / 1e6:,.2f} MB | {size(tag) - size(arguments.base):,.0f} MB "
                    f"| {spread} | {max(one.peak for one in starts):,.0f} MB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
