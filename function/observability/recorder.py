"""Records the metrics of a request; METRICS chooses the recorder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from function.classifier import Model
from function.observability.emf import EMFRecorder
from function.observability.inference import InferenceObserver, Run


class Recorder(Protocol):
    """Records what each request measured."""

    def record(self, route: str, status: int, seconds: float, run: Run | None) -> Mapping[str, Any]:
        """Record a request, and return more fields for its access line."""


@runtime_checkable
class ReadableRecorder(Protocol):
    """A recorder with sums that can be read."""

    def read(self) -> bytes:
        """Return them in Prometheus' text format."""


def create_recorder(
    kind: Literal["NONE", "EMF", "PROMETHEUS"],
    model: Model,
    observer: InferenceObserver,
    *,
    folder: Path | None = None,
    stack: str = "web-single",
) -> Recorder | None:
    """Create the recorder of a kind, None for NONE.

    Processes share Prometheus' counters in a folder; CloudWatch's metrics are separate for each stack.
    """
    if kind == "PROMETHEUS":
        # Not in the Lambda package.
        from function.observability.prometheus import PrometheusRecorder  # noqa: PLC0415

        return PrometheusRecorder(model, observer, folder)
    return EMFRecorder(model, observer, stack) if kind == "EMF" else None
