"""The `sam` command as the tests run it: at the project's root, against no real AWS."""

import os
import subprocess
import sys
from pathlib import Path

from tests.doors import ROOT

SAM = str(Path(sys.executable).with_name("sam"))
ENVIRON = os.environ | {
    "SAM_CLI_TELEMETRY": "0",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def sam(*arguments: str, **environ: str) -> str:
    """Run sam to its end and give what it printed."""
    result = subprocess.run(
        [SAM, *arguments], cwd=ROOT, env=ENVIRON | environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def make_read_only(package: Path) -> None:
    """As /var/task is."""
    for path in [*package.rglob("*"), package]:
        path.chmod(path.stat().st_mode & ~0o222)
