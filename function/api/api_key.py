"""Who may ask: callers whose X-API-Key has one of the digests that are accepted."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from function.api import responses


def refuse(scope: Scope, digests: Sequence[str]) -> Response | None:
    """Give a 401 unless there are no digests, the path is open, or the request has a key of one of the digests."""
    path = scope["path"]
    if not digests or path in ("/", "/health") or path.startswith("/v2/health/"):
        return None
    key = Headers(scope=scope).get("x-api-key")
    digest = hashlib.sha256((key or "").encode("latin-1")).hexdigest()  # as the bytes came
    matches = [hmac.compare_digest(digest, known) for known in digests]  # all of them: constant time
    if key and any(matches):
        return None
    got = "none" if key is None else "one that isn't"
    message = f"expected a key that is accepted, got {got}"
    loc, headers = ("header", "X-API-Key"), {"WWW-Authenticate": "ApiKey"}
    return responses.error(path, 401, message, type="api_key", loc=loc, headers=headers)
