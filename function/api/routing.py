"""Routes whose endpoints take the request and give the response themselves, as Starlette's do."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route that asks to be called directly: its endpoint takes the request alone, and gives a new response.

    The entry then leaves out what FastAPI does around an endpoint: asking route after route, dependencies, validation,
    layers for errors and files. By FastAPI's own way, which a traced request takes, it is answered alike:
    https://fastapi.tiangolo.com/how-to/custom-request-and-route/
    """

    def get_route_handler(self) -> Endpoint:
        return self.endpoint


class Found(NamedTuple):
    """Where a request goes."""

    route: DirectRoute
    path_params: dict[str, str]


def index_routes(routes: Sequence[BaseRoute], known: Mapping[str, str]) -> dict[tuple[str, str], Found]:
    """Index direct routes by method and path; those with parameters by the values that are known to be right."""
    return {
        (method, route.path.format(**known)): Found(route, {name: known[name] for name in route.param_convertors})
        for route in routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    }
