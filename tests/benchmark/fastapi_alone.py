"""The bare handler, which also imports FastAPI and Mangum, like any handler with them; without our app."""

import asyncio  # noqa: F401

import fastapi  # noqa: F401
import mangum  # noqa: F401
from bare import handler  # noqa: F401
