"""One chain, artifact -> classifier -> app -> client, and the servers that are started for real."""

import json
import logging
import os
import threading
from collections.abc import Generator, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier, load
from function.settings import Settings, shipped_model
from tests.support.collector import Collector
from tests.support.entry_points import AccessLines, Event, LocalServer

if TYPE_CHECKING:
    from model.train import Trained

TRAINED_ON = date(2026, 11, 22)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def trained() -> "Trained":
    """The result of `make train`."""
    from model.train import train  # noqa: PLC0415 - a second of imports, which most tests don't want

    return train(TRAINED_ON)


@pytest.fixture(scope="session")
def iris() -> NDArray[np.float64]:
    """The 150 rows."""
    rows: NDArray[np.float64] = load_iris().data
    return rows


@pytest.fixture(scope="session")
def iris_labels(trained: "Trained", iris: NDArray[np.float64]) -> list[str]:
    """scikit-learn's own answer for each of the rows."""
    return [trained.labels[str(index)] for index in trained.pipeline.predict(iris)]


@pytest.fixture(scope="session")
def artifact() -> Path:
    return shipped_model()


@pytest.fixture(scope="session")
def classifier(artifact: Path) -> Classifier:
    return load(artifact)


@pytest.fixture(scope="session")
def app(classifier: Classifier) -> FastAPI:
    return create_app(Settings(), classifier)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """`python local_server.py` with two workers on a free port."""
    with LocalServer.start(tmp_path_factory.mktemp("server") / "log", WORKERS="2") as server:
        yield server


@pytest.fixture
def collector() -> Iterator[Collector]:
    """The receiver of spans."""
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.shutdown()


@pytest.fixture
def access_lines(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> AccessLines:
    """Read the access lines that were written since the last call."""
    caplog.set_level(logging.INFO, logger="access")

    def read() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        return [line for line in lines if line["logger"] == "access"]

    return read


@pytest.fixture
def event() -> Event:
    """Load an event of events/ by its name."""
    return lambda name: json.loads((Path("events") / f"{name}.json").read_text())


@pytest.fixture
def three_versions() -> Iterator[None]:
    """A mock of AWS with three deployments of the stack web-single."""
    pytest.importorskip("moto", reason="the mock of AWS comes with make .venv/all")
    from tests.support import deployments  # noqa: PLC0415 - `make test` has no moto
    from tests.support.mock_cloud import mock_cloud  # noqa: PLC0415

    with mock_cloud():
        deployments.make_bucket()
        for number in deployments.MODELS:
            deployments.deploy("web-single", number)
        yield
