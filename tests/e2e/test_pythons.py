"""The handler on every Python that the project names, with what ships and nothing else."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.calls import EVENTS
from tests.support.entry_points import ROOT, http_entry_point
from tests.support.pythons import replay, with_packages


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13"])
def test_every_python_gives_the_same_answers(name: str, client: TestClient, environments: Path) -> None:
    """Warnings are errors from the first import on, and another event loop runs between all invocations."""
    answers = replay(with_packages(name, "function/requirements.txt", environments), ROOT)

    assert answers == {name: http_entry_point(client)(call) for name, call in EVENTS.items()}
