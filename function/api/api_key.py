"""Checks the key: X-API-Key must have one of the accepted digests."""

import hashlib
import hmac
from collections.abc import Sequence

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from function.api import responses

# For the OpenAPI document; the entry does the check, for unknown paths too.
LOCK = Security(APIKeyHeader(name="X-API-Key", auto_error=False))


def is_open(path: str) -> bool:
    """Return whether a path needs no key: those of the routes without LOCK."""
    return path in ("/", "/health") or path.startswith("/v2/health/")


def refuse(scope: Scope, digests: Sequence[str]) -> Response | None:
    """Return a 401 if keys are required, the path isn't open, and the request has no accepted key."""
    path = scope["path"]
    if not digests or is_open(path):
        return None
    key = Headers(scope=scope).get("x-api-key")
    digest = hashlib.sha256((key or "").encode("latin-1")).hexdigest()  # the original bytes
    matches = [hmac.compare_digest(digest, known) for known in digests]  # compare with all: constant time
    if key and any(matches):
        return None
    got = "none" if key is None else "another"
    message = f"expected an accepted key, got {got}"
    loc, headers = ("header", "X-API-Key"), {"WWW-Authenticate": "ApiKey"}
    return responses.error(path, 401, message, type="api_key", loc=loc, headers=headers)
