"""A registry of images on a free port: Debian's docker-registry, which Docker takes on this machine without TLS."""

import base64
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse

from tests.support.entry_points import free_port

CONFIGURATION = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Serve one whose images are in a folder, and give its address."""
    address = f"127.0.0.1:{free_port()}"
    configuration = folder / "config.yml"
    configuration.write_text(CONFIGURATION.format(folder=folder, address=address))
    with (folder / "log").open("wb") as log:
        try:
            process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            pytest.skip("no docker-registry")
    try:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(httpx2.TransportError):
                assert httpx2.get(f"http://{address}/v2/").status_code == 200
                break
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def as_ecr(address: str) -> Iterator[None]:
    """Have moto's ECR name this registry as the one to log in to, as ECR names its own."""
    account = {"authorizationToken": base64.b64encode(b"AWS:none").decode(), "proxyEndpoint": f"http://{address}"}
    with pytest.MonkeyPatch.context() as patch:
        answer = ActionResult({"authorizationData": [account]})
        patch.setattr(ECRResponse, "get_authorization_token", lambda _: answer)
        yield
