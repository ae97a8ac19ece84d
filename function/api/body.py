"""A request's body: its bytes, up to a limit, and the JSON in them."""

from codecs import BOM_UTF8
from typing import Any

import orjson
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from function.errors import BodyError, TooLargeError


async def read_body(request: Request, max_bytes: int) -> bytearray:
    """Read a request's body, without a byte order mark.

    Raises:
        TooLargeError: it is larger; raised as soon as that is known.
        ClientDisconnect: the client left before the body was complete.
    """
    _check_length(request.scope, max_bytes)
    body, has_more = bytearray(), True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        has_more = message.get("more_body", False)
    if body.startswith(BOM_UTF8):  # Windows' editors start a file with it
        del body[: len(BOM_UTF8)]
    return body


def limit_body(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """Wrap `receive`, so that whoever reads a larger body gets a TooLargeError.

    FastAPI(max_body_size=…) would do this, but answers a declared length in plain text.
    """
    n_bytes = 0

    async def receive_limited() -> Message:
        nonlocal n_bytes
        message = await receive()
        if message["type"] == "http.request":
            _check_length(scope, max_bytes)
            n_bytes += len(message.get("body", b""))
            if n_bytes > max_bytes:
                raise _too_large(max_bytes)
        return message

    return receive_limited


def _check_length(scope: Scope, max_bytes: int) -> None:
    """Refuse a declared length that is too large."""
    for name, value in scope["headers"]:
        # float, because int refuses thousands of digits
        if name == b"content-length" and value.isdigit() and float(value) > max_bytes:
            raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"expected a body of at most {max_bytes} bytes, got more", type="body_too_large")


def decode_json(body: bytearray) -> Any:
    """Decode JSON; accept NaN and Infinity, so that the check of the values can say where they are.

    Raises:
        BodyError: says where it isn't JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # pydantic's parser is 1.5 times as slow, and its messages say more
    try:
        return from_json(body)
    except ValueError as error:
        raise BodyError(f"the body isn't valid JSON: {error}", type="json_invalid") from None
