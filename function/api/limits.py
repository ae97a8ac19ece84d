"""How much one request may bring, and one answer may hold."""

import json
from typing import NamedTuple

from function.classifier import Model
from function.errors import ArtifactError, TooLargeError
from function.settings import Settings


class Limits(NamedTuple):
    """Most rows of a batch, most bytes of a request's body and of an answer."""

    max_rows: int
    max_body_bytes: int
    max_answer_bytes: int


def find_limits(model: Model, settings: Settings) -> Limits:
    """Lower `max_rows` to what one answer can hold with this model's classes and labels.

    Raises:
        ArtifactError: it can't hold a single row.
    """
    # A probability takes at most 15 characters and a comma ("0.0000016966386,").
    row_bytes = 16 * len(model.labels) + len("[],") + label_bytes(model)
    if row_bytes > settings.max_answer_bytes:
        message = f"{model.name}: expected rows that take at most {settings.max_answer_bytes} bytes of an answer"
        raise ArtifactError(f"{message}, got {row_bytes}; give the {len(model.labels)} classes shorter labels")
    max_rows = min(settings.max_rows, settings.max_answer_bytes // row_bytes)
    return Limits(max_rows, settings.max_body_bytes, settings.max_answer_bytes)


def label_bytes(model: Model) -> int:
    """Measure the longest label in Lambda's own JSON, where it is escaped twice, or class id in a base64 tensor."""
    escaped = [len(json.dumps(json.dumps(label))) for label in model.labels]
    return max(*escaped, *((len(class_id.encode()) + 4) * 4 // 3 for class_id in model.class_ids or ()))


def check_n_rows(n_rows: int, limits: Limits, where: tuple[str, ...] = ()) -> None:
    """Hold a request to the most rows.

    Raises:
        TooLargeError: it brings more.
    """
    if n_rows > limits.max_rows:
        message = f"expected at most {limits.max_rows} rows, got {n_rows}; send them in several requests"
        raise TooLargeError(message, type="too_many_rows", where=where)
