"""What each request measured, in CloudWatch's embedded format or for Prometheus: the one place that records it."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from function import logs
from function.classifier import Classifier, Probabilities
from function.columns import TEXT, Arrays

NAMESPACE = "web-single"
MOST_LABELS = 50  # with metrics of their own: CloudWatch takes 100 metrics a line
# Names and units: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
OF_REQUESTS = {
    "requests": "Count",
    "errors_4xx": "Count",
    "errors_5xx": "Count",
    "milliseconds": "Milliseconds",
    "cold_start": "Count",
}
OF_INFERENCES = {
    "rows": "Count",
    "inference_milliseconds": "Milliseconds",
    "rows_outside": "Count",
}


class Inference(NamedTuple):
    """What one run of the model took and gave."""

    rows: int
    seconds: float
    rows_outside: int
    predictions: Mapping[str, int]


class Recorder(Protocol):
    """Where the facts of a request go."""

    def record(self, route: str, status: int, seconds: float, inference: Inference | None) -> dict[str, Any]:
        """Record a request, and give what its access line says besides."""


class Gauge:
    """Measures inferences: labels, and rows with a value outside the training data's ranges."""

    def __init__(self, classifier: Classifier) -> None:
        self._labels, start = classifier.labels, 0
        self._ranges: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
        for index, input in enumerate(classifier.columns.inputs):
            features = classifier.features[start : start + input.width]
            start += input.width
            if input.type != TEXT and any(feature.min is not None or feature.max is not None for feature in features):
                low = np.array([-np.inf if feature.min is None else feature.min for feature in features])
                high = np.array([np.inf if feature.max is None else feature.max for feature in features])
                if input.type == "float32":  # round the ends as the values were
                    low, high = low.astype(np.float32), high.astype(np.float32)
                self._ranges.append((index, low, high))

    def measure(self, arrays: Arrays, probabilities: Probabilities, seconds: float) -> Inference:
        """Count what the arrays of a request and their answer show."""
        masks = [(arrays[index] < low) | (arrays[index] > high) for index, low, high in self._ranges]
        outside = [np.ascontiguousarray(mask.T).any(axis=0) for mask in masks]  # `any(axis=1)` takes ten times as long
        n_outside = int(np.count_nonzero(np.logical_or.reduce(outside))) if outside else 0
        counts = np.bincount(probabilities.argmax(axis=1)).tolist()
        predictions = {label: count for label, count in zip(self._labels, counts, strict=False) if count}
        return Inference(len(probabilities), seconds, n_outside, predictions)


class Embedded:
    """CloudWatch reads the metrics out of the access line."""

    def __init__(self, classifier: Classifier) -> None:
        self._model = classifier.name
        self._no_predictions = {f"predicted_{label}": 0 for label in classifier.labels[:MOST_LABELS]}
        self._of_request = _directive(OF_REQUESTS)
        self._of_inference = _directive(OF_REQUESTS | OF_INFERENCES | dict.fromkeys(self._no_predictions, "Count"))
        self._is_cold = True

    def record(self, route: str, status: int, seconds: float, inference: Inference | None) -> dict[str, Any]:
        values: dict[str, Any] = {
            "requests": 1,
            "errors_4xx": int(400 <= status < 500),
            "errors_5xx": int(status >= 500),
            "cold_start": int(self._is_cold),
        }
        self._is_cold = False
        if inference is not None:
            values |= {"inference_milliseconds": inference.seconds * 1000, "rows_outside": inference.rows_outside}
            values |= self._no_predictions
            for label, count in inference.predictions.items():
                if (name := f"predicted_{label}") in values:
                    values[name] = count
        directive = self._of_request if inference is None else self._of_inference
        meta = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        return {logs.EMBEDDED_METRICS: meta, "model": self._model, "route": route, **values}


def _directive(units: Mapping[str, str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {"Namespace": NAMESPACE, "Dimensions": [["model"]], "Metrics": metrics}


class Prometheus:
    """Counters in files that the workers share, read together: PROMETHEUS_MULTIPROC_DIR says where."""

    def __init__(self, classifier: Classifier) -> None:
        import prometheus_client  # noqa: PLC0415 - not in the Lambda package, and it reads its variable when imported

        prefix = NAMESPACE.replace("-", "_")
        self._client = prometheus_client
        counter, histogram = prometheus_client.Counter, prometheus_client.Histogram
        requests = counter(f"{prefix}_requests", "Requests", ["route", "status"], registry=None)
        buckets = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
        seconds = histogram(f"{prefix}_request_seconds", "Time to answer", ["route"], registry=None, buckets=buckets)
        self._rows = counter(f"{prefix}_rows", "Rows that the model has answered", registry=None)
        self._outside = counter(f"{prefix}_rows_outside", "Rows outside the training data's ranges", registry=None)
        self._inference = counter(f"{prefix}_inference_seconds", "Time in the model", registry=None)
        predictions = counter(f"{prefix}_predictions", "Rows by label", ["label"], registry=None)
        # To look a child up in prometheus_client takes as long as to count in it.
        self._count_request = cache(lambda route, status: requests.labels(route, str(status)).inc)
        self._observe = cache(lambda route: seconds.labels(route).observe)
        self._count_label = {label: predictions.labels(label).inc for label in classifier.labels[:MOST_LABELS]}

    def record(self, route: str, status: int, seconds: float, inference: Inference | None) -> dict[str, Any]:
        self._count_request(route, status)()
        self._observe(route)(seconds)
        if inference is not None:
            self._rows.inc(inference.rows)
            if inference.rows_outside:
                self._outside.inc(inference.rows_outside)
            self._inference.inc(inference.seconds)
            for label, count in inference.predictions.items():
                if count_label := self._count_label.get(label):
                    count_label(count)
        return {}

    def read(self) -> bytes:
        """Give the sums over all workers in Prometheus' text format."""
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - as above

        registry = self._client.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(self._client.generate_latest(registry))


def create(kind: str, classifier: Classifier) -> Recorder | None:
    """Make the recorder that METRICS names; None for NONE."""
    match kind:
        case "EMF":
            return Embedded(classifier)
        case "PROMETHEUS":
            return Prometheus(classifier)
        case _:
            return None
