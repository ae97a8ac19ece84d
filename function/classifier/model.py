"""What is known of the loaded model; nothing of it changes while the service runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier.facts import Certificate, Feature

Probabilities = NDArray[np.float32]
Value = bool | float | str | None
LabelSource = Literal["a label file", "its facts", "its class ids", "their positions"]
LabelRule = Literal["MODEL", "HIGHEST"]

TEXT = "string"
BOOL = "bool"
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")


class Input(NamedTuple):
    """One input of the session, of shape (None, width), or (None,) where it is flat.

    Its type is NumPy's name for numbers and booleans, or TEXT.
    """

    name: str
    type: str
    width: int
    is_flat: bool = False


@dataclass(frozen=True)
class Signature:
    """Names, types and widths, as the session has them.

    Attributes:
        inputs: what the session takes.
        n_batch: how many rows it takes at once; None for any number.
        output_name: of the probabilities.
        is_zipmap: they are mappings, class id → probability.
        tolerance: how far their sum may be from 1.
        label_name: of the labels, where the session gives them.
        label_type: as an input's.
        ignored: outputs that are neither.
    """

    inputs: tuple[Input, ...]
    n_batch: int | None
    output_name: str
    is_zipmap: bool
    tolerance: float
    label_name: str | None
    label_type: str
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """The inputs of a model side by side; one `Feature` for each of their columns, and what stands in for null in it.

    A fill is NaN or a text; None where no value may be missing.
    """

    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    fills: tuple[float | str | None, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Of each column: "string", "bool", "float32", "int64" and the other numbers of NumPy's."""
        return tuple(input.type for input in self.inputs for _ in range(input.width))

    @property
    def takes_missing(self) -> bool:
        """Some value may be missing."""
        return any(fill is not None for fill in self.fills)

    @property
    def row_type(self) -> str:
        """What a row is, for messages."""
        kinds = {"string": "strings", "bool": "booleans"}
        found = sorted(
            {kinds.get(type, "numbers") for type in self.types}, key=("numbers", "strings", "booleans").index
        )
        return "a list of " + " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))

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
        label_rule: MODEL where the session's output of labels gives a row's class, HIGHEST where the highest
            probability does.
        is_argmax: the graph shows that the two are the same.
        labels: human names in the order of the probabilities.
        labels_from: where they come from.
        sample: a row that the model is known to answer.
        sample_probabilities: its answer to that row, float32, shape (n_classes,).
        training: facts of its training, where the artifact carries them.
        certificate: how far its answers are from its framework's, where the artifact carries it.
        notes: what its deployer should know, a line each.
    """

    name: str
    version: str
    sha256: str
    producer: str
    signature: Signature
    columns: Columns
    class_ids: tuple[str, ...] | None
    label_rule: LabelRule
    is_argmax: bool
    labels: tuple[str, ...]
    labels_from: LabelSource
    sample: tuple[Value, ...]
    sample_probabilities: Probabilities
    training: Mapping[str, Any] | None
    certificate: Certificate | None
    notes: tuple[str, ...]

    @property
    def features(self) -> tuple[Feature, ...]:
        return self.columns.features

    @property
    def digest(self) -> str:
        """The first digits of the SHA-256, which X-Model-SHA256 and the metrics have."""
        return self.sha256[:12]


def cut(text: str, length: int) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
