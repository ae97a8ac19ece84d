"""The facts that an artifact carries about its model, and the labels in a file beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, TypeAdapter, ValidationError

from function.errors import ArtifactError

FACTS_KEY = "classifier"  # the entry in the artifact's metadata_props that holds its Facts as JSON


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One column, as the training data has it.

    Numbers have `min`, `max` and `median`, texts have `values`; `commonest` is the most common text or boolean.
    `boolean` says that a column of numbers had only true and false, which are 1 and 0 there.
    `missing` says that a value may be missing, and `missing_text` which text replaces a missing one.
    `counts` are the rows in each bin; the last count is of rows without a value. Bins of numbers end at the `edges`
    between them and at `max`. Bins of texts are the `values`, bins of booleans are false and true.
    """

    name: str
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    values: tuple[str, ...] | None = None
    median: FiniteFloat | None = None
    commonest: bool | str | None = None
    boolean: bool | None = None
    missing: bool | None = None
    missing_text: str | None = None
    edges: tuple[FiniteFloat, ...] | None = None
    counts: tuple[NonNegativeInt, ...] | None = None


class Sample(_Frozen):
    """One row and, if they are known, the probabilities that the model must give for it."""

    row: tuple[bool | FiniteFloat | str | None, ...]
    probabilities: tuple[FiniteFloat, ...] | None = None


class Certificate(_Frozen):
    """How far ONNX Runtime's answers differ from those of the framework that trained the model, over `rows` rows.

    `largest_difference` is of a probability; `rows_missing` counts rows with a missing value.
    """

    framework: str
    rows: int
    rows_missing: int
    largest_difference: FiniteFloat
    labels_differ: int
    tolerance: FiniteFloat
    date: str


class Facts(_Frozen):
    """What an artifact says about itself, carried as JSON in its ONNX metadata_props."""

    features: tuple[Feature, ...] | None = None
    labels: tuple[str, ...] | None = None
    sample: Sample | None = None
    training: Mapping[str, Any] | None = None
    certificate: Certificate | None = None


def read_facts(metadata: Mapping[str, str]) -> Facts:
    """Read the facts from an artifact's metadata_props; without any, all are None."""
    try:
        return Facts.model_validate(orjson.loads(metadata.get(FACTS_KEY, "{}")))
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"its facts aren't JSON: {error}; write the facts again") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (FACTS_KEY, *first["loc"]))
        raise ArtifactError(f"its facts are wrong at {place}: {first['msg']}; write the facts again") from None


def read_labels(path: Path) -> list[str]:
    """Read a `label.json`, index -> label."""
    expected = 'expected a JSON object that gives each class index its label, {"0": "setosa", …}'
    try:
        labels = TypeAdapter(dict[int, str]).validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}); LABEL_FILEPATH names the labels") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"at {json.dumps(str(first['loc'][0]))}: " if first["loc"] else ""
        raise ArtifactError(f"{path}: {expected}; {where}{first['msg']}") from None
    if sorted(labels) != list(range(len(labels))):
        raise ArtifactError(f"{path}: {expected}; got the indexes {json.dumps(sorted(labels))}")
    return [labels[index] for index in range(len(labels))]
