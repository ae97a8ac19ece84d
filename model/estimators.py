"""scikit-learn's estimators and pipelines, with XGBoost's and LightGBM's in them, → ONNX by skl2onnx."""

import contextlib
import copy
import importlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.sparse import issparse
from skl2onnx import convert_sklearn, get_latest_tested_opset_version, update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder

from function.classifier.missing import MISSING_TEXT
from function.errors import ArtifactError
from model import artifact
from model.mends import CONVERTERS, SHAPES, convert_as_float32, convert_with_double, find_codes, find_places
from model.table import Table, is_boolean, is_gap, is_text
from model.words import translate

MATRIX = "features"  # the input for all columns
LOCALE = {"locale": "C.UTF-8"}  # for lower-casing; the only locale in Lambda
# Package -> onnxmltools' name of it, and the converter of its trees.
BOOSTERS = {"xgboost": ("XGBoost", convert_as_float32), "lightgbm": ("LightGbm", convert_with_double)}

SPARSE = (
    "XGBoost gets a sparse matrix, and takes its zeros for missing values; train it with ColumnTransformer's "
    "sparse_threshold=0, or OneHotEncoder's sparse_output=False"
)


class Threshold(NamedTuple):
    """The probability from which on a classifier of two classes chooses the class of `column`."""

    value: float
    column: int


def convert(model: Any, table: Table, *, is_double: bool = False) -> tuple[onnx.ModelProto, list[str]]:
    """Convert a trained classifier.

    Args:
        model: an estimator of scikit-learn, XGBoost or LightGBM, or a pipeline of them.
        table: its features.
        is_double: numbers stay float64, else they become float32.

    Returns:
        The model, and its columns in the order of its inputs.
    """
    estimator, threshold = _unwrap(copy.deepcopy(model))
    parts = list(_find_parts(estimator, {}))
    for part in parts:
        _prepare(part)
    boosters = {type(part): BOOSTERS[find_root(part)][1] for part in parts if find_root(part) in BOOSTERS}
    is_by_column = any(map(is_text, table.values())) or any(isinstance(part, ColumnTransformer) for part in parts)
    numbers = DoubleTensorType if is_double else FloatTensorType
    proto: onnx.ModelProto = convert_sklearn(
        estimator,
        name=type(model).__name__,  # otherwise a random one
        target_opset={"": get_latest_tested_opset_version(), "ai.onnx.ml": 3},  # onnxmltools supports no newer one
        initial_types=_name_inputs(table, numbers) if is_by_column else [(MATRIX, numbers([None, len(table)]))],
        options={id(estimator): {"zipmap": False}}
        | {id(part): _find_words(part) for part in parts if isinstance(part, CountVectorizer)}
        | {id(part): {"raw_scores": True} for part in _find_calibrated(parts)},
        custom_conversion_functions=CONVERTERS | boosters,
        custom_shape_calculators=SHAPES,
    )
    proto.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx takes them from a set, in any order
    if threshold is not None:
        artifact.label_by_threshold(proto, model.classes_.tolist(), *threshold)
    if not is_by_column:
        return proto, list(table)
    columns = {input.name: name for input, name in zip(proto.graph.input, table, strict=True)}
    artifact.drop_unused_inputs(proto)
    booleans = [input for input, name in columns.items() if is_boolean(table[name]) and None not in table[name]]
    artifact.take_booleans(proto, booleans)
    return proto, [columns[input.name] for input in proto.graph.input]


def compares_double(model: Any) -> bool:
    """Return whether a part's trees compare float64; those of others take float32."""
    return any(
        isinstance(part, HistGradientBoostingClassifier) or find_root(part) == "lightgbm"
        for part in _find_parts(model, {})
    )


def find_cause(model: Any, X: Any) -> str | None:
    """Return why a trained model would get other answers in ONNX Runtime; None if it shows no reason."""
    parts = list(_find_parts(model, {}))
    for part in parts:
        if getattr(part, "sublinear_tf", False):
            return f"skl2onnx doesn't convert sublinear_tf=True of {type(part).__name__} rightly"
        if isinstance(part, CountVectorizer) and part.stop_words and max(part.ngram_range) > 1:
            return f"skl2onnx doesn't convert stop_words of {type(part).__name__} rightly if its ngram_range exceeds 1"
    return SPARSE if any(_gives_sparse(part, X) for part in parts if isinstance(part, Pipeline)) else None


def _gives_sparse(pipeline: Pipeline, X: Any) -> bool:
    """Return whether the steps of a pipeline give its model, one of XGBoost, a sparse matrix."""
    if not any(find_root(part) == "xgboost" for part in _find_parts(pipeline[-1], {})):
        return False
    with contextlib.suppress(Exception):  # of one that isn't trained, or takes other rows
        return bool(issparse(pipeline[:-1].transform(X[:5])))
    return False


def _find_words(vectorizer: CountVectorizer) -> dict[str, str]:
    """Return skl2onnx's options to find the vectorizer's words; its own find only ASCII."""
    if vectorizer.analyzer != "word" or vectorizer.tokenizer is not None:
        return LOCALE
    return {**LOCALE, "tokenexp": translate(vectorizer.token_pattern, max(vectorizer.ngram_range))}


def _name_inputs(table: Table, numbers: type) -> list[tuple[str, Any]]:
    names = artifact.name_inputs(list(table))
    types = [StringTensorType if is_text(values) else numbers for values in table.values()]
    return [(name, type([None, 1])) for name, type in zip(names, types, strict=True)]


def _unwrap(estimator: Any) -> tuple[Any, Threshold | None]:
    """Unwrap the classifier that a search or a threshold wraps, and return the threshold."""
    if isinstance(estimator, Pipeline):
        *steps, (name, last) = estimator.steps
        inner, threshold = _unwrap(last)
        estimator.steps = [*steps, (name, inner)]
        return estimator, threshold
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return _unwrap(estimator.estimator_)[0], _find_threshold(estimator)
    if isinstance(estimator, FrozenEstimator):
        return _unwrap(estimator.estimator)
    return _unwrap(estimator.best_estimator_) if hasattr(estimator, "best_estimator_") else (estimator, None)


def _find_threshold(estimator: Any) -> Threshold:
    if estimator.response_method == "decision_function":
        expected = "a threshold of a probability, response_method='predict_proba'"
        raise ArtifactError(f"expected {expected}; {type(estimator).__name__} has one of its decision_function")
    if isinstance(estimator, TunedThresholdClassifierCV):
        label = estimator._curve_scorer._get_pos_label()  # noqa: SLF001 - its predict uses it too
        value = estimator.best_threshold_
    else:
        label, value = estimator.pos_label, 0.5 if estimator.threshold == "auto" else estimator.threshold
    return Threshold(float(value), 1 if label is None else estimator.classes_.tolist().index(label))


def _find_parts(value: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """Yield an estimator and all estimators inside it."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, BaseEstimator):
        yield value
    if find_root(value) in ("sklearn", *BOOSTERS):
        value = getattr(value, "__dict__", ())
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _find_parts(part, seen)


def _find_calibrated(parts: Iterable[Any]) -> Iterator[Any]:
    """Yield the last steps of pipelines whose scores are calibrated; skl2onnx asks only the pipeline for scores."""
    get_converter("SklearnLinearSVC").get_allowed_options().setdefault("zipmap", [False])  # it sets that in a pipeline
    for calibrated in (found for part in parts for found in getattr(part, "calibrated_classifiers_", ())):
        last = calibrated.estimator
        while isinstance(last, Pipeline):
            last = last[-1]
        if last is not calibrated.estimator and hasattr(last, "decision_function") and _gives_scores(last):
            yield last


def _gives_scores(estimator: Any) -> bool:
    name = sklearn_operator_name_map.get(type(estimator))
    return name is not None and "raw_scores" in (get_converter(name).get_allowed_options() or ())


def _prepare(part: Any) -> None:
    """Prepare an estimator, a copy, for skl2onnx."""
    if isinstance(part, ColumnTransformer):  # skl2onnx would look them up among the names of the inputs
        places = part._transformer_to_input_indices  # noqa: SLF001 - not public
        part.transformers_ = [(name, step, list(places.get(name, ()))) for name, step, _ in part.transformers_]
    elif isinstance(part, OneHotEncoder | OrdinalEncoder) and hasattr(part, "categories_"):  # trained
        _prepare_encoder(part)
    elif isinstance(part, HistGradientBoostingClassifier) and getattr(part, "is_categorical_", None) is not None:
        expected = "HistGradientBoostingClassifier without categorical_features"
        raise ArtifactError(f"expected {expected}, which skl2onnx loses; encode them before it with a OneHotEncoder")
    elif isinstance(part, KBinsDiscretizer) and part.encode == "onehot":
        expected = "KBinsDiscretizer's encode to be 'onehot-dense' or 'ordinal'"
        raise ArtifactError(f"expected {expected}, got 'onehot', which skl2onnx doesn't convert")
    elif isinstance(part, VotingClassifier):
        part.flatten_transform = False  # only transform uses it, and skl2onnx supports no other value
    elif isinstance(part, CalibratedClassifierCV):
        for calibrated in getattr(part, "calibrated_classifiers_", ()):
            calibrated.estimator, _ = _unwrap(calibrated.estimator)
    elif (module := find_root(part)) in BOOSTERS:
        _register(type(part), module)
        if module == "xgboost" and part.__sklearn_is_fitted__():
            _prepare_booster(part.get_booster())


def _prepare_booster(booster: Any) -> None:
    """Let onnxmltools read it: it accepts only the names f0, f1, …, and wants a threshold of a boolean too."""
    kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
    if kind != "gbtree":
        raise ArtifactError(f"expected booster='gbtree' of XGBoost, got '{kind}', which onnxmltools doesn't convert")
    booster.feature_names = None
    if types := booster.feature_types:
        booster.feature_types = ["float" if type == "i" else type for type in types]


def find_root(part: Any) -> str:
    """Return the package of an object's class."""
    return type(part).__module__.partition(".")[0]


def _prepare_encoder(encoder: Any) -> None:
    if isinstance(encoder, OrdinalEncoder):
        encoder.codes_ = find_codes(encoder)
    elif any(is_gap(categories[-1]) and not is_text(categories) for categories in encoder.categories_):
        raise ArtifactError("expected OneHotEncoder's numbers without missing values; put a SimpleImputer before it")
    else:
        encoder.places_ = find_places(encoder)
    encoder.categories_ = [_name_missing(categories) for categories in encoder.categories_]


def _name_missing(categories: NDArray[Any]) -> NDArray[Any]:
    """Set the text that replaces a missing text; skl2onnx would write "nan" and "None"."""
    if not is_text(categories.tolist()):
        return categories
    named = [category if isinstance(category, str) else MISSING_TEXT for category in categories.tolist()]
    if len(set(named)) < len(named):
        raise ArtifactError(
            "expected one kind of missing value in a column of texts, got both None and NaN; use only one"
        )
    return np.array(named, dtype=object)


def _register(cls: type, module: str) -> None:
    """Let skl2onnx convert a classifier of XGBoost or LightGBM with onnxmltools."""
    name, _ = BOOSTERS[module]
    converters = importlib.import_module(f"onnxmltools.convert.{module}.operator_converters.{name}")
    update_registered_converter(
        cls,
        f"{name}{cls.__name__}",
        calculate_linear_classifier_output_shapes,
        getattr(converters, f"convert_{module}"),
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
