"""Apps that a line of the battery must catch: it could not fail otherwise."""

import os
from typing import Annotated, Any, NoReturn

from fastapi import Body, FastAPI

from function.main import app as sound

plain = FastAPI()
_kept: list[bytearray] = []


@plain.post("/predict/batch")
async def predict(data: Annotated[list[list[float]], Body(embed=True)]) -> list[list[float]]:
    """Validate as FastAPI does when it is left alone: an error for each value, with the value in it."""
    return data


def aborting() -> NoReturn:
    """End the process as a fault in a model's own code does."""
    os.abort()


async def leaking(scope: Any, receive: Any, send: Any) -> None:
    """Keep something of every request."""
    _kept.append(bytearray(5_000))
    await sound(scope, receive, send)
