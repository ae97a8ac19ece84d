"""The one ASGI entry, which every request passes: id, key, dispatch, errors, headers, access line and metrics."""

import logging
import random
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from function.api import api_key, responses
from function.api.body import limit_body
from function.api.routing import Found
from function.errors import RequestError
from function.observability.access import CLIENT_CLOSED_REQUEST, AccessLog, Record
from function.observability.logs import request_id
from function.observability.recorder import Recorder
from function.settings import Settings

IS_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
EXPOSED = ("X-Request-ID", "X-Model-SHA256", "Inference-Header-Content-Length")  # for scripts in a browser
log = logging.getLogger(__name__)


class Service(FastAPI):
    """FastAPI's app with the entry around it: it calls direct routes itself and passes all others to FastAPI.

    Each response has X-Request-ID, X-Model-SHA256 (the first 12 digits of the digest of the model that answered), and
    Cache-Control: no-store, unless the route sets another Cache-Control.
    """

    def __init__(
        self,
        *,
        direct_routes: Mapping[tuple[str, str], Found],
        sha256: str,
        access_log: AccessLog,
        recorder: Recorder | None,
        settings: Settings,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._direct_routes = direct_routes
        self._sha256 = sha256[:12].encode()
        self._access_log = access_log
        self._recorder = recorder
        self._key_digests = settings.api_key_sha256
        self._base_path = settings.base_path
        self._max_body_bytes = settings.max_body_bytes
        self._cors: ASGIApp | None = None
        if settings.cors_origins:  # before the key check, because a preflight request has no key
            origins = settings.cors_origins
            self._cors = CORSMiddleware(self._answer, origins, ["*"], ["*"], expose_headers=EXPOSED)

    def add_exception_handler(self, exc_class_or_status_code: int | type[Exception], handler: ExceptionHandler) -> None:
        """Add a handler; from then on FastAPI calls every route, because only it calls the handler."""
        super().add_exception_handler(exc_class_or_status_code, handler)
        self._direct_routes = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, log it and count it."""
        if scope["type"] != "http":
            # Neither entry point takes a WebSocket, so no other server may, without the key check.
            await (WebSocketClose() if scope["type"] == "websocket" else super().__call__)(scope, receive, send)
            return
        if self._base_path:
            scope = {**scope, "path": _strip(scope["path"], self._base_path)}
        record = scope["record"] = Record(_find_request_id(scope), time.perf_counter())
        token = request_id.set(record.request_id)
        if is_head := scope["method"] == "HEAD":
            # A copy: the server must still see HEAD, so that it expects no body.
            scope, send = {**scope, "method": self._find_head_method(scope)}, _without_body(send)
        try:
            if self._cors is None:
                await self._answer(scope, receive, send)
            else:
                await self._cors(scope, receive, self._with_headers(record, send))
        finally:
            if is_head:
                scope["method"] = "HEAD"
            self._end(scope, record)
            request_id.reset(token)

    def _find_head_method(self, scope: Scope) -> str:
        """Find the method that answers a HEAD request: GET, unless a route takes HEAD itself."""
        return "HEAD" if any(route.matches(scope)[0] is Match.FULL for route in self.routes) else "GET"

    def _end(self, scope: Scope, record: Record) -> None:
        seconds = time.perf_counter() - record.started
        fields: Mapping[str, object] = {}
        if self._recorder is not None:
            # Each unknown path would be a new metric. The document's route is Starlette's, which isn't in the scope.
            known = "/openapi.json" if scope["path"] == self.openapi_url else "none"
            route = getattr(scope.get("route"), "path", known)
            try:
                fields = self._recorder.record(route, record.status, seconds, record.run)
            except Exception:  # the request still gets its response and its line
                log.exception("the request can't be counted")
        self._access_log.write(scope, record, seconds, fields)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; if a route fails, answer with the request's id only and log the traceback."""
        record: Record = scope["record"]
        try:
            if self._key_digests and (refusal := api_key.refuse(scope, self._key_digests)) is not None:
                await self._send(refusal, scope, receive, send)
            elif (found := self._find_direct(scope)) is not None:
                await self._send(await found.route.endpoint(Request(scope, receive)), scope, receive, send)
            else:
                limited = limit_body(scope, receive, self._max_body_bytes)
                await super().__call__(scope, limited, send if self._cors else self._with_headers(record, send))
        except RequestError as error:
            await self._send(await answer_request_error(Request(scope), error), scope, receive, send)
        except HTTPException as error:
            answer: Any = self.exception_handlers[HTTPException]
            await self._send(await answer(Request(scope), error), scope, receive, send)
        except ClientDisconnect:
            log.info("the client left before its request was complete")
        except Exception as error:
            if not isinstance(unwrap(error), RequestError):
                log.exception("unexpected failure")
            if record.is_started and not record.is_answered:
                raise
            if not record.is_answered:  # otherwise FastAPI has answered, and raised the error again
                await self._send(await answer_failure(Request(scope), error), scope, receive, send)

    def _find_direct(self, scope: Scope) -> Found | None:
        """Find a direct route; None if there is none, or if FastAPI must run something around each route."""
        found = self._direct_routes.get((scope["method"], scope["path"]))
        if found is None or scope.get("root_path") or self.user_middleware or "opentelemetry.sdk.trace" in sys.modules:
            return None
        scope["app"], scope["route"], scope["path_params"] = self, found.route, found.path_params
        return found

    async def _send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        record: Record = scope["record"]
        record.status = response.status_code
        if self._cors is None:  # otherwise _with_headers adds them, also to preflight responses
            response.raw_headers += self._own_headers(record, response.raw_headers)
        await response(scope, receive, send)
        record.is_answered = True

    def _own_headers(self, record: Record, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers to add to a response with these headers."""
        own = [(b"x-request-id", record.request_id.encode()), (b"x-model-sha256", self._sha256)]
        for name, _ in headers:
            if name == b"cache-control":
                return own
        return [*own, responses.NO_STORE]

    def _with_headers(self, record: Record, send: Send) -> Send:
        """Wrap `send` for a response that isn't created here."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], *self._own_headers(record, message["headers"])]
            else:
                record.is_answered = not message.get("more_body", False)
            await send(message)

        return send_with_headers


def _strip(path: str, prefix: str) -> str:
    """Remove a prefix from a path that has it."""
    if not f"{path}/".startswith(f"{prefix}/"):
        return path
    return path[len(prefix) :] or "/"


def _without_body(send: Send) -> Send:
    """Wrap `send` to drop the body; the head keeps the body's length."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head


def _find_request_id(scope: Scope) -> str:
    """Return the caller's id if it is valid, else a UUID of version 4."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if IS_REQUEST_ID(value):
                return str(value, "ascii")
            break
    # uuid.uuid4 calls the system, which takes 5 % of a request's time. `random` gets a new seed after a fork, and the
    # time makes the ids of two copies of a SnapStart snapshot differ.
    digits = f"{random.getrandbits(128) ^ time.time_ns():032x}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def unwrap(error: BaseException | None) -> BaseException | None:
    """Take a single error out of its groups: Starlette's BaseHTTPMiddleware reads bodies in a task group."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def answer_request_error(request: Request, error: Exception) -> Response:
    """Answer a wrong request, for the entry and for FastAPI."""
    assert isinstance(error, RequestError)
    is_encoded = request.headers.get("content-encoding", "identity") != "identity"
    return responses.request_error(request.scope["path"], error, is_encoded=is_encoded)


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer an unexpected failure, for the entry and for FastAPI; if the client has left, nobody gets it."""
    if isinstance(wrong := unwrap(error), RequestError):
        return await answer_request_error(request, wrong)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    record: Record = request.scope["record"]
    message = f"unexpected failure; its request id is {record.request_id}"
    return responses.error(request.scope["path"], 500, message, type="internal")
