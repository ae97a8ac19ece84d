"""Processes a sequence on all cores, with the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from function.server.cores import count_cores

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def in_order(work: Callable[[Thing], Result], things: Iterable[Thing]) -> Iterator[Result]:
    """Yield the results in order; read only as far ahead as keeps every core busy."""
    n_cores = count_cores()
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_cores) as pool:
        try:
            for thing in things:
                running.append(pool.submit(work, thing))
                if len(running) > n_cores + 1:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
