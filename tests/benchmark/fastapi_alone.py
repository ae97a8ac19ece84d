"""The bare handler, which also imports FastAPI and Mangum, as anybody's handler does; no app of ours."""

import asyncio  # noqa: F401

import fastapi  # noqa: F401
import mangum  # noqa: F401
from bare import handler  # noqa: F401
