"""Runs the model for a request where it holds up nobody else, and notes the run for metrics."""

import asyncio
import time
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from function.api.body import read_body
from function.api.limits import Limits
from function.api.rows import read_rows
from function.classifier import Classifier, Prediction
from function.classifier.inputs import Arrays, to_arrays
from function.errors import FeaturesError
from function.observability.access import Record
from function.observability.inference import Run

# What takes longer runs in the thread pool, so that other requests needn't wait for it. The way to the pool and back
# takes half a millisecond, and beside it the event loop waits 5 ms at a time for Python's lock: for one batch after the
# other, since several would fight for that lock, and all be later.
LOOP_SECONDS = 0.01
LARGE_BYTES = 64 * 1024  # from which on a body takes a millisecond or more to parse
N_TIMED = 32  # rows from which on a run's time says what a row takes; below, what a call takes counts more


class Runner:
    """One classifier, the limits of its requests, and the time that its last runs took a row."""

    def __init__(self, classifier: Classifier, limits: Limits) -> None:
        self.classifier = classifier
        self.limits = limits
        self._row_seconds = LOOP_SECONDS  # until a run has shown less
        self._pool = CapacityLimiter(1)
        self._turn = asyncio.Lock()

    async def read_body(self, request: Request) -> bytearray:
        """Read a request's body; of large ones that have come together one goes on in a turn of the event loop.

        Raises:
            TooLargeError, ClientDisconnect: as `read_body` of `body`.
        """
        body = await read_body(request, self.limits.max_body_bytes)
        if len(body) >= LARGE_BYTES:
            async with self._turn:
                await asyncio.sleep(0)  # else each would find it free in one and the same turn
        return body

    async def answer(self, n_rows: int, make: Callable[[], Response]) -> Response:
        """Make an answer to so many rows."""
        if n_rows > 1 and n_rows * self._row_seconds > LOOP_SECONDS:
            return await to_thread.run_sync(self._time, n_rows, make, limiter=self._pool)
        return self._time(n_rows, make)

    def _time(self, n_rows: int, make: Callable[[], Response]) -> Response:
        started = time.thread_time()  # what others do meanwhile doesn't count
        response = make()
        row_seconds = (time.thread_time() - started) / n_rows
        self._row_seconds = row_seconds if n_rows >= N_TIMED else min(row_seconds, self._row_seconds)
        return response

    def infer(self, record: Record, arrays: Arrays) -> Prediction:
        """Give the prediction for a request's arrays."""
        started = time.perf_counter()
        prediction = self.classifier.predict_arrays(arrays)
        record.run = Run(arrays, prediction, time.perf_counter() - started)
        return prediction

    def infer_row(self, record: Record, body: bytearray) -> Prediction:
        """Give the prediction for a body of one row.

        Raises:
            RequestError: it isn't one, or the model can't take it.
        """
        columns = self.classifier.model.columns
        rows = read_rows(body, columns)
        record.n_rows = len(rows)
        if len(rows) > 1:
            message = f"expected 1 row, got {len(rows)}; POST /predict/batch takes up to {self.limits.max_rows}"
            raise FeaturesError(message, type="one_row")
        return self.infer(record, to_arrays(columns, rows))
