"""The bare handler, which also imports FastAPI and Mangum, as function/handler.py does; no app of ours."""

from function import init_phase

with init_phase.shortened():
    import asyncio  # noqa: F401

    import fastapi  # noqa: F401
    import mangum  # noqa: F401
    from bare import handler  # noqa: F401
