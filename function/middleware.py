"""What happens around every route: the request's id and access line, the API key, the last resort."""

import hashlib
import hmac
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from function import logs, schemas
from function.errors import RequestError
from function.metrics import Recorder

access = logging.getLogger("access")
log = logging.getLogger(__name__)

IS_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a caller that left before the answer; it is only logged


class RequestLog:
    """Gives each request an id, in its log lines and in X-Request-ID, and one access line.

    X-Model-SHA256 beside it says which model answered: the first 12 digits of the artifact's SHA-256.
    """

    def __init__(
        self, app: ASGIApp, sha256: str, recorder: Recorder | None = None, *, names_labels: bool = False
    ) -> None:
        self.app = app
        self.model = sha256[:12].encode()
        self.recorder = recorder
        self.names_labels = names_labels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_CLOSED_REQUEST
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if IS_REQUEST_ID(given) else str(uuid.uuid4())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), (b"x-model-sha256", self.model)]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        token = logs.request_id.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            self._log_access(scope, status, time.perf_counter() - started)
            logs.request_id.reset(token)

    def _log_access(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], quote(scope["path"][:200], errors="replace")
        milliseconds, state = round(seconds * 1000, 3), scope.get("state", {})
        inference = state.get("inference")
        extra = {"method": method, "path": path, "status": status, "milliseconds": milliseconds}
        if (n_rows := state.get("n_rows")) is not None:
            extra["rows"] = n_rows
        if (context := scope.get("aws.context")) is not None:
            extra["aws_request_id"] = context.aws_request_id
        text, arguments = "%s %s %s %.1f ms", [method, path, status, milliseconds]
        if self.names_labels and inference is not None:
            extra["labels"] = inference.predictions
            text, arguments = f"{text} %s", [*arguments, ", ".join(inference.predictions)]
        if self.recorder is not None:
            route = getattr(scope.get("route"), "path", "none")  # a path of the caller's would be a metric of its own
            extra |= self.recorder.record(route, status, seconds, inference)
        if access.isEnabledFor(logging.INFO):  # `access.info` would look for its caller, which nobody asks for
            access.handle(
                access.makeRecord(access.name, logging.INFO, "", 0, text, tuple(arguments), None, extra=extra)
            )


class LastResort:
    """Answers 500 with the request's id alone where a route fails unexpectedly; the traceback goes to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except ClientDisconnect:
            log.info("the client left before its request was whole")
        except Exception:
            log.exception("unexpected failure")
            if is_started:
                raise
            message = f"unexpected failure; its request id is {logs.request_id.get()}"
            await schemas.error(scope["path"], 500, message, type="internal")(scope, receive, send)


class ApiKey:
    """Answers 401 unless X-API-Key is one of the keys whose SHA-256 digests are given."""

    def __init__(self, app: ASGIApp, digests: Sequence[str]) -> None:
        self.app = app
        self.digests = digests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope["path"]) and not self._is_known(Headers(scope=scope)):
            got = "one that isn't" if "x-api-key" in Headers(scope=scope) else "none"
            message = f"expected a key that is accepted, got {got}"
            loc, headers = ("header", "X-API-Key"), {"WWW-Authenticate": "ApiKey"}
            response = schemas.error(scope["path"], 401, message, type="api_key", loc=loc, headers=headers)
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in ("/", "/health") or path.startswith("/v2/health/")

    def _is_known(self, headers: Headers) -> bool:
        key = headers.get("x-api-key", "")
        digest = hashlib.sha256(key.encode("latin-1")).hexdigest()  # as the bytes came
        matches = [hmac.compare_digest(digest, known) for known in self.digests]  # all of them: constant time
        return bool(key) and any(matches)


class Shortcut:
    """Takes a request to a known path to its endpoint, which takes a request and gives a response itself.

    FastAPI would ask route after route, solve what isn't there, and wrap the endpoint in layers for errors and files.
    A traced request goes FastAPI's own way, which makes the spans.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        known: Mapping[str, str],
        answer_error: Callable[[Request, RequestError], Awaitable[Response]],
    ) -> None:
        self.app = app
        self.answer_error = answer_error
        self.routes = {
            (method, route.path.format(**known)): (route, {name: known[name] for name in route.param_convertors})
            for route in routes
            if isinstance(route, Route)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None or scope.get("root_path") or "fastapi.telemetry" in scope:
            await self.app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = found
        request = Request(scope, receive)
        try:
            response = await found[0].endpoint(request)
        except RequestError as error:
            response = await self.answer_error(request, error)
        await response(scope, receive, send)
