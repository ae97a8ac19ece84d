"""BASE_PATH: a prefix that a stage, a domain, a load balancer or a proxy puts before every path, at both entry points."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx2
import pytest
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier
from function.errors import SettingsError
from function.handler import handler
from function.settings import Settings
from tests.support.calls import CALLS
from tests.support.entry_points import EVENT_FORMS, Call, LocalServer, http_entry_point, lambda_entry_point

BASE = "/iris/v1"
EACH = {(call.method, call.path, status): call for call, status in CALLS}  # one for each answer of each route


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with LocalServer.start(tmp_path_factory.mktemp("prefixed") / "log", BASE_PATH=BASE) as server:
        yield server


@pytest.fixture
def below(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The app with BASE_PATH, which the handler has too."""
    app = create_app(Settings.load({"BASE_PATH": BASE}), classifier)
    monkeypatch.setattr("function.handler.app", app)
    return TestClient(app)


@pytest.mark.parametrize("call", EACH.values(), ids=lambda call: call.name)
def test_a_call_gets_the_same_answer_below_it(
    call: Call, client: TestClient, below: TestClient, prefixed: LocalServer
) -> None:
    """At the local server, and through the handler by each form of event; without it, too."""
    expected = http_entry_point(client)(call)
    behind = Call(call.name, call.method, BASE + call.path, call.body, call.headers)

    with prefixed.client() as local:
        assert http_entry_point(local)(behind) == expected
    assert http_entry_point(below)(behind) == expected
    assert http_entry_point(below)(call) == expected
    for form in EVENT_FORMS.values():
        assert lambda_entry_point(handler, form)(behind) == expected
        assert lambda_entry_point(handler, form)(call) == expected


def test_the_prefix_alone_is_the_root(client: TestClient, below: TestClient) -> None:
    """With a slash behind it or not."""
    assert below.get(BASE).content == below.get(f"{BASE}/").content == client.get("/").content


@pytest.mark.parametrize(
    "path", ["/iris/v10/health", "/iris/health", f"{BASE}x", f"{BASE}{BASE}/health", f"/x{BASE}/health"]
)
def test_what_only_looks_like_it_stays(below: TestClient, path: str) -> None:
    """And so is no path of ours."""
    assert below.get(path).status_code == 404


def test_a_header_is_not_believed(below: TestClient) -> None:
    """BASE_PATH alone says it."""
    headers = {"x-forwarded-prefix": "/other"}

    assert below.get("/other/health", headers=headers).status_code == 404
    assert below.get(f"{BASE}/health", headers=headers).status_code == 200


def test_a_key_is_wanted_below_it(classifier: Classifier) -> None:
    """Where it is without it; what is open stays open."""
    client = TestClient(create_app(Settings.load({"BASE_PATH": BASE, "API_KEY_SHA256": "0" * 64}), classifier))

    for path, status in (("/health", 200), ("/v2/health/ready", 200), ("/", 200), ("/label", 401), ("/nothing", 401)):
        assert client.get(BASE + path).status_code == client.get(path).status_code == status


@pytest.mark.parametrize("base_path", ["/predict", "/v2", "/v2/models", "/openapi.json", "/health/x", "/docs"])
def test_one_that_a_route_begins_with_is_refused(base_path: str, classifier: Classifier) -> None:
    """The route's own paths would be cut."""
    message = "expected a prefix whose first part isn't the name of a route"
    with pytest.raises(SettingsError, match=f"^{re.escape(f'BASE_PATH={base_path!r}: {message}')}$"):
        create_app(Settings.load({"BASE_PATH": base_path}), classifier)


def test_a_generated_client_finds_its_way(below: TestClient, prefixed: LocalServer) -> None:
    """The document's address of the service is relative to the document, with the prefix and without it."""
    document = below.get(f"{BASE}/openapi.json").json()

    assert document["servers"] == [{"url": "."}]
    assert document == below.get("/openapi.json").json()
    for there in (f"{prefixed.url}{BASE}/openapi.json", f"{prefixed.url}/openapi.json"):
        for path in ("/health", "/label", "/predict/test"):
            for url in (urljoin(there, "." + path), urljoin(there, ".").removesuffix("/") + path):
                assert httpx2.get(url).status_code == 200
