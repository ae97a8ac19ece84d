"""The service with routes that take their time in the thread pool, as users add them."""

import time

from starlette.responses import PlainTextResponse

from function.main import app


@app.get("/slow")
def slow(name: str, seconds: float = 0.1) -> PlainTextResponse:
    """Answer later."""
    time.sleep(seconds)
    return PlainTextResponse(name)


@app.get("/large")
def large() -> PlainTextResponse:
    """Answer more than the system's buffers take."""
    return PlainTextResponse("x" * 20_000_000)
