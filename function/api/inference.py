"""Runs the model for a request without blocking other requests, and records the run for metrics."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from function.api.body import read_body
from function.api.limits import Limits
from function.api.rows import read_rows
from function.classifier import Classifier, Prediction
from function.classifier.inputs import Arrays, to_arrays
from function.errors import BodyError, FeaturesError
from function.observability.access import Record
from function.observability.inference import Run

# Longer work runs in a thread, so that other requests needn't wait for it. The switch to the thread and back takes
# 0.5 ms, and meanwhile the event loop waits up to 5 ms at a time for Python's lock. One batch at a time: several would
# compete for that lock, and all be later.
LOOP_SECONDS = 0.01
LARGE_BYTES = 64 * 1024  # parsing such a body takes a millisecond or more
N_TIMED = 32  # rows; with fewer, the overhead of a call dominates the time per row


class Runner:
    """One classifier, the limits of its requests, and the time per row of its last runs."""

    def __init__(self, classifier: Classifier, limits: Limits) -> None:
        self.classifier = classifier
        self.limits = limits
        self._row_seconds = LOOP_SECONDS  # until a run was faster
        self._pool = CapacityLimiter(1)
        self._turn = asyncio.Lock()

    async def read_body(self, request: Request) -> bytearray:
        """Read a request's body; of several large ones, continue with one per turn of the event loop.

        Raises:
            TooLargeError, ClientDisconnect: as `read_body` of `body`.
        """
        body = await read_body(request, self.limits.max_body_bytes)
        if len(body) >= LARGE_BYTES:
            async with self._turn:
                await asyncio.sleep(0)  # otherwise each would get the lock in the same turn
        return body

    async def answer(self, n_rows: int, make: Callable[[], Response]) -> Response:
        """Create the response for so many rows, in a thread if it takes long."""
        if n_rows > 1 and n_rows * self._row_seconds > LOOP_SECONDS:
            return await to_thread.run_sync(self._time, n_rows, make, limiter=self._pool)
        return self._time(n_rows, make)

    def _time(self, n_rows: int, make: Callable[[], Response]) -> Response:
        started = time.thread_time()  # the time of other threads doesn't count
        response = make()
        row_seconds = (time.thread_time() - started) / n_rows
        self._row_seconds = row_seconds if n_rows >= N_TIMED else min(row_seconds, self._row_seconds)
        return response

    def infer(self, record: Record, arrays: Arrays) -> Prediction:
        """Return the prediction for a request's arrays."""
        started = time.perf_counter()
        prediction = self.classifier.predict_arrays(arrays)
        record.run = Run(arrays, prediction, time.perf_counter() - started)
        return prediction

    def infer_rows(self, record: Record, rows: Sequence[Sequence[Any]]) -> Prediction:
        """Return the prediction for rows that a route has made of its body, and count them.

        Raises:
            BodyError: the model can't take one of them; the message says which, the place is the whole body.
        """
        record.n_rows = len(rows)
        try:
            return self.infer(record, to_arrays(self.classifier.model.columns, rows))
        except FeaturesError as error:
            raise BodyError(error.message, type=error.type) from None

    def infer_row(self, record: Record, body: bytearray) -> Prediction:
        """Return the prediction for a body of one row.

        Raises:
            RequestError: it isn't one row, or the model can't take it.
        """
        rows = read_rows(body, self.classifier.model.columns)
        record.n_rows = len(rows)
        if len(rows) > 1:
            message = f"expected 1 row, got {len(rows)}; POST /predict/batch takes up to {self.limits.max_rows}"
            raise FeaturesError(message, type="one_row")
        return self.infer(record, to_arrays(self.classifier.model.columns, rows))
