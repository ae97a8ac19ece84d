"""Metrics for CloudWatch, which reads them from the access line: its embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from function.classifier import Model
from function.observability.bins import Window
from function.observability.inference import MOST_LABELS, Inference, InferenceObserver, Run

NAMESPACE = "web-single"
# Names and units.
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
    "values_missing": "Count",
}


def _directive(units: Mapping[str, str], dimensions: Sequence[str] = ("stack", "model", "digest")) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics}


OF_STACK = _directive({"drift": "None"}, ["stack"])  # an alarm must name all dimensions, and doesn't know the digest


class EMFRecorder:
    """Creates the fields of each access line that CloudWatch reads."""

    def __init__(self, model: Model, observer: InferenceObserver, stack: str) -> None:
        self._dimensions = {"stack": stack, "model": model.name, "digest": model.digest}
        self._observer = observer
        self._window = Window(observer.watch)
        self._labels = model.labels[:MOST_LABELS]
        predicted, shares = ([f"{what}_{label}" for label in self._labels] for what in ("predicted", "share"))
        drifts = [f"drift_{bins.feature}" for bins in observer.watch.bins]
        self._of_request = _directive(OF_REQUESTS)
        self._of_inference = _directive(OF_REQUESTS | OF_INFERENCES | dict.fromkeys(predicted, "Count"))
        self._of_shares = _directive(dict.fromkeys(shares, "Percent"))
        self._of_drift = _directive(dict.fromkeys(drifts, "None"))
        self._is_cold = True

    def record(self, route: str, status: int, seconds: float, run: Run | None) -> dict[str, Any]:
        directives = [self._of_request] if run is None else [self._of_inference, self._of_shares]
        fields: dict[str, Any] = {
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives},
            **self._dimensions,
            "route": route,
            "requests": 1,
            "errors_4xx": int(400 <= status < 500),
            "errors_5xx": int(status >= 500),
            "cold_start": int(self._is_cold),
        }
        self._is_cold = False
        if run is None:
            return fields
        found = self._observer.measure([run])
        fields |= self._describe(found)
        if (drift := self._window.add(found.places, found.n_rows)) is not None:
            directives += [OF_STACK, self._of_drift]
            fields |= {f"drift_{feature}": index for feature, index in drift.indexes.items()}
            fields |= {"drift": max(drift.indexes.values()), "bins": drift.rows}
        return fields

    def _describe(self, found: Inference) -> dict[str, Any]:
        counts = [(label, found.predictions.get(label, 0)) for label in self._labels]
        return {
            "inference_milliseconds": found.seconds * 1000,
            "rows_outside": found.n_rows_outside,
            "values_missing": found.n_missing,
            **{f"predicted_{label}": n_rows for label, n_rows in counts},
            **{f"share_{label}": 100 * n_rows / found.n_rows for label, n_rows in counts},
        }
