"""The same as fastapi_alone.py, with what function/handler.py leaves out of its init phase."""

from function import init_phase

with init_phase.shortened():
    from fastapi_alone import handler  # noqa: F401
