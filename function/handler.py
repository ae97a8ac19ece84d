"""AWS Lambda's entry point: the app as a handler of HTTP API, REST API, Function URL, ALB and VPC Lattice events."""

import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from function import init_phase

with init_phase.shortened():
    import asyncio

    # First, because the call stack is short here. Deep inside other imports NumPy's import took 45 ms more: the stack
    # was at the end of one of CPython's chunks, so that each call allocated and freed a chunk.
    import numpy as np  # noqa: F401
    from mangum import Mangum
    from mangum.handlers import alb, api_gateway
    from mangum.types import LambdaContext
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from function.api import responses
    from function.main import app, is_traced
    from function.observability import tracing

    with suppress(ImportError):  # only Lambda's runtime has it
        from snapshot_restore_py import register_after_restore

        register_after_restore(random.seed)  # else all instances of one snapshot would generate the same span ids

SCHEDULES = ("aws.events", "aws.scheduler")  # EventBridge's rules and its Scheduler
log = logging.getLogger(__name__)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request to the app, unless no gateway sends such a method or path."""
    method, path = scope["method"], scope["path"]
    if isinstance(method, str) and method.isalpha() and isinstance(path, str):
        await app(scope, receive, send)
    else:
        await _refuse("method or path")(scope, receive, send)


def _refuse(what: str) -> Response:
    log.warning("expected an event of API Gateway, a Function URL or ALB, got another: %s", what)
    return responses.error("", 400, "expected an HTTP request, got another event", type="event")


def _name_server(headers: Mapping[str, str]) -> tuple[str, int]:
    """Name the server, which nothing here uses; Mangum's own function fails on the colons of an IPv6 address."""
    return headers.get("host", ""), 443


def _from_lattice(event: dict[str, Any]) -> dict[str, Any]:
    """Convert an event of VPC Lattice to one of an HTTP API.

    Version 2: https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html
    """
    headers = {name: value if isinstance(value, str) else ",".join(value) for name, value in event["headers"].items()}
    path, _, query = event["path"].partition("?")
    query = query or urlencode(event.get("queryStringParameters") or {}, doseq=True)
    http = {"method": event["method"], "path": path, "sourceIp": headers.get("x-forwarded-for", "")}
    context = event["requestContext"] | {"http": http}
    return event | {"headers": headers, "rawQueryString": query, "requestContext": context}


_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)  # Mangum gets the current loop here and in every call
_mangum = Mangum(_answer, lifespan="off")  # "auto" would start up and shut down in every invocation
# Replaced where Mangum calls its own.
alb.get_server_and_port = api_gateway.get_server_and_port = _name_server  # type: ignore[attr-defined]
_send_spans = tracing.start() if is_traced else None


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer one invocation: an HTTP request, or a schedule that keeps an instance warm; anything else gets a 400."""
    if isinstance(event, dict) and event.get("source") in SCHEDULES:
        return {"statusCode": 204}
    asyncio.set_event_loop(_loop)  # an asyncio.run() in between has unset it
    try:
        if "serviceNetworkArn" in event["requestContext"]:
            event = _from_lattice(event)
        answer = _mangum(event, context)
    except Exception as error:  # noqa: BLE001 - a wrong field may raise anything; the app's own errors are a 500
        refusal = _refuse(type(error).__name__)
        headers = {name.decode(): value.decode() for name, value in refusal.raw_headers}
        return {"statusCode": 400, "headers": headers, "body": bytes(refusal.body).decode(), "isBase64Encoded": False}
    if _send_spans is not None:
        _send_spans()  # nothing runs between two invocations
    return answer
