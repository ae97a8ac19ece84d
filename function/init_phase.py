"""Skips work in Lambda's init phase: a quarter of its instructions, counted by callgrind."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def shortened() -> Iterator[None]:
    """Import in this block without garbage collection, and without building pydantic models before their first use.

    FastAPI defines the OpenAPI document's 36 models when it is imported, and rebuilds three of them at once; only
    /openapi.json uses them. pydantic builds a deferred model at its first use, by a rebuild that it calls with
    options: https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.defer_build
    """
    gc.disable()
    from pydantic import BaseModel, ConfigDict  # noqa: PLC0415 - this import is a quarter of them all
    from pydantic.warnings import UnsupportedFieldAttributeWarning  # noqa: PLC0415

    # FastAPI ignores it while it creates a route, but the body of such a route is built later:
    # https://github.com/fastapi/fastapi/blob/master/fastapi/_compat/v2.py
    warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)

    rebuild = BaseModel.__dict__["model_rebuild"]

    def rebuild_if_used(model: type[BaseModel], /, **options: object) -> object:
        return rebuild.__func__(model, **options) if options else None

    BaseModel.model_config = ConfigDict(defer_build=True)
    BaseModel.model_rebuild = classmethod(rebuild_if_used)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        BaseModel.model_rebuild = rebuild  # type: ignore[method-assign]
        BaseModel.model_config = ConfigDict()
        gc.enable()
        gc.freeze()  # imported objects stay
