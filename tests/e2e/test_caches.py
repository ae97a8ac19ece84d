"""A shared cache before a service with a key: a stock nginx with proxy_cache."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.calls import PAGE
from tests.support.entry_points import LocalServer
from tests.support.nginx import nginx

KEY = {"x-api-key": "my key"}
LOCKED = ["/label", "/metadata", "/predict/test", "/docs", "/openapi.json", "/metrics", "/v2", "/no/such/path"]
OPEN = ["/", "/health", "/v2/health/ready"]
# As its documentation has it: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
CACHE = """
    location / {{
        proxy_pass {url};
        proxy_cache answers;
        proxy_cache_valid any 10m;
        add_header x-cache $upstream_cache_status always;
        {more}
    }}
"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    digest = hashlib.sha256(KEY["x-api-key"].encode()).hexdigest()
    with LocalServer.start(tmp_path_factory.mktemp("locked") / "log", API_KEY_SHA256=digest) as server:
        yield server


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_comes_out_for_a_caller_without_a_key(locked: LocalServer, tmp_path: Path, method: str) -> None:
    """Even if a caller with a key got the response before; and a caller with a key never gets a cached refusal."""
    with nginx(tmp_path, CACHE.format(url=locked.url, more="")) as url, httpx2.Client(base_url=url) as client:
        for path in LOCKED:
            for headers in (KEY, {}, KEY, {}):
                answer = client.request(method, path, headers=headers)
                assert (answer.status_code == 401) is (headers == {}), path
                assert answer.headers["x-cache"] == "MISS"
        for path in OPEN * 2:
            answer = client.request(method, path)
            assert (answer.status_code, answer.headers["x-cache"]) == (200, "MISS")


def test_the_page_and_the_document_at_the_root_are_kept_apart(locked: LocalServer, tmp_path: Path) -> None:
    """By what the client accepts."""
    with nginx(tmp_path, CACHE.format(url=locked.url, more="")) as url, httpx2.Client(base_url=url) as client:
        for _ in range(2):
            assert client.get("/", headers=PAGE.headers).headers["content-type"] == "text/html; charset=utf-8"
            assert client.get("/").headers["content-type"] == "application/json"


def test_the_cache_is_one(locked: LocalServer, tmp_path: Path) -> None:
    """If it ignores our headers, it returns another caller's response; so the tests above can fail."""
    with nginx(tmp_path, CACHE.format(url=locked.url, more="proxy_ignore_headers Cache-Control;")) as url:
        assert httpx2.get(f"{url}/label", headers=KEY).status_code == 200
        answer = httpx2.get(f"{url}/label")

    assert (answer.status_code, answer.headers["x-cache"]) == (200, "HIT")
