"""The root over HTTP: a page for a browser, a document that says where everything is for other clients."""

import base64
import gzip
import hashlib
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from function.api.app import create_app
from function.api.routes.page import FOLDER
from function.classifier import Classifier
from function.handler import handler
from function.settings import Settings
from tests.support.entry_points import EVENT_FORMS, ROOT, Call, Event

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, deflate, br"}
PLAIN = BROWSER | {"accept-encoding": "identity"}


def test_a_client_that_wants_no_html_is_told_where_everything_is(client: TestClient, classifier: Classifier) -> None:
    """Relative to the root, so that a prefix before it doesn't matter."""
    answer = client.get("/")

    document = answer.json()
    assert document.pop("model") == {"name": classifier.model.name, "version": classifier.model.version}
    assert document.pop("api_key") is None
    paths = {name: urljoin("https://a.example/prod/", there) for name, there in document.items()}
    assert paths == {
        name: f"https://a.example/prod/{path}"
        for name, path in {
            "health": "health",
            "metadata": "metadata",
            "label": "label",
            "predict": "predict",
            "predict_label": "predict/label",
            "predict_batch": "predict/batch",
            "open_inference_protocol": "v2",
            "docs": "docs",
            "openapi": "openapi.json",
        }.items()
    }
    for there in document.values():
        assert client.get(urljoin("/", there)).status_code in (200, 405)
    assert answer.headers["vary"] == "Accept"


def test_it_says_that_a_key_is_wanted(classifier: Classifier) -> None:
    """To everyone: the root is open, the page too."""
    locked = TestClient(create_app(Settings.load({"API_KEY_SHA256": "0" * 64}), classifier))

    assert locked.get("/").json()["api_key"] == "X-API-Key"
    assert locked.get("/", headers=BROWSER).headers["content-type"] == "text/html; charset=utf-8"


def test_a_browser_gets_one_small_document(client: TestClient) -> None:
    """At most 90 kB, 30 kB compressed, with no address of anyone else's in it."""
    page = client.get("/", headers=PLAIN)

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(page.content) <= 90_000
    assert int(client.get("/", headers=BROWSER).headers["content-length"]) <= 30_000
    assert set(re.findall(r"\w+://[^\s'\"`]+", page.text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.findall(r"<script src|<link rel=.stylesheet|\son\w+=|\sstyle=", page.text)


@pytest.mark.parametrize(
    ("accept", "encoding", "is_page", "is_gzipped"),
    [
        ("TEXT/HTML", "GZIP", True, True),
        ("application/json;q=0.4, text/html ; q=0.5", "br, gzip;q=0.5", True, True),
        ("application/json, text/html;q=0.1", "gzip", False, False),
        ("text/html;q=0.1, application/json", "gzip", False, False),
        ("text/html;q=0.9, application/json;q=0.8", "gzip", True, True),
        ("text/html, application/json", "gzip", True, True),
        ("application/json, text/html", "gzip", True, True),
        ("text/html;q=0.5, */*", "gzip", False, False),
        ("text/html;level=1;q=0.2, application/*;q=0.3", "gzip", False, False),
        ("text/html;\tq=0.2, application/json;q=0.20", "gzip", True, True),
        ("text/*", "gzip", True, True),
        ("text/*;q=0.1, application/json;q=0.2", "gzip", False, False),
        ("*/*", "gzip", False, False),
        ("application/json, text/plain, */*", "gzip", False, False),
        ("image/png", "gzip", False, False),
        ("text/html;q=nan, application/json;q=0.5", "gzip", True, True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "gzip", True, True),
        ("", "gzip", False, False),
        ("text/html;q=0, application/json", "gzip", False, False),
        ("text/html", "gzip;q=0", True, False),
        ("text/html", "identity;q=1, gzip; q=0.0", True, False),
        ("text/htmlish", "gzip", False, False),
    ],
)
def test_what_a_client_doesnt_accept_isnt_sent(
    client: TestClient, accept: str, encoding: str, *, is_page: bool, is_gzipped: bool
) -> None:
    """In whatever case it is written; the weights count, and one of 0 is a no."""
    answer = client.get("/", headers={"accept": accept, "accept-encoding": encoding})

    assert answer.headers["content-type"].startswith("text/html") is is_page
    assert (answer.headers.get("content-encoding") == "gzip") is is_gzipped


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(client: TestClient) -> None:
    """By the hashes of its scripts and styles."""
    page = client.get("/", headers=PLAIN)

    def hashes(tag: str) -> str:
        texts = re.findall(rf"<{tag}(?: type=\"module\")?>(.*?)</{tag}>", page.text, re.DOTALL)
        assert len(texts) == 1
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    assert page.headers["content-security-policy"] == (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("headers", [BROWSER, PLAIN], ids=["gzip", "plain"])
def test_a_page_that_is_still_the_same_isnt_sent_again(client: TestClient, headers: dict[str, str]) -> None:
    """Each form has a tag of its own; a proxy may have made it a weak one."""
    first = client.get("/", headers=headers)
    etag = first.headers["etag"]

    assert (first.headers["cache-control"], first.headers["vary"]) == ("no-cache", "Accept, Accept-Encoding")
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.get("/", headers=headers | {"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get("/", headers=headers | {"if-none-match": '"other"'}).status_code == 200


def test_where_a_key_is_wanted_only_its_browser_keeps_the_page(classifier: Classifier) -> None:
    """A cache that others use doesn't."""
    digest = hashlib.sha256(b"mine").hexdigest()
    locked = TestClient(create_app(Settings.load({"API_KEY_SHA256": digest}), classifier))

    for path in ("/", "/docs"):
        page = locked.get(path, headers=BROWSER | {"x-api-key": "mine"})
        assert page.headers.get_list("cache-control") == ["private, no-cache"]
        again = locked.get(path, headers=BROWSER | {"x-api-key": "mine", "if-none-match": page.headers["etag"]})
        assert (again.status_code, again.headers.get_list("cache-control")) == (304, ["private, no-cache"])


def test_both_forms_are_the_same_page_by_other_tags(client: TestClient) -> None:
    """Or a cache would take one for the other."""
    plain, gzipped = (client.get("/", headers=headers) for headers in (PLAIN, BROWSER))

    assert gzipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert plain.content == gzipped.content
    assert plain.headers["etag"] != gzipped.headers["etag"]


@pytest.mark.parametrize("form", EVENT_FORMS)
def test_lambda_gives_the_same_page(form: str, client: TestClient) -> None:
    """In base64 where it is compressed; a REST API would hand that on as text, so it gets the plain one."""
    expected = client.get("/", headers=BROWSER)

    answer: Any = handler(EVENT_FORMS[form](Call("page", "GET", "/", headers=BROWSER)), None)  # type: ignore[arg-type] # the context isn't used

    headers = answer.get("headers") or {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    assert answer["statusCode"] == 200
    assert headers["content-security-policy"] == expected.headers["content-security-policy"]
    if form == "REST API":
        assert (answer["isBase64Encoded"], answer["body"]) == (False, expected.text)
        assert "content-encoding" not in headers
    else:
        assert (answer["isBase64Encoded"], headers["content-encoding"]) == (True, "gzip")
        assert gzip.decompress(base64.b64decode(answer["body"])) == expected.content


def test_lambda_answers_304_too(client: TestClient, event: Event) -> None:
    """With nothing in it."""
    etag = client.get("/", headers=BROWSER).headers["etag"]
    page = event("page")
    page["headers"]["if-none-match"] = etag

    answer = handler(page, None)  # type: ignore[arg-type] # the context isn't used

    assert (answer["statusCode"], answer["body"], answer["headers"]["etag"]) == (304, "", etag)


def test_the_docs_are_the_page(client: TestClient) -> None:
    """Which opens at the API there; nothing comes from elsewhere."""
    docs = client.get("/docs")

    assert docs.content == client.get("/", headers=BROWSER).content
    assert docs.headers["content-security-policy"]


def test_both_answers_are_declared(client: TestClient) -> None:
    """In the OpenAPI document."""
    declared = client.get("/openapi.json").json()["paths"]["/"]["get"]["responses"]

    assert set(declared) == {"200", "304", "500"}
    assert set(declared["200"]["content"]) == {"application/json", "text/html"}


def test_nothing_of_the_page_is_read_before_someone_asks_for_it() -> None:
    """A cold start, and predictions, don't pay for it."""
    script = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
from starlette.testclient import TestClient
from function.main import app
client = TestClient(app)
client.post("/predict", json={"data": [[5.1, 3.5, 1.4, 0.2]]}).raise_for_status()
client.get("/").raise_for_status()
is_page = lambda path: "function/page/" in path
before = sum(map(is_page, opened))
client.get("/", headers={"accept": "text/html"}).raise_for_status()
first = sum(map(is_page, opened))
client.get("/docs").raise_for_status()
print(before, first, sum(map(is_page, opened)), file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    before, first, again = map(int, result.stderr.split())
    assert (before, first, again) == (0, len(list(FOLDER.iterdir())), first)
