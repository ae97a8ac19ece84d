"""The Lambda door: the app as a handler of HTTP API, REST API, Function URL and ALB events."""

from typing import Any

from function import init_phase

with init_phase.shortened():
    import asyncio

    from mangum import Mangum
    from mangum.types import LambdaContext

    from function.main import app

_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)  # Mangum asks for the current loop here and in every call
_mangum = Mangum(app, lifespan="off")  # "auto" would start up and shut down in every invocation


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one invocation."""
    asyncio.set_event_loop(_loop)  # whoever called asyncio.run() in between has unset it
    return _mangum(event, context)
