"""Metrics for Prometheus: each worker keeps sums, and shares them once a second."""

import asyncio
import atexit
import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from function.classifier import Model
from function.observability.bins import Watch
from function.observability.counters import CounterFolder, Sums, add
from function.observability.inference import MOST_LABELS, InferenceObserver, Run

PREFIX = "web_single"
# Name -> help and labels; the first is a histogram, the others are counters.
METRICS = {
    "request_seconds": ("Time to answer", ["route"]),
    "requests": ("Requests", ["route", "status"]),
    "rows": ("Rows that the model has answered", []),
    "rows_outside": ("Rows outside the training data's ranges", []),
    "values_missing": ("Values that were missing", []),
    "inference_seconds": ("Time in the model", []),
    "predictions": ("Rows by label", ["label"]),
    "feature_rows": ("Rows by the bins of a feature's training data", ["feature", "bin"]),
}
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds
INTERVAL = 1.0  # seconds
MOST_WAITING = 1_000  # requests or rows that aren't counted yet
log = logging.getLogger(__name__)


class PrometheusRecorder:
    """Collects what each request measured, and counts and shares it all at once.

    It does so once a second, before `read`, and when the process ends; a kill -9 loses up to one second. Counting in
    each request would take as long as the model. Without a folder nothing is shared with other processes.
    """

    def __init__(self, model: Model, observer: InferenceObserver, folder: Path | None) -> None:
        self._observer = observer
        self._folder = CounterFolder(folder) if folder is not None else None
        self._is_shared = True  # as far as is known
        self._labels = model.labels[:MOST_LABELS]
        self._digest = model.digest
        self._sums: Sums = {}
        self._times = defaultdict[tuple[str, int], list[float]](list)  # (route, status) -> seconds of each request
        self._runs: list[Run] = []
        self._n_rows = 0
        self._is_due = False  # a hand-over is scheduled
        atexit.register(self.hand_over)

    def record(self, route: str, status: int, seconds: float, run: Run | None) -> Mapping[str, Any]:
        times = self._times[route, status]
        times.append(seconds)
        if run is not None:
            self._runs.append(run)
            self._n_rows += len(run.prediction.probabilities)
        if len(times) > MOST_WAITING or self._n_rows > MOST_WAITING:
            self._count()
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(INTERVAL, self._hand_over_in_time)
        return {}

    def _hand_over_in_time(self) -> None:
        self._is_due = False
        self.hand_over()

    def hand_over(self) -> None:
        """Count what was collected, and share the sums; if the disk is full, try again the next time."""
        self._count()
        if self._folder is None or not self._sums:
            return
        try:
            self._folder.write(self._sums)
            self._is_shared = True
        except OSError as error:
            if self._is_shared:
                log.warning("this worker can't share its counters at the moment: %s", error.strerror)
            self._is_shared = False

    def _count(self) -> None:
        """Add what was collected to the sums."""
        times, runs = self._times, self._runs
        self._times, self._runs, self._n_rows = defaultdict(list), [], 0
        for (route, status), seconds in times.items():
            counts = Counter(bisect_left(BUCKETS, amount) for amount in seconds)
            in_buckets = [float(counts[index]) for index in range(len(BUCKETS) + 1)]
            more: Sums = {
                ("requests", route, str(status)): [len(seconds)],
                ("request_seconds", route): [*in_buckets, sum(seconds)],
            }
            add(self._sums, more)
        if runs:
            self._count_inferences(runs)

    def _count_inferences(self, runs: Sequence[Run]) -> None:
        found = self._observer.measure(runs)
        more: Sums = {
            ("rows",): [found.n_rows],
            ("rows_outside",): [found.n_rows_outside],
            ("values_missing",): [found.n_missing],
            ("inference_seconds",): [found.seconds],
        }
        more |= {("predictions", label): [n] for label, n in found.predictions.items() if label in self._labels}
        names = self._observer.watch.names
        more |= {("feature_rows", *names[place]): [n] for place, n in found.places.items()}
        add(self._sums, more)

    def read(self) -> bytes:
        """Return the sums of all workers in Prometheus' text format; those of other workers are up to a second old."""
        self.hand_over()
        sums: Sums = {("predictions", label): [0] for label in self._labels}
        sums |= {(name,): [0] for name, (_, labels) in METRICS.items() if not labels}
        sums |= {("feature_rows", *names): [0] for names in self._observer.watch.names}
        add(sums, self._sums if self._folder is None else self._folder.read(self._sums))
        registry = CollectorRegistry()
        registry.register(_Families(sums, self._observer.watch, self._digest))
        return generate_latest(registry)


class _Families:
    """Sums in the form that prometheus_client takes from a custom collector.

    https://prometheus.github.io/client_python/collector/custom/
    """

    def __init__(self, sums: Sums, watch: Watch, digest: str) -> None:
        self._sums = sums
        self._watch = watch
        self._digest = digest

    def collect(self) -> Iterator[Metric]:
        for name, (text, labels) in METRICS.items():
            found = [
                ([*values, self._digest], numbers)
                for (metric, *values), numbers in self._sums.items()
                if metric == name
            ]
            if name == "request_seconds":
                yield _histogram(name, text, [*labels, "digest"], found)
                continue
            counter = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[*labels, "digest"])
            for values, (number,) in found:
                counter.add_metric(values, number)
            yield counter
        yield self._collect_shares()

    def _collect_shares(self) -> Metric:
        text = "Share of the training data's rows in each bin of a feature"
        family = GaugeMetricFamily(f"{PREFIX}_feature_share", text, labels=["feature", "bin", "digest"])
        shares = [share for bins in self._watch.bins for share in bins.expected]
        for names, share in zip(self._watch.names, shares, strict=True):
            family.add_metric([*names, self._digest], share)
        return family


def _histogram(
    name: str, text: str, labels: Sequence[str], found: Sequence[tuple[list[str], list[float]]]
) -> HistogramMetricFamily:
    """Add up the buckets: each of Prometheus' buckets includes all smaller ones."""
    family = HistogramMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    bounds = [*map(str, map(float, BUCKETS)), "+Inf"]
    for values, (*counts, total) in found:
        family.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total)
    return family
