"""A real nginx in front of a server, with a configuration of the test's own."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.entry_points import free_port

CONFIG = """
{user}
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    proxy_cache_path {folder}/cache keys_zone=answers:1m;
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, server: str, http: str = "") -> Iterator[str]:
    """Run nginx with these lines of a server, and others around it, or skip where there is none, and give its address."""
    path = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if path is None:
        pytest.skip("no nginx on the PATH")
    port = free_port()
    user = "" if os.getuid() else "user root;"  # else it would have no right to the folder
    (folder / "nginx.conf").write_text(CONFIG.format(user=user, folder=folder, port=port, server=server, http=http))
    with (folder / "nginx.log").open("wb") as log:
        command: list[str | Path] = [path, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"http://127.0.0.1:{port}", folder / "nginx.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def keeping(url: str, folder: Path, idle: int = 60) -> contextlib.AbstractContextManager[str]:
    """Proxy an address as nginx documents it: with the map for WebSockets, and connections kept for so many seconds.

    https://nginx.org/en/docs/http/websocket.html and https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive
    """
    http = f"""
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream service {{ server {urlsplit(url).netloc}; keepalive 16; keepalive_timeout {idle}s; }}"""
    server = """location / {
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_next_upstream off;
        }"""
    return nginx(folder, server, http)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 20
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(url)
            return
        time.sleep(0.02)
