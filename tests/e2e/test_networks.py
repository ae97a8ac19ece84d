"""Networks of PyTorch and Keras, in an environment of their own: 6 GB."""

import subprocess
from pathlib import Path

from tests.support.entry_points import ROOT
from tests.support.pythons import with_packages


def test_networks_are_exported_as_they_answer(environments: Path) -> None:
    """Runs all tests in tests/integration/networks.py."""
    python = with_packages("python3.11", "tests/support/networks.txt", environments)
    command = [str(python), "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/integration/networks.py"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout.splitlines()[-1]
