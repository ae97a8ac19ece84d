"""Faulty apps that a line of the battery must catch, so that the line can fail."""

import itertools
import os
from typing import Annotated, Any, NoReturn

from anyio import CapacityLimiter
from fastapi import Body, FastAPI
from prometheus_client.mmap_dict import MmapedDict

from function.api import inference
from function.api.app import create_app
from function.classifier import load
from function.main import app as sound
from function.main import settings

plain = FastAPI()
_kept: list[bytearray] = []
_mapped: dict[int, MmapedDict] = {}
_number = itertools.count()


@plain.post("/predict/batch")
async def predict(data: Annotated[list[list[float]], Body(embed=True)]) -> list[list[float]]:
    """Validate as FastAPI does when it is left alone: an error for each value, with the value in it."""
    return data


def aborting() -> NoReturn:
    """End the process as a fault in a model's own code does."""
    os.abort()


def all_at_once() -> FastAPI:
    """Read all bodies in one turn of the event loop, and run as many batches at once as there are threads."""
    inference.LARGE_BYTES = 2**30
    vars(inference)["CapacityLimiter"] = lambda _: CapacityLimiter(40)
    return create_app(settings, load(settings.model_filepath))


async def in_shared_memory(scope: Any, receive: Any, send: Any) -> None:
    """Count as prometheus_client does for several processes."""
    if os.getpid() not in _mapped:
        _mapped[os.getpid()] = MmapedDict(f"{settings.metrics_folder}/{os.getpid()}.db")  # type: ignore[no-untyped-call]
    _mapped[os.getpid()].write_value(f"{next(_number):0500}", 1.0, 0.0)  # type: ignore[no-untyped-call]
    await sound(scope, receive, send)


async def leaking(scope: Any, receive: Any, send: Any) -> None:
    """Keep something of every request."""
    _kept.append(bytearray(5_000))
    await sound(scope, receive, send)
