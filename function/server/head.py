"""Checks the head of a request beyond the parser's checks: no two servers may read it differently."""

import re
from collections.abc import Sequence
from functools import lru_cache

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

Headers = Sequence[tuple[bytes, bytes]]

# RFC 9110, 7.2: host [ ":" port ]; no comma, which a proxy may read as two hosts.
_IS_HOST = re.compile(rb"([\w.~!$&'()*+;=%-]+|\[[\w:.%~-]+\])(:\d*)?").fullmatch


class HeadError(Exception):
    """Raised in a callback of the parser, which turns it into its own error."""


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    return _IS_HOST(value) is not None


def check_head(target: bytes, version: str, headers: Headers) -> tuple[int, int]:
    """Return the number of bytes of a head, and that of the body that it declares.

    Raises:
        HeadError: the head is ambiguous, or isn't HTTP/1.1 or 1.0.
    """
    n_bytes, n_hosts, n_body, is_chunked = len(target), 0, 0, False
    for name, value in headers:
        n_bytes += len(name) + len(value)
        if name == b"host":
            n_hosts += 1
            if not _is_host(value):
                raise HeadError
        elif name == b"content-length":
            n_body = int(value)
        elif name == b"transfer-encoding":
            is_chunked = True
    # RFC 9112, 6.1: HTTP/1.0 has no chunked bodies.
    is_clear = n_hosts == 1 if version == "1.1" else version == "1.0" and n_hosts <= 1 and not is_chunked
    if not is_clear or b"#" in target:
        raise HeadError
    return n_bytes, n_body


def without_upgrade(method: bytes, target: bytes, version: bytes, headers: Headers) -> bytes:
    """Write a head again, without its upgrade header."""
    lines = [b"%s: %s\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, target, version, b"".join(lines))


async def answer_options(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer `OPTIONS *`, which is about the server, not about a path (RFC 9110, 9.3.7)."""
    headers = [(b"allow", b"GET, HEAD, POST, OPTIONS")]
    await send({"type": "http.response.start", "status": 204, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
