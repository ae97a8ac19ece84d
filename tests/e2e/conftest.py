"""The package, under AWS's runtime emulator and under `sam local`: built once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.base_image import base_image, build_image
from tests.support.emulator import Emulator
from tests.support.lambda_image import docker, lambda_image
from tests.support.pythons import interpreter, with_packages
from tests.support.sam import SamLocal, make_read_only, sam


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """Where virtual environments of other Pythons stay from run to run."""
    assert pytestconfig.cache
    return pytestconfig.cache.mkdir("environments")


@pytest.fixture(scope="session")
def runtime(environments: Path) -> Path:
    """Lambda's Python with its runtime interface client."""
    return with_packages("python3.13", "tests/support/runtime.txt", environments)


@pytest.fixture(scope="session")
def sam_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` leaves: template.yaml and the package, which is read-only from then on."""
    interpreter("python3.13")  # else skip
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam("build", "--build-dir", str(folder))
    for name in ("ClassifierFunction", "BulkFunction"):
        make_read_only(folder / name)
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


@pytest.fixture(scope="session")
def base(runtime: Path) -> str:
    """What the image is built on."""
    return base_image(runtime)


@pytest.fixture(scope="session")
def image(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, by a name that nobody else has."""
    tag = f"web-single-test:{os.getpid()}"
    built = build_image(tmp_path_factory.mktemp("image") / "content", "--base", base, "--tag", tag)
    assert built.returncode == 0, built.stderr
    yield tag
    docker("rmi", tag)
