"""The Lambda door: the app as a handler of HTTP API, REST API, Function URL and ALB events."""

import logging
from typing import Any

from function import init_phase

with init_phase.shortened():
    import asyncio

    from mangum import Mangum
    from mangum.protocols import HTTPCycle
    from mangum.types import LambdaContext

    from function import schemas, tracing
    from function.main import app, is_traced

log = logging.getLogger(__name__)
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)  # Mangum asks for the current loop here and in every call
_mangum = Mangum(app, lifespan="off")  # "auto" would start up and shut down in every invocation
_send_spans = tracing.start() if is_traced else None


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer one invocation: an HTTP request; a schedule, which keeps an instance warm; 400 to anything else."""
    if isinstance(event, dict) and event.get("source") == "aws.events":
        return {"statusCode": 204}
    asyncio.set_event_loop(_loop)  # whoever called asyncio.run() in between has unset it
    try:
        # What Mangum itself does in a call, but that it raises at an event that no gateway sends.
        request = _mangum.infer(event, context)
        cycle = HTTPCycle(request.scope, request.body)
        method, path = cycle.scope["method"], cycle.scope["path"]
        if not (isinstance(method, str) and method.isalpha() and isinstance(path, str)):
            raise TypeError  # noqa: TRY301 - as Mangum raises at other fields
    except Exception as error:  # noqa: BLE001 - whatever reading a field of the wrong type raises
        log.warning("expected an event of API Gateway, a Function URL or ALB, got another: %s", type(error).__name__)
        return _refuse()
    answer: dict[str, Any] = request(cycle(app))
    if _send_spans is not None:
        _send_spans()  # Lambda lets nothing run between two invocations
    return answer


def _refuse() -> dict[str, Any]:
    message = "expected an HTTP request, got another event"
    response = schemas.error("", 400, message, type="event")
    body, headers = bytes(response.body).decode(), {"content-type": "application/json"}
    return {"statusCode": 400, "headers": headers, "body": body, "isBase64Encoded": False}
