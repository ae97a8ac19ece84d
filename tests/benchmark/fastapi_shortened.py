"""fastapi_alone.py with the shorter init phase of function/handler.py."""

from function import init_phase

with init_phase.shortened():
    from fastapi_alone import handler  # noqa: F401
