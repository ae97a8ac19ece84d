"""Metrics for CloudWatch, which reads them out of the access line: its embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from collections.abc import Mapping
from typing import Any

from function.classifier import Model
from function.observability.inference import MOST_LABELS, InferenceObserver, Run

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


class EMFRecorder:
    """Gives the fields of each request's access line that CloudWatch reads."""

    def __init__(self, model: Model, observer: InferenceObserver) -> None:
        self._model = model.name
        self._observer = observer
        self._predictions = [f"predicted_{label}" for label in model.labels[:MOST_LABELS]]
        self._of_request = _directive(OF_REQUESTS)
        self._of_inference = _directive(OF_REQUESTS | OF_INFERENCES | dict.fromkeys(self._predictions, "Count"))
        self._is_cold = True

    def record(self, route: str, status: int, seconds: float, run: Run | None) -> dict[str, Any]:
        directive = self._of_request if run is None else self._of_inference
        fields: dict[str, Any] = {
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
            "model": self._model,
            "route": route,
            "requests": 1,
            "errors_4xx": int(400 <= status < 500),
            "errors_5xx": int(status >= 500),
            "cold_start": int(self._is_cold),
        }
        self._is_cold = False
        return fields if run is None else fields | self._measure(run)

    def _measure(self, run: Run) -> dict[str, Any]:
        found = self._observer.measure([run])
        counts = {f"predicted_{label}": count for label, count in found.predictions.items()}
        return {
            "inference_milliseconds": found.seconds * 1000,
            "rows_outside": found.n_rows_outside,
            "values_missing": found.n_missing,
            **{name: counts.get(name, 0) for name in self._predictions},
        }


def _directive(units: Mapping[str, str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {"Namespace": NAMESPACE, "Dimensions": [["model"]], "Metrics": metrics}
