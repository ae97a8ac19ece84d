"""Metrics for Prometheus: counters in files that the workers share, handed over once a second."""

import asyncio
import atexit
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import prometheus_client
from prometheus_client.multiprocess import MultiProcessCollector

from function.classifier import Model
from function.observability.inference import MOST_LABELS, InferenceObserver, Run

PREFIX = "web_single"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds
INTERVAL = 1.0  # seconds between two hand-overs
MOST_WAITING = 1_000  # requests, or rows, that wait for one


class PrometheusRecorder:
    """Puts aside what each request measured, and hands it over all at once.

    That is each second, before `read`, and when the process ends; at a kill -9 up to a second is lost. Counted in each
    request, it would take as long as the model. PROMETHEUS_MULTIPROC_DIR says where the files are.
    """

    def __init__(self, model: Model, observer: InferenceObserver) -> None:
        self._observer = observer
        counter = prometheus_client.Counter
        self._requests = counter(f"{PREFIX}_requests", "Requests", ["route", "status"], registry=None)
        name = f"{PREFIX}_request_seconds"
        self._seconds = _Histogram(name, "Time to answer", ["route"], registry=None, buckets=BUCKETS)
        self._rows = counter(f"{PREFIX}_rows", "Rows that the model has answered", registry=None)
        self._outside = counter(f"{PREFIX}_rows_outside", "Rows outside the training data's ranges", registry=None)
        self._missing = counter(f"{PREFIX}_values_missing", "Values that were missing", registry=None)
        self._inference = counter(f"{PREFIX}_inference_seconds", "Time in the model", registry=None)
        predictions = counter(f"{PREFIX}_predictions", "Rows by label", ["label"], registry=None)
        self._predictions = {label: predictions.labels(label) for label in model.labels[:MOST_LABELS]}
        self._times = defaultdict[tuple[str, int], list[float]](list)  # (route, status) -> seconds of each request
        self._runs: list[Run] = []
        self._n_rows = 0
        self._is_due = False  # a hand-over will come
        atexit.register(self.hand_over)

    def record(self, route: str, status: int, seconds: float, run: Run | None) -> Mapping[str, Any]:
        times = self._times[route, status]
        times.append(seconds)
        if run is not None:
            self._runs.append(run)
            self._n_rows += len(run.prediction.probabilities)
        if len(times) > MOST_WAITING or self._n_rows > MOST_WAITING:
            self.hand_over()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(INTERVAL, self._hand_over_in_time)
        return {}

    def _hand_over_in_time(self) -> None:
        self._is_due = False
        self.hand_over()

    def hand_over(self) -> None:
        """Add what waits to the shared counters."""
        times, runs = self._times, self._runs
        self._times, self._runs, self._n_rows = defaultdict(list), [], 0
        for (route, status), seconds in times.items():
            self._requests.labels(route, str(status)).inc(len(seconds))
            self._seconds.labels(route).observe_all(seconds)
        if runs:
            self._count_inferences(runs)

    def _count_inferences(self, runs: Sequence[Run]) -> None:
        found = self._observer.measure(runs)
        self._rows.inc(found.n_rows)
        self._outside.inc(found.n_rows_outside)
        self._missing.inc(found.n_missing)
        self._inference.inc(found.seconds)
        for label, count in found.predictions.items():
            if (counter := self._predictions.get(label)) is not None:
                counter.inc(count)

    def read(self) -> bytes:
        """Give the sums over all workers in Prometheus' text format; those of the others are up to a second old."""
        self.hand_over()
        registry = prometheus_client.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(prometheus_client.generate_latest(registry))


class _Histogram(prometheus_client.Histogram):
    """A histogram that takes many observations at once, as `observe` takes each."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        self._sum.inc(sum(amounts))
        counts = Counter(bisect_left(self._upper_bounds, amount) for amount in amounts)
        for index, count in counts.items():
            self._buckets[index].inc(count)
