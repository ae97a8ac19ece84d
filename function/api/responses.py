"""Values → bodies, and errors → the one JSON shape of all errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from function.classifier.model import cut
from function.errors import BodyError, FeaturesError, RequestError, TooLargeError, UnknownModelError

# Under /v2 a 422 becomes a 400, as its protocol demands.
STATUSES: dict[type[RequestError], int] = {
    BodyError: 422,
    FeaturesError: 422,
    TooLargeError: 413,
    UnknownModelError: 404,
}


MOST_ERRORS = 5  # in one response
NO_STORE = (b"cache-control", b"no-store")  # else a cache could return a keyed caller's response to others


class Body(Response):
    """A response from bytes that no cache keeps; it does less work than Starlette's own response."""

    def __init__(
        self, body: bytes, media_type: str, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.body, self.status_code, self.background = body, status_code, None
        self.raw_headers = [
            NO_STORE,
            (b"content-length", b"%d" % len(body)),
            (b"content-type", media_type.encode()),
        ]
        if headers is not None:
            self.raw_headers += [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class JSON(Body):
    """A JSON response from plain values and float32 arrays."""

    def __init__(self, content: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(to_json(content), "application/json", status_code, headers)


def to_json(content: object) -> bytes:
    """Write plain values and float32 arrays; a float32 gets the shortest digits that restore it."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def error(
    path: str,
    status: int,
    message: str,
    *,
    type: str,
    loc: Sequence[str | int] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer an error in the shape of all errors, or under /v2 in that of the Open Inference Protocol."""
    if _is_protocol(path):
        return JSON({"error": message}, 400 if status == 422 else status, headers)
    return JSON({"detail": [{"loc": loc, "msg": message, "type": type}]}, status, headers)


def _is_protocol(path: str) -> bool:
    return path == "/v2" or path.startswith("/v2/")


def request_error(path: str, error_: RequestError, *, is_encoded: bool) -> Response:
    """Answer a request's error, with its place in the body."""
    if is_encoded and isinstance(error_, BodyError):
        message = "expected a body without Content-Encoding, got one with it; send it uncompressed"
        headers = {"Accept-Encoding": "identity"}  # https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16
        return error(path, 415, message, type="content_encoding", loc=("body",), headers=headers)
    place = ("data", *error_.where) if isinstance(error_, FeaturesError) else error_.where
    return error(path, STATUSES[type(error_)], error_.message, type=error_.type, loc=("body", *place))


def validation_error(path: str, errors: Sequence[Mapping[str, Any]]) -> Response:
    """Answer FastAPI's errors of validation, without the values that it adds to them."""
    details = []
    for error_ in errors[:MOST_ERRORS]:
        loc = [cut(part, 100) if isinstance(part, str) else part for part in error_["loc"]]
        details.append({"loc": loc, "msg": _without_value(error_), "type": error_["type"]})
    if _is_protocol(path):
        place, message = ".".join(map(str, details[0]["loc"])), details[0]["msg"]
        return JSON({"error": f"{place}: {message}"}, 400)
    return JSON({"detail": details}, 422)


def _without_value(error_: Mapping[str, Any]) -> str:
    """Cut what pydantic takes from the value; the text of a validator's own ValueError stays."""
    message, context = str(error_["msg"]).removeprefix("Value error, "), error_.get("ctx", {})
    for name in ("error", "encoding_error"):
        if isinstance(text := context.get(name), str):
            message = message.removesuffix(text).rstrip(",: ")
    return message.replace(f"'{context['tag']}' ", "", 1) if "tag" in context else message
