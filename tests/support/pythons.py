"""Other Pythons than the one that runs the tests."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.entry_points import ROOT, Answer, answer_of


def interpreter(name: str) -> Path:
    """Find a Python by running it: pyenv has shims for Pythons that aren't chosen."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    versions = pyenv.glob(f"versions/{name.removeprefix('python')}.*/bin/{name}")
    for candidate in (name, f"{sys.base_prefix}/bin/{name}", *map(str, versions)):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            command = [candidate, "-c", "import sys; print(sys.executable)"]
            return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    pytest.skip(f"no {name} that runs")


def with_packages(name: str, lock: str, folder: Path) -> Path:
    """Make a virtual environment of a Python with just what a lock file names, once for each content of the file."""
    digest = hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()[:12]
    folder = folder / f"{name}-{digest}"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--allow-existing", "--python", str(interpreter(name)), str(folder)], check=True)
    python = folder / "bin" / "python"
    install = ["pip", "install", "--python", str(python), "--require-hashes", "--requirement", str(ROOT / lock)]
    subprocess.run([*uv, *install], check=True)
    return python


def replay(python: Path, package: Path) -> dict[str, Answer]:
    """Answer every event by a package's handler, with warnings as errors."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), "-W", "error", str(ROOT / "tests" / "support" / "replay.py"), str(ROOT / "events")]
    environ["PYTHONPATH"] = str(package)
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {name: answer_of(answer) for name, answer in json.loads(result.stdout).items()}
