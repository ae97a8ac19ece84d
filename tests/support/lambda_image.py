"""Makes a stand-in for AWS's image of Lambda's Python, for machines that can't pull it: `docker import` of this Python.

It has what the image has where `sam local` looks for it: a Python in /var/lang, the runtime interface client and
`bootstrap` in /var/runtime, a shell, and the shared libraries that Python and the package load.
"""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.entry_points import ROOT
from tests.support.pythons import with_packages

REAL = "public.ecr.aws/lambda/python:3.13-x86_64"
STAND_IN = "web-single-lambda:3.13-x86_64"
BUSYBOX = Path("/bin/busybox")
COMMANDS = ("sh", "mv", "chmod", "mkdir", "rm")  # what the Dockerfile of `sam local` runs
BOOTSTRAP = b"""#!/bin/sh
export PATH=/var/lang/bin:/bin PYTHONPATH=/var/runtime LD_LIBRARY_PATH=/var/lang/lib:/lib
cd /var/task
exec /var/lang/bin/python3.13 -m awslambdaric "$_HANDLER"
"""


def lambda_image(runtime: Path, package: Path) -> str:
    """Name an image to run the package in: AWS's own where it can be had, else one made here.

    Args:
        runtime: a Python 3.13 in whose environment awslambdaric is installed.
        package: what the image must be able to load.
    """
    if docker("info", check=False).returncode:
        pytest.skip("no Docker engine")
    if docker("pull", "--quiet", REAL, check=False).returncode == 0:
        return REAL
    if not BUSYBOX.exists():
        pytest.skip(f"neither AWS's image nor {BUSYBOX} to make one")
    label = f"made-from={made_from(runtime)}"
    if docker("image", "ls", "--quiet", "--filter", f"label={label}", STAND_IN).stdout:
        return STAND_IN
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _fill(tar, runtime, package)
    docker("import", "--change", f"LABEL {label}", "-", STAND_IN, stdin=archive.getvalue())
    docker(
        "rmi", "--force", STAND_IN.replace(":3.13-", ":rapid-"), check=False
    )  # which `sam local` has made from an earlier one
    return STAND_IN


def made_from(runtime: Path) -> str:
    """A digest of the image's inputs; a change of the package's libraries changes its lock file."""
    locks = (ROOT / "tests" / "support" / "runtime.txt", ROOT / "function" / "requirements.txt")
    parts = [str(runtime.resolve()).encode(), *(path.read_bytes() for path in (Path(__file__), *locks))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _fill(tar: tarfile.TarFile, runtime: Path, package: Path) -> None:
    script = "import sysconfig; print(sysconfig.get_path('platlib'))"
    found = subprocess.run([str(runtime), "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    tar.add(found, "var/runtime", filter=needed)
    add_system(tar, runtime, "var/lang", package)
    bootstrap = tarfile.TarInfo("var/runtime/bootstrap")
    bootstrap.mode, bootstrap.size = 0o755, len(BOOTSTRAP)
    tar.addfile(bootstrap, io.BytesIO(BOOTSTRAP))
    for name in ("var/task", "var/rapid", "opt"):
        add_folder(tar, name)


def add_system(tar: tarfile.TarFile, runtime: Path, place: str, package: Path) -> None:
    """Add a Python, in the place that an image has it, with what it and a package load, a shell and /tmp."""
    script = "import sys; print(sys.base_prefix)"
    found = subprocess.run([str(runtime), "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    python, library = Path(found) / "bin" / "python3.13", Path(found) / "lib" / "python3.13"
    tar.add(python.resolve(), f"{place}/bin/python3.13")
    tar.add(library, f"{place}/lib/python3.13", filter=needed)
    for path in libraries([python, *library.rglob("*.so"), *package.rglob("*.so*")]):
        if not path.is_relative_to(package):
            tar.add(path.resolve(), str(path).lstrip("/") if path.name.startswith("ld-") else f"lib/{path.name}")
    for path in Path("/usr/lib/locale").glob("C.utf8"):  # models of texts ask for it, and the real images have it
        tar.add(path, str(path).lstrip("/"))
    tar.add(BUSYBOX, "bin/busybox")
    for name in COMMANDS:
        add_link(tar, f"bin/{name}", "busybox")
    add_folder(tar, "tmp")


def add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    tar.addfile(link)


def add_folder(tar: tarfile.TarFile, name: str) -> None:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o777
    tar.addfile(folder)


def needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    unneeded = {"test", "idlelib", "tkinter", "ensurepip", "site-packages", "config-3.13-x86_64-linux-gnu"}
    return None if unneeded & set(Path(member.name).parts) else member


def libraries(binaries: Iterable[Path]) -> Iterable[Path]:
    """What the dynamic loader finds for them as it says itself."""
    result = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False)
    found = re.findall(r"(?:=> |^\t)(/\S+) \(0x", result.stdout, re.MULTILINE)
    return {Path(path).name: Path(path) for path in found}.values()


def docker(*command: str, stdin: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    try:
        result = subprocess.run(["docker", *command], input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no docker")
    assert not check or result.returncode == 0, result.stderr.decode()
    return result


if __name__ == "__main__":
    made = ROOT / ".aws-sam"
    try:
        python = with_packages("python3.13", "tests/support/runtime.txt", made / "environments")
        print(f"IMAGE={lambda_image(python, made / 'build' / 'ClassifierFunction')}")
    except pytest.skip.Exception as reason:
        sys.exit(f"lambda-image: expected what it is made of: {reason}")
