"""nginx before the local server, as its documentation has a proxy: with the map for WebSockets and kept connections."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.entry_points import free_port

# https://nginx.org/en/docs/http/websocket.html and https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream service {{ server {upstream}; keepalive 16; keepalive_timeout {idle}s; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_next_upstream off;
        }}
    }}
}}
"""


@contextlib.contextmanager
def before(url: str, folder: Path, idle: int = 60) -> Iterator[str]:
    """Proxy an address, keeping idle connections to it for so many seconds; skip the test where nginx is missing."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is missing")
    port = free_port()
    text = CONFIGURATION.format(folder=folder, upstream=urlsplit(url).netloc, port=port, idle=idle)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)
    try:
        _wait_for_answer(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for_answer(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(500):
        assert process.poll() is None, "nginx ended early"
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(f"{url}/health")
            return
        time.sleep(0.02)
    pytest.fail("nginx doesn't answer")
