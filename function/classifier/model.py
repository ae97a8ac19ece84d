"""What is known of the loaded model; nothing of it changes while the service runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier.facts import Feature

Probabilities = NDArray[np.float32]
LabelSource = Literal["a label file", "its facts", "its class ids", "their positions"]

TEXT = "string"
WHOLE = ("int64", "int32")


class Input(NamedTuple):
    """One input of the session, of shape (None, width); its type is NumPy's name for numbers, or TEXT."""

    name: str
    type: str
    width: int


@dataclass(frozen=True)
class Signature:
    """Names, types and widths, as the session has them."""

    inputs: tuple[Input, ...]
    is_one_by_one: bool  # the session takes a single row
    output_name: str  # of the probabilities
    is_zipmap: bool
    label_name: str | None
    label_type: str


@dataclass(frozen=True)
class Columns:
    """The inputs of a model side by side, and one `Feature` for each of their columns."""

    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Of each column: "float32", "float64", "int64", "int32" or "string"."""
        return tuple(input.type for input in self.inputs for _ in range(input.width))

    @property
    def row_type(self) -> str:
        """What a row is, for messages."""
        has_texts = any(input.type == TEXT for input in self.inputs)
        return "a list of numbers and strings" if has_texts else "a list of numbers"

    @property
    def wanted(self) -> str:
        """What a row must hold, for messages: "4: sepal length (cm), …"."""
        return f"{len(self.features)}: {cut(', '.join(feature.name for feature in self.features), 400)}"

    def locate(self, row: int, column: int) -> str:
        """Say where a value stands, with its feature's name: 'row 3, "petal length (cm)"'."""
        if column < len(self.features):
            return f'row {row}, "{cut(self.features[column].name, 100)}"'
        return f"row {row}, column {column}"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier, as its artifact and its session describe it.

    Attributes:
        name: the artifact's file name without its ending.
        version: the artifact's own, "0" without one.
        sha256: of the artifact's bytes, hexadecimal.
        producer: what wrote the artifact.
        signature: as the session has it.
        columns: what a row must hold.
        class_ids: what the model itself calls its classes, in the order of the probabilities; None if the file
            doesn't say.
        label_output: the session's output of class ids, where it has one and its class ids are known.
        labels: human names in the order of the probabilities.
        labels_from: where they come from.
        sample: a row that the model is known to answer.
        sample_probabilities: its answer to that row, float32, shape (n_classes,).
        training: facts of its training, where the artifact carries them.
    """

    name: str
    version: str
    sha256: str
    producer: str
    signature: Signature
    columns: Columns
    class_ids: tuple[str, ...] | None
    label_output: str | None
    labels: tuple[str, ...]
    labels_from: LabelSource
    sample: tuple[float | str, ...]
    sample_probabilities: Probabilities
    training: Mapping[str, Any] | None

    @property
    def features(self) -> tuple[Feature, ...]:
        return self.columns.features


def cut(text: str, length: int) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
