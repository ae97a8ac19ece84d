"""The limits of a request and of a response."""

import json
from typing import NamedTuple

from function.classifier import Model
from function.errors import ArtifactError, TooLargeError
from function.settings import Settings


class Limits(NamedTuple):
    """The most rows of a batch, and the most bytes of a request's body and of a response."""

    max_rows: int
    max_body_bytes: int
    max_answer_bytes: int


def find_limits(model: Model, settings: Settings) -> Limits:
    """Lower `max_rows` to what fits into one response with this model's classes and labels.

    Raises:
        ArtifactError: not even one row fits.
    """
    # A probability takes at most 15 characters and a comma ("0.0000016966386,").
    row_bytes = 16 * len(model.labels) + len("[],") + label_bytes(model)
    if row_bytes > settings.max_answer_bytes:
        message = f"{model.name}: expected a response of at most {settings.max_answer_bytes} bytes for one row"
        raise ArtifactError(f"{message}, got {row_bytes}; give the {len(model.labels)} classes shorter labels")
    max_rows = min(settings.max_rows, settings.max_answer_bytes // row_bytes)
    return Limits(max_rows, settings.max_body_bytes, settings.max_answer_bytes)


def label_bytes(model: Model) -> int:
    """Measure the longest label in Lambda's JSON, which escapes it twice, or class id in a base64 tensor."""
    escaped = [len(json.dumps(json.dumps(label))) for label in model.labels]
    return max(*escaped, *((len(class_id.encode()) + 4) * 4 // 3 for class_id in model.class_ids or ()))


def check_n_rows(n_rows: int, limits: Limits, where: tuple[str, ...] = ()) -> None:
    """Check the number of rows in a request.

    Raises:
        TooLargeError: it has too many.
    """
    if n_rows > limits.max_rows:
        message = f"expected at most {limits.max_rows} rows, got {n_rows}; send them in several requests"
        raise TooLargeError(message, type="too_many_rows", where=where)
