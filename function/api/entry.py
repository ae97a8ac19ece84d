"""The one ASGI entry: what every request passes, id, key, dispatch, errors, headers, access line and metrics."""

import logging
import random
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from function.api import api_key, responses
from function.api.routing import Found
from function.errors import RequestError
from function.observability.access import CLIENT_CLOSED_REQUEST, AccessLog, Record
from function.observability.logs import request_id
from function.observability.recorder import Recorder
from function.settings import Settings

IS_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
EXPOSED = ("X-Request-ID", "X-Model-SHA256", "Inference-Header-Content-Length")  # to a browser's scripts
log = logging.getLogger(__name__)


class Service(FastAPI):
    """FastAPI's app with the entry around it: direct routes are called from here, all else goes on to FastAPI.

    Each answer has X-Request-ID, X-Model-SHA256, which says which model answered: the first 12 digits, and unless it
    brings another Cache-Control, that of an answer that nobody keeps.
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
        self._cors: ASGIApp | None = None
        if settings.cors_origins:  # around the key, for a preflight request has none
            methods, headers = ["GET", "POST"], ["*"]
            self._cors = CORSMiddleware(self._answer, settings.cors_origins, methods, headers, expose_headers=EXPOSED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, log it and count it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if self._base_path:
            scope["path"] = _strip(scope["path"], self._base_path)
        record = scope["record"] = Record(_find_request_id(scope), time.perf_counter())
        token = request_id.set(record.request_id)
        if is_head := scope["method"] == "HEAD":
            scope["method"], send = self._find_head_method(scope), _without_body(scope, send)
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
        """Find the method whose answer a HEAD request is told about: GET, unless a route takes HEAD itself."""
        return "HEAD" if any(route.matches(scope)[0] is Match.FULL for route in self.routes) else "GET"

    def _end(self, scope: Scope, record: Record) -> None:
        seconds = time.perf_counter() - record.started
        fields: Mapping[str, object] = {}
        if self._recorder is not None:
            route = getattr(scope.get("route"), "path", "none")  # a path of the caller's would be a metric of its own
            try:
                fields = self._recorder.record(route, record.status, seconds, record.run)
            except Exception:  # a request that isn't counted has its answer and its line all the same
                log.exception("the request can't be counted")
        self._access_log.write(scope, record, seconds, fields)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, also where a route fails: with the request's id alone; the traceback goes to the log."""
        record: Record = scope["record"]
        try:
            if self._key_digests and (refusal := api_key.refuse(scope, self._key_digests)) is not None:
                await self._send(refusal, scope, receive, send)
            elif (found := self._find_direct(scope)) is not None:
                await self._send(await found.route.endpoint(Request(scope, receive)), scope, receive, send)
            else:
                await super().__call__(scope, receive, send if self._cors else self._with_headers(record, send))
        except RequestError as error:
            await self._send(await answer_request_error(Request(scope), error), scope, receive, send)
        except ClientDisconnect:
            log.info("the client left before its request was whole")
        except Exception as error:
            log.exception("unexpected failure")
            if record.is_started and not record.is_answered:
                raise
            if not record.is_answered:  # else FastAPI has, and raised the error again
                await self._send(await answer_failure(Request(scope), error), scope, receive, send)

    def _find_direct(self, scope: Scope) -> Found | None:
        """Find a direct route; None where there is none, and where FastAPI has something to do around each route."""
        found = self._direct_routes.get((scope["method"], scope["path"]))
        if found is None or scope.get("root_path") or self.user_middleware or "opentelemetry.sdk.trace" in sys.modules:
            return None
        scope["app"], scope["route"], scope["path_params"] = self, found.route, found.path_params
        return found

    async def _send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        record: Record = scope["record"]
        record.status = response.status_code
        if self._cors is None:  # else they stand around it, and around the answer to a preflight request
            response.raw_headers += self._own_headers(record, response.raw_headers)
        await response(scope, receive, send)
        record.is_answered = True

    def _own_headers(self, record: Record, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Give what an answer with these headers gets besides."""
        own = [(b"x-request-id", record.request_id.encode()), (b"x-model-sha256", self._sha256)]
        for name, _ in headers:
            if name == b"cache-control":
                return own
        return [*own, responses.NO_STORE]

    def _with_headers(self, record: Record, send: Send) -> Send:
        """Give what sends an answer that isn't made here."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], *self._own_headers(record, message["headers"])]
            else:
                record.is_answered = not message.get("more_body", False)
            await send(message)

        return send_with_headers


def _strip(path: str, prefix: str) -> str:
    """Take a prefix off a path that has it."""
    if not f"{path}/".startswith(f"{prefix}/"):
        return path
    return path[len(prefix) :] or "/"


def _without_body(scope: Scope, send: Send) -> Send:
    """Give what sends an answer's head as it is, with the length of the body that it leaves out."""

    async def send_head(message: Message) -> None:
        scope["method"] = "HEAD"  # Uvicorn looks whether the length must be that of the body
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head


def _find_request_id(scope: Scope) -> str:
    """Give the caller's id, if it is a good one, else a UUID of version 4."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if IS_REQUEST_ID(value):
                return str(value, "ascii")
            break
    # uuid.uuid4 asks the system, which takes a twentieth of a request. `random` is seeded anew after a fork, and the
    # time keeps two copies of one SnapStart snapshot apart.
    digits = f"{random.getrandbits(128) ^ time.time_ns():032x}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


async def answer_request_error(request: Request, error: Exception) -> Response:
    """Answer what is wrong with a request, whoever called its route."""
    assert isinstance(error, RequestError)
    is_encoded = request.headers.get("content-encoding", "identity") != "identity"
    return responses.request_error(request.scope["path"], error, is_encoded=is_encoded)


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer an unexpected failure, whoever called its route; nobody hears it if the caller has left."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    record: Record = request.scope["record"]
    message = f"unexpected failure; its request id is {record.request_id}"
    return responses.error(request.scope["path"], 500, message, type="internal")
