"""The root: for a browser, a page to try the model; for other clients, a document that says where everything is."""

import base64
import hashlib
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.modules import join, shorten
from function.api.responses import JSON
from function.api.schemas import Discovery
from function.classifier import Model

FOLDER = Path(__file__).parents[2] / "page"
PARTS = re.compile(
    r'<(?:script type="module" src|link rel="stylesheet" href)="(?P<name>\w+\.(?P<kind>mjs|css))">(?:</script>)?'
)
IS_WEIGHT = re.compile(r"q=([01](?:\.\d*)?)").fullmatch
POLICY = (
    "default-src 'none'; script-src {mjs}; style-src {css}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class Page(NamedTuple):
    """One document, plain and as gzip, with the headers of both."""

    plain: bytes
    gzipped: bytes
    etag: str
    headers: dict[str, str]


@cache
def read_page() -> Page:
    """Read the page at its first request, with its script and style inside, each allowed by its hash."""
    hashes: dict[str, list[str]] = {"mjs": [], "css": []}

    def inline(part: re.Match[str]) -> str:
        path = FOLDER / part["name"]
        text = join(path) if part["kind"] == "mjs" else shorten(path.read_text("utf-8"))
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[part["kind"]].append(f"'sha256-{digest}'")
        return f'<script type="module">{text}</script>' if part["kind"] == "mjs" else f"<style>{text}</style>"

    plain = PARTS.sub(inline, re.sub(r"\n +", "\n", (FOLDER / "index.html").read_text("utf-8"))).encode()
    headers = {
        "Content-Security-Policy": POLICY.format(**{kind: " ".join(found) for kind, found in hashes.items()}),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept, Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    return Page(plain, zlib.compress(plain, 9, wbits=31), hashlib.sha256(plain).hexdigest()[:16], headers)


def create_router(model: Model, *, wants_key: bool, **options: Any) -> APIRouter:
    router = APIRouter(tags=["discovery"], **options)
    # A browser keeps the page, and asks each time whether it has changed. With a key, no shared cache may keep it.
    caching = {"Cache-Control": "private, no-cache" if wants_key else "no-cache"}
    html = {"text/html": {"schema": {"type": "string"}}}
    responses: dict[int | str, dict[str, Any]] = {
        200: {"content": html},
        304: {"description": "The page that If-None-Match names is still the same"},
    }

    @router.get("/", response_model=Discovery, responses=responses)
    async def discover(request: Request) -> Response:
        """Say where everything is; to a browser, which accepts text/html, return the page to try the model."""
        if _prefers_page(request):
            return _answer(request, caching)
        return JSON(locate(model, wants_key=wants_key), headers={"Vary": "Accept"})

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        """Return the same page, which shows its API part there."""
        return _answer(request, caching)

    return router


def locate(model: Model, *, wants_key: bool) -> dict[str, Any]:
    """Say where everything is, in the shape of `Discovery`; addresses are relative, for a stage's or proxy's prefix."""
    return {
        "model": {"name": model.name, "version": model.version},
        "health": "./health",
        "metadata": "./metadata",
        "label": "./label",
        "predict": "./predict",
        "predict_label": "./predict/label",
        "predict_batch": "./predict/batch",
        "open_inference_protocol": "./v2",
        "docs": "./docs",
        "openapi": "./openapi.json",
        "api_key": "X-API-Key" if wants_key else None,
    }


def _weigh(request: Request, header: str) -> dict[str, float]:
    """Read an Accept header: each name with its weight, https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2."""
    weights = {}
    for part in ",".join(request.headers.getlist(header)).lower().replace(" ", "").replace("\t", "").split(","):
        name, *parameters = part.split(";")
        found = [match[1] for match in map(IS_WEIGHT, parameters) if match]
        weights[name] = float(found[-1]) if found else 1.0
    return weights


def _prefers_page(request: Request) -> bool:
    """Return whether a client prefers HTML; without a preference, whether it names HTML, as a browser does."""
    weights = _weigh(request, "accept")
    html, json = (
        next((weights[name] for name in (f"{kind}/{format}", f"{kind}/*", "*/*") if name in weights), 0.0)
        for kind, format in (("text", "html"), ("application", "json"))
    )
    return html > json or (html == json > 0 and "text/html" in weights)


def _answer(request: Request, caching: dict[str, str]) -> Response:
    page = read_page()
    # A REST API decodes base64 only for its binaryMediaTypes, by default for none. Only its events have a resource.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
    is_rest_api = "resource" in request.scope.get("aws.event", {})
    is_gzipped = _weigh(request, "accept-encoding").get("gzip", 0) > 0 and not is_rest_api
    headers = page.headers | caching | {"ETag": f'"{page.etag}-gzip"' if is_gzipped else f'"{page.etag}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if is_gzipped:
        return Response(page.gzipped, headers=headers | {"Content-Encoding": "gzip"}, media_type="text/html")
    return Response(page.plain, headers=headers, media_type="text/html")
