"""Makes a stand-in for the image that ours is built on, for machines that can't pull it: this Python 3.13 in /usr/local."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import pytest

from tests.support.entry_points import ROOT
from tests.support.lambda_image import BUSYBOX, add_link, add_system, docker, made_from
from tests.support.pythons import with_packages

REAL = "python:3.13-slim"
STAND_IN = "web-single-base:3.13-x86_64"
STAND_IN_ARM64 = "web-single-base:3.13-arm64"  # with nothing in it: it is there to be built on


def base_image(runtime: Path) -> str:
    """Name a base: the real one where it can be had, else one made here of a Python 3.13."""
    if docker("info", check=False).returncode:
        pytest.skip("no Docker engine")
    if docker("pull", "--quiet", REAL, check=False).returncode == 0:
        return REAL
    if not BUSYBOX.exists():
        pytest.skip(f"neither {REAL} nor {BUSYBOX} to make one")
    label = f"made-from={made_from(runtime)}"
    if not docker("image", "ls", "--quiet", "--filter", f"label={label}", STAND_IN).stdout:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            add_system(tar, runtime, "usr/local", Path(onnxruntime.__file__).parent)
            add_link(tar, "usr/local/bin/python", "python3.13")
        path = "ENV PATH=/usr/local/bin:/bin LD_LIBRARY_PATH=/lib"
        docker("import", "--change", f"LABEL {label}", "--change", path, "-", STAND_IN, stdin=archive.getvalue())
    return STAND_IN


def base_image_for_arm64() -> str:
    """Name a base for the other architecture: the real one, else one with nothing in it, as `docker save` writes it."""
    if docker("pull", "--quiet", "--platform=linux/arm64", REAL, check=False).returncode == 0:
        return REAL
    layer = _tar({})
    layers = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    configuration = {"architecture": "arm64", "os": "linux", "config": {}, "rootfs": layers}
    manifest = [{"Config": "config.json", "RepoTags": [STAND_IN_ARM64], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(configuration).encode(), "manifest.json": json.dumps(manifest).encode()}
    docker("load", stdin=_tar(files | {"layer.tar": layer}))
    return STAND_IN_ARM64


def _tar(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def build_image(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command that builds an image."""
    command = [sys.executable, "-m", "function.image", "--folder", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    try:
        python = with_packages("python3.13", "tests/support/runtime.txt", ROOT / ".aws-sam" / "environments")
        print(f"BASE={base_image(python)}")
    except pytest.skip.Exception as reason:
        sys.exit(f"base-image: expected what it is made of: {reason}")
