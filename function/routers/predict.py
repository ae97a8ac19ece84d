"""Rows in, probabilities and labels out."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from function.classifier import Classifier, Probabilities
from function.columns import Arrays, Rows
from function.errors import FeaturesError, TooLargeError
from function.metrics import Gauge
from function.schemas import (
    JSON,
    Limits,
    Prediction,
    PredictionBatch,
    PredictionLabel,
    body_schema,
    declare,
    parse_rows,
)

# What takes longer runs in the thread pool, so that other requests needn't wait for it. The way to the pool and back
# takes half a millisecond, and beside it the event loop waits 5 ms at a time for Python's lock.
LOOP_SECONDS = 0.01
N_TIMED = 32  # rows


class Runner:
    """Runs the model where it holds up nobody else, and notes for the access line what the gauge shows of it."""

    def __init__(self, classifier: Classifier, gauge: Gauge | None) -> None:
        self.classifier = classifier
        self._gauge = gauge

    @cached_property
    def loop_rows(self) -> int:
        """Measure how many rows the event loop can answer within `LOOP_SECONDS`, beyond what a call takes."""

        def least_seconds(n_rows: int) -> float:
            times: list[float] = []
            while len(times) < 3 and sum(times) < LOOP_SECONDS:
                started = time.perf_counter()
                self.classifier.predict_label([self.classifier.sample] * n_rows)
                times.append(time.perf_counter() - started)
            return min(times)

        one = least_seconds(1)
        if one > LOOP_SECONDS:
            return 1
        many = least_seconds(N_TIMED)
        a_row = (many - one) / (N_TIMED - 1) if many > one else many / N_TIMED
        return int(LOOP_SECONDS / a_row)

    async def answer(self, n_rows: int, make: Callable[..., Response], *arguments: object) -> Response:
        """Make an answer to so many rows."""
        if n_rows > 1 and n_rows > self.loop_rows:
            return await run_in_threadpool(make, *arguments)
        return make(*arguments)

    def infer(self, request: Request, arrays: Arrays) -> Probabilities:
        """Give the probabilities for a request's rows."""
        started = time.perf_counter()
        probabilities = self.classifier.predict_arrays(arrays)
        if self._gauge is not None:
            request.state.inference = self._gauge.measure(arrays, probabilities, time.perf_counter() - started)
        return probabilities


def create_router(runner: Runner, limits: Limits, **options: Any) -> APIRouter:
    classifier = runner.classifier
    router = APIRouter(tags=["predict"], **options)

    @router.get("/predict/test", response_model=Prediction)
    async def predict_test(request: Request) -> Response:
        """Run the model's own sample."""
        return JSON({"prediction": classifier.predict([classifier.sample])[0]})

    @router.get("/predict/test/label", response_model=PredictionLabel)
    async def predict_test_label(request: Request) -> Response:
        """Run the model's own sample and name its class."""
        return JSON({"prediction": classifier.predict_label([classifier.sample])[0]})

    one_row, batch = _body(classifier, 1), _body(classifier, limits.max_rows)

    @router.post("/predict", response_model=Prediction, **one_row)
    async def predict(request: Request) -> Response:
        """Give one row's class probabilities, in the order of /label."""
        row = await _read_row(request, classifier, limits)
        return JSON({"prediction": runner.infer(request, classifier.columns.arrays(row))[0]})

    @router.post("/predict/label", response_model=PredictionLabel, **one_row)
    async def predict_label(request: Request) -> Response:
        """Name the class with the highest probability for one row."""
        row = await _read_row(request, classifier, limits)
        probabilities = runner.infer(request, classifier.columns.arrays(row))
        return JSON({"prediction": classifier.label_rows(probabilities)[0]})

    @router.post("/predict/batch", response_model=PredictionBatch, **batch)
    async def predict_batch(request: Request) -> Response:
        """Give every row's probabilities and label, in order."""
        rows = await _read_rows(request, classifier, limits)
        if len(rows) > limits.max_rows:
            message = f"expected at most {limits.max_rows} rows, got {len(rows)}; send them in several requests"
            raise TooLargeError(message, type="too_many_rows", where=("data",))
        return await runner.answer(len(rows), _batch, request, runner, rows)

    return router


def _batch(request: Request, runner: Runner, rows: Rows) -> Response:
    probabilities = runner.infer(request, runner.classifier.columns.arrays(rows))
    return JSON({"prediction": probabilities, "label": runner.classifier.label_rows(probabilities)})


async def _read_row(request: Request, classifier: Classifier, limits: Limits) -> Rows:
    rows = await _read_rows(request, classifier, limits)
    if len(rows) > 1:
        message = f"expected 1 row, got {len(rows)}; POST /predict/batch takes up to {limits.max_rows}"
        raise FeaturesError(message, type="one_row")
    return rows


async def _read_rows(request: Request, classifier: Classifier, limits: Limits) -> Rows:
    rows = parse_rows(await read_body(request, limits.max_body_bytes), classifier)
    request.state.n_rows = len(rows)
    return rows


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a request's body; TooLargeError as soon as it is known to be larger."""
    # FastAPI(max_body_size=…) would do, but answers a declared length in plain text.
    message = f"expected a body of at most {max_bytes} bytes, got more"
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and float(declared) > max_bytes:  # float: thousands of digits are too many for int
        raise TooLargeError(message, type="body_too_large")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(message, type="body_too_large")
    return bytes(body)


def _body(classifier: Classifier, max_rows: int) -> dict[str, Any]:
    # The endpoints read the body themselves, so FastAPI can't derive its schema: pydantic then parses it in one pass,
    # straight from the bytes, which takes a third of the time of json and validation apart.
    content = {"application/json": {"schema": body_schema(classifier, max_rows)}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": declare(413, 422),
    }
