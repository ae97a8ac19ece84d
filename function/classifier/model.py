"""What is known about the loaded model; it doesn't change while the service runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
    """One input of the session, of shape (None, width), or (None,) if it is flat.

    Its type is NumPy's name of a number's or boolean's type, or TEXT.
    """

    name: str
    type: str
    width: int
    is_flat: bool = False


@dataclass(frozen=True)
class Signature:
    """Names, types and widths, as in the session.

    Attributes:
        inputs: the session's inputs.
        n_batch: how many rows it takes at once; None for any number.
        output_name: the output of probabilities.
        is_zipmap: the probabilities are mappings, class id → probability.
        tolerance: how far their sum may be from 1.
        label_name: the output of labels, if there is one.
        label_type: its type, named as an input's.
        ignored: the other outputs.
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
    """The inputs of a model side by side; for each of their columns one `Feature` and one fill, which replaces null.

    A fill is NaN or a text; None if no value may be missing. `reasons` say why none may be, where no setting helps.
    """

    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    fills: tuple[float | str | None, ...]
    reasons: Mapping[int, str] = field(default_factory=dict)

    # Once each: a wide request asks for each of its values.
    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of each column: "string", "bool", "float32", "int64" or another of NumPy's numbers."""
        return tuple(input.type for input in self.inputs for _ in range(input.width))

    @cached_property
    def booleans(self) -> tuple[bool, ...]:
        """For each column, whether it has numbers and accepts true and false for 1 and 0."""
        columns = zip(self.types, self.features, strict=True)
        return tuple(bool(feature.boolean) and type not in (TEXT, BOOL) for type, feature in columns)

    @cached_property
    def takes_missing(self) -> bool:
        """At least one column may have missing values."""
        return any(fill is not None for fill in self.fills)

    @property
    def row_type(self) -> str:
        """The type of a row, for messages."""
        kinds = {"string": "strings", "bool": "booleans"}
        found = sorted(
            {kinds.get(type, "numbers") for type in self.types}, key=("numbers", "strings", "booleans").index
        )
        return "a list of " + " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))

    @property
    def wanted(self) -> str:
        """The features of a row, for messages: "4: sepal length (cm), …"."""
        return f"{len(self.features)}: {cut(', '.join(feature.name for feature in self.features), 400)}"

    def locate(self, row: int, column: int) -> str:
        """Name the place of a value, with its feature's name: 'row 3, "petal length (cm)"'."""
        if column < len(self.features):
            return f'row {row}, "{cut(self.features[column].name, 100)}"'
        return f"row {row}, column {column}"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier, as its artifact and its session describe it.

    Attributes:
        name: the artifact's file name without its ending.
        version: the version in the artifact, "0" without one.
        sha256: of the artifact's bytes, hexadecimal.
        producer: the program that wrote the artifact.
        signature: the session's inputs and outputs.
        columns: the columns of a row.
        class_ids: the model's own names of its classes, in the order of the probabilities; None if the file
            doesn't have them.
        label_rule: MODEL if a row's class comes from the output of labels, HIGHEST if from the highest probability.
        is_argmax: the graph shows that both rules give the same class.
        labels: names for people, in the order of the probabilities.
        labels_from: where the labels come from.
        sample: a row that the model is known to answer.
        sample_probabilities: its answer to that row, float32, shape (n_classes,).
        training: facts about its training, if the artifact carries them.
        certificate: how far its answers differ from its framework's, if the artifact carries it.
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
        """The first digits of the SHA-256, as in X-Model-SHA256 and the metrics."""
        return self.sha256[:12]


def cut(text: str, length: int) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
