"""Routes whose endpoints take the request and return the response themselves, as in Starlette."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route that the entry calls directly: its endpoint takes only the request, and returns a new response.

    The entry then skips FastAPI's work around an endpoint: matching of routes, dependencies, validation, layers for
    errors and files. A traced request goes through FastAPI and gets the same response:
    https://fastapi.tiangolo.com/how-to/custom-request-and-route/
    """

    def get_route_handler(self) -> Endpoint:
        return self.endpoint


class Found(NamedTuple):
    """The route that a request matches."""

    route: DirectRoute
    path_params: dict[str, str]


def index_routes(routes: Sequence[BaseRoute], known: Mapping[str, str]) -> dict[tuple[str, str], Found]:
    """Index direct routes by method and path; path parameters have the known values."""
    return {
        (method, route.path.format(**known)): Found(route, {name: known[name] for name in route.param_convertors})
        for route in routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    }
