"""Routes whose endpoints take the request and return the response themselves, as in Starlette."""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from function.api.api_key import LOCK

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route that the entry calls directly if its endpoint is `async def name(request: Request) -> Response`.

    The entry then skips FastAPI's work around an endpoint: matching of routes, dependencies, validation, layers for
    errors and files. A traced request goes through FastAPI and gets the same response:
    https://fastapi.tiangolo.com/how-to/custom-request-and-route/

    FastAPI calls every other endpoint, such as one with a parameter, as it documents.
    """

    @property
    def is_direct(self) -> bool:
        """Return whether FastAPI has nothing to do around the endpoint, which returns a new response."""
        signature = inspect.signature(self.endpoint)
        takes = [(parameter.name, parameter.annotation) for parameter in signature.parameters.values()]
        gives = signature.return_annotation
        return (
            inspect.iscoroutinefunction(self.endpoint)
            and takes == [("request", Request)]
            and isinstance(gives, type)
            and issubclass(gives, Response)
            and self.dependencies in ([], [LOCK])
            and self.max_body_size is None
        )

    def get_route_handler(self) -> Endpoint:
        return self.endpoint if self.is_direct else super().get_route_handler()


class Found(NamedTuple):
    """The route that a request matches."""

    route: DirectRoute
    path_params: dict[str, str]


def index_routes(routes: Sequence[BaseRoute], known: Mapping[str, str]) -> dict[tuple[str, str], Found]:
    """Index direct routes by method and path; path parameters have the known values, or FastAPI finds the route."""
    return {
        (method, route.path.format(**known)): Found(route, {name: known[name] for name in route.param_convertors})
        for route in routes
        if isinstance(route, DirectRoute) and route.is_direct and route.param_convertors.keys() <= known.keys()
        for method in route.methods or ()
    }
