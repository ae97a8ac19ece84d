"""A cache that many callers share: a stock nginx with proxy_cache, as its documentation has it."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.entry_points import free_port

# https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
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
    proxy_cache_path {folder}/cache keys_zone=answers:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {url};
            proxy_cache answers;
            proxy_cache_valid any 10m;
            add_header x-cache $upstream_cache_status always;
            {more}
        }}
    }}
}}
"""


@contextlib.contextmanager
def cached(url: str, folder: Path, more: str = "") -> Iterator[str]:
    """Put a cache before an address, with more lines of its own; skip the test where nginx is missing."""
    if (path := shutil.which("nginx") or shutil.which("/usr/sbin/nginx")) is None:
        pytest.skip("no nginx on the PATH")
    port, configuration = free_port(), folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, url=url, more=more))
    process = subprocess.Popen([path, "-p", folder, "-c", configuration, "-e", folder / "error.log"])
    try:
        _wait(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while True:
        assert process.poll() is None, "nginx ended early"
        assert time.monotonic() < end, "nginx doesn't answer"
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(url)
            return
        time.sleep(0.02)
