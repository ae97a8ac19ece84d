"""One chain, artifact -> classifier -> app -> client, and the servers that are started for real."""

import json
import os
from collections.abc import Generator, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from starlette.testclient import TestClient

from function.app import create_app
from function.classifier import Classifier
from function.settings import Settings, shipped_model
from model.train import Trained, train
from tests.doors import Event, LocalServer
from tests.emulator import Emulator
from tests.lambda_image import lambda_image
from tests.pythons import interpreter, with_packages
from tests.sam import SamLocal, make_read_only, sam

TRAINED_ON = date(2026, 11, 22)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def trained() -> Trained:
    """What `make train` makes."""
    return train(TRAINED_ON)


@pytest.fixture(scope="session")
def iris() -> NDArray[np.float64]:
    """The 150 rows."""
    rows: NDArray[np.float64] = load_iris().data
    return rows


@pytest.fixture(scope="session")
def iris_labels(trained: Trained, iris: NDArray[np.float64]) -> list[str]:
    """scikit-learn's own answer for each of the rows."""
    return [trained.labels[str(index)] for index in trained.pipeline.predict(iris)]


@pytest.fixture(scope="session")
def artifact() -> Path:
    return shipped_model()


@pytest.fixture(scope="session")
def classifier(artifact: Path) -> Classifier:
    return Classifier.load(artifact)


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


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """Where virtual environments of other Pythons stay from run to run."""
    assert pytestconfig.cache
    return pytestconfig.cache.mkdir("environments")


@pytest.fixture(scope="session")
def runtime(environments: Path) -> Path:
    """Lambda's Python with its runtime interface client."""
    return with_packages("python3.13", "tests/runtime.txt", environments)


@pytest.fixture(scope="session")
def sam_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` leaves: template.yaml and the package, which is read-only from then on."""
    interpreter("python3.13")  # else skip
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam("build", "--build-dir", str(folder))
    make_read_only(folder / "ClassifierFunction")
    return folder


@pytest.fixture(scope="session")
def package(sam_build: Path) -> Path:
    return sam_build / "ClassifierFunction"


@pytest.fixture(scope="session")
def emulator(runtime: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The package under AWS's runtime emulator."""
    with Emulator.start(runtime, package, tmp_path_factory.mktemp("emulator") / "log") as emulator:
        yield emulator


@pytest.fixture(scope="session")
def sam_options(runtime: Path, sam_build: Path, package: Path) -> list[str]:
    """What tells `sam local` to run the built package, in an image of Lambda's Python."""
    image = lambda_image(runtime, package)
    return ["--template", str(sam_build / "template.yaml"), "--invoke-image", image, "--skip-pull-image"]


@pytest.fixture(scope="session")
def sam_local(sam_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    """`sam local start-api` on a free port."""
    with SamLocal.start_api(sam_options, tmp_path_factory.mktemp("sam_local") / "log") as sam_local:
        yield sam_local


@pytest.fixture
def event() -> Event:
    """Load an event of events/ by its name."""
    return lambda name: json.loads((Path("events") / f"{name}.json").read_text())
