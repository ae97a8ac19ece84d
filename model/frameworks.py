"""The frameworks: which one trained a model, its own answers to rows, and its converter to ONNX.

A framework and its converter are imported only for one of its models.
"""

import contextlib
import importlib
import re
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from function.classifier.model import cut
from function.errors import ArtifactError
from model import artifact
from model.table import Table, Value, is_text

Matrix = NDArray[np.float32]


class Answers(NamedTuple):
    """A framework's answers to rows.

    Attributes:
        probabilities: shape (n_rows, n_classes).
        classes: the column of each row's label.
        labels: by column; None if the framework has none.
    """

    probabilities: NDArray[np.float64]
    classes: NDArray[np.intp]
    labels: tuple[str, ...] | None


def join(parts: Sequence[Answers]) -> Answers:
    """Join the answers to several parts of the rows."""
    probabilities = np.concatenate([part.probabilities for part in parts])
    return Answers(probabilities, np.concatenate([part.classes for part in parts]), parts[0].labels)


class Framework(NamedTuple):
    """How to run and convert the models of a framework.

    Attributes:
        module: the module of their classes.
        name: the framework's name.
        converter: the package that converts them.
        works: which models it converts, for messages.
        predict: returns a model's own answers.
        convert: returns the model as ONNX, and its columns in the order of its inputs.
        tries_double: it converts models with float64 numbers too.
    """

    module: str
    name: str
    converter: str
    works: str
    predict: Callable[[Any, Any], Answers]
    convert: Callable[..., tuple[onnx.ModelProto, list[str]]]
    tries_double: bool = False

    @property
    def release(self) -> str:
        """Its name and version: "scikit-learn 1.9.1"."""
        return f"{self.name} {importlib.import_module(self.module).__version__}"


def find_framework(model: Any) -> Framework:
    """Find the framework by the modules of the object's class and of its base classes.

    Raises:
        ArtifactError: it isn't supported.
    """
    roots = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    for framework in FRAMEWORKS:
        if framework.module in roots:
            return framework
    expected = ", ".join(framework.name for framework in FRAMEWORKS)
    raise ArtifactError(f"expected a trained model of {expected}, got {type(model).__name__}")


def find_names(model: Any) -> list[str]:
    """Return the names of the columns that a model was trained on; none if it was trained on an array."""
    names = [str(name) for name in getattr(model, "feature_names_in_", getattr(model, "feature_names_", ()))]
    of_arrays = [[f"{start}{place}" for place in range(len(names))] for start in ("Column_", "")]  # LightGBM, CatBoost
    return [] if names in of_arrays else names


def predict(framework: Framework, model: Any, X: Any, table: Table) -> Answers:
    """Run the model in its framework; `table` has the same rows as `X`.

    Raises:
        ArtifactError: the model isn't a trained classifier with probabilities, or fails on the rows.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names, but")  # of files, and the model was given an array
            return _predict_each(framework, model, X)
    except ArtifactError:
        raise
    except Exception as error:  # noqa: BLE001 - it may be any
        _check_numbers(framework, model, table, str(error))
        what = f"{type(model).__name__} to be trained, and X what it was trained on"
        fix = f"; {framework.works}" if framework.works == NUMBERS and "categor" in str(error) else ""
        raise ArtifactError(f"expected {what}; {framework.name} says: {_one_line(error)}{fix}") from None


def _check_numbers(framework: Framework, model: Any, table: Table, cause: str) -> None:
    """Name the columns of texts, if these may be why a model fails; of scikit-learn's only the one that it means."""
    if framework.module == "sklearn":
        _, _, text = cause.partition("could not convert string to float: ")
        table = {name: values for name, values in table.items() if text and _has(values, text)}
    read_numbers(table, f"the export of {type(model).__name__}")


def _has(values: Sequence[Value], shown: str) -> bool:
    return any(isinstance(value, str) and repr(value) in shown for value in values)


def _predict_each(framework: Framework, model: Any, X: Any) -> Answers:
    """Give a single column of texts as a sequence if the model takes that, as a vectorizer does, else as it is."""
    refusal = None
    if np.ndim(X) == 2 and np.shape(X)[1] == 1 and is_text(texts := np.asarray(X)[:, 0].tolist()):
        try:
            return framework.predict(model, texts)
        except Exception as error:  # noqa: BLE001 - of a model that takes columns it may be any
            refusal = error
    answers = framework.predict(model, X)
    if (n_answers := len(answers.classes)) == (n_rows := len(X)):
        return answers
    if refusal is not None:
        raise refusal
    expected = f"an answer to each of {n_rows:,} rows"
    raise ArtifactError(f"expected {expected}, got {n_answers}; a model of one sequence of texts takes no other column")


def convert(framework: Framework, model: Any, table: Table, **options: bool) -> tuple[onnx.ModelProto, list[str]]:
    """Convert a model; also return its columns in the order of its inputs.

    Raises:
        ArtifactError: the converter is missing, or can't convert the model.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters' warnings
            return framework.convert(model, table, **options)
    except ArtifactError:
        raise
    except ImportError as error:
        fix = "`make model` installs it" if error.name in TRAIN else f"`pip install {error.name}` brings it"
        raise ArtifactError(f"expected the package {error.name} to export {framework.name}; {fix}") from None
    except Exception as error:  # noqa: BLE001 - it may be any
        cause = _one_line(error)
        found = re.search(r"'<class '[\w.]*?(\w+)'>'", cause)
        name = found[1] if found else type(_find_part(error) or model).__name__
        converter = f"{framework.converter} {version(framework.converter)}"
        if name == "OneHotEncoder" and re.search(r"cats_strings.*\b(True|False)\b", cause):
            cause = "booleans and texts in one encoder after a SimpleImputer; give the booleans an encoder of their own"
        message = f"expected a model that {converter} converts, {name} isn't one ({cause})"
        raise ArtifactError(f"{message}; {framework.works}") from None


def _find_part(error: Exception) -> Any:
    """Return the part of a model that skl2onnx was converting when it failed; None if there is none."""
    operators = [frame.f_locals.get("operator") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((part for found in operators[::-1] if (part := getattr(found, "raw_operator", None)) is not None), None)


def compares_double(model: Any) -> bool:
    """Return whether a model of scikit-learn or LightGBM has trees that compare float64."""
    from model import estimators  # noqa: PLC0415 - imports scikit-learn and skl2onnx

    return estimators.compares_double(model)


def find_cause(framework: Framework, model: Any, X: Any) -> str | None:
    """Return why a model of scikit-learn would get other answers in ONNX Runtime, if it shows that."""
    if framework.module != "sklearn":
        return None
    from model import estimators  # noqa: PLC0415 - imports scikit-learn and skl2onnx

    return estimators.find_cause(model, X)


def _one_line(error: Exception) -> str:
    """Shorten another project's error to its first sentence, in one line."""
    return cut(" ".join(str(error).split()).partition(". ")[0].rstrip(".") or type(error).__name__, 300)


def _predict_estimator(model: Any, X: Any) -> Answers:
    if not hasattr(model, "predict_proba") or (not hasattr(model, "classes_") and _find_kind(model) != "classifier"):
        expected = "a classifier that gives probabilities (predict_proba)"
        raise ArtifactError(f"expected {expected}, got {type(model).__name__}; {_explain(model)}")
    found, probabilities = np.asarray(model.predict(X)), model.predict_proba(X)
    if isinstance(probabilities, list) or found.shape[1:] not in ((), (1,)):
        got = f"{type(model).__name__}, which was trained on y of shape (n_rows, {found.shape[-1]})"
        raise ArtifactError(
            f"expected a model that was trained on one column of y, got {got}; multi-label isn't served"
        )
    labels = [str(label) for label in model.classes_]
    classes = [labels.index(str(label)) for label in found.ravel()]
    return Answers(np.asarray(probabilities, np.float64), np.array(classes), tuple(labels))


def _find_kind(model: Any) -> str | None:
    from sklearn.utils import get_tags  # noqa: PLC0415

    with contextlib.suppress(AttributeError):  # of a class that isn't of scikit-learn's kind
        return str(get_tags(model).estimator_type)
    return getattr(model, "_estimator_type", None)


def _explain(model: Any) -> str:
    """Say why a model without probabilities isn't served, or what makes it one with them."""
    if type(model).__name__ in NATIVE:
        return f"use {NATIVE_CLASSES[find_framework(model).module]}, which knows its classes"
    kind = _find_kind(model)
    if kind == "classifier":
        return "CalibratedClassifierCV makes one of a classifier that gives none"
    return f"{kind}s aren't served" if kind in ("regressor", "clusterer") else "only classifiers are served"


def _convert_estimator(model: Any, table: Table, **options: bool) -> tuple[onnx.ModelProto, list[str]]:
    from model import estimators  # noqa: PLC0415 - imports scikit-learn and skl2onnx

    return estimators.convert(model, table, **options)


def _convert_booster(model: Any, table: Table, **options: bool) -> tuple[onnx.ModelProto, list[str]]:
    read_numbers(table, f"the export of {type(model).__name__}")
    return _convert_estimator(model, table, **options)


def _convert_catboost(model: Any, table: Table) -> tuple[onnx.ModelProto, list[str]]:
    read_numbers(table, f"the export of {type(model).__name__}")
    proto = _through_file(lambda path: model.save_model(path, format="onnx"))
    artifact.drop_zipmap(proto)
    return proto, list(table)


def _predict_torch(module: Any, X: Any) -> Answers:
    import torch  # noqa: PLC0415

    with torch.no_grad():
        output = module(torch.tensor(np.asarray(X, np.float32), device=_find_device(module)))
    return _read_network(output.cpu().numpy())


def _find_device(module: Any) -> Any:
    return next((tensor.device for tensor in module.parameters()), "cpu")


def _convert_torch(module: Any, table: Table) -> tuple[onnx.ModelProto, list[str]]:
    import torch  # noqa: PLC0415

    rows = torch.tensor(read_numbers(table, "a module of PyTorch")[:2], device=_find_device(module))
    program: Any = torch.onnx.export(
        module, (rows,), input_names=["features"], output_names=["probabilities"], verbose=False, dynamo=True,
        dynamic_shapes=({0: "n_rows"},),
    )  # fmt: skip
    proto: onnx.ModelProto = program.model_proto
    return proto, list(table)


def _predict_keras(model: Any, X: Any) -> Answers:
    return _read_network(np.asarray(model.predict(np.asarray(X, np.float32), verbose=0)))


def _convert_keras(model: Any, table: Table) -> tuple[onnx.ModelProto, list[str]]:
    read_numbers(table, "a model of Keras")
    return _through_file(lambda path: model.export(path, format="onnx", verbose=False)), list(table)


def _read_network(output: Matrix) -> Answers:
    probabilities = output.reshape(len(output), -1).astype(np.float64)
    if probabilities.shape[1] == 1:  # a sigmoid: the probability of the second of two classes
        probabilities = np.hstack([1 - probabilities, probabilities])
    if (probabilities < 0).any() or (abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        expected = "probabilities of at least 0 that sum to 1"
        raise ArtifactError(f"expected a network that gives {expected}; end it with a softmax, or with one sigmoid")
    return Answers(probabilities, probabilities.argmax(axis=1), None)


def _through_file(write: Callable[[str], Any]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        write(str(path))
        return artifact.read(path)


def read_numbers(table: Table, what: str) -> Matrix:
    """Return a table as float32, shape (n_rows, n_columns), missing values as NaN.

    Raises:
        ArtifactError: a column contains texts.
    """
    if texts := [name for name, values in table.items() if is_text(values)]:
        fix = "encode them before it, or in a Pipeline of scikit-learn"
        raise ArtifactError(f"expected numbers for {what}, got texts in {', '.join(texts)}; {fix}")
    return np.array(list(table.values()), dtype=np.float32).T


NATIVE = ("Booster", "CatBoost")  # classes of any kind of model
NATIVE_CLASSES = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier", "catboost": "CatBoostClassifier"}
TRAIN = ("onnx", "skl2onnx", "onnxmltools")  # model/requirements.txt has them
NETWORK = "networks with one matrix of numbers as input and the framework's own layers are converted"
SUPPORTED = "https://onnx.ai/sklearn-onnx/supported.html lists the models that are"
NUMBERS = "models that were trained only on numbers, without own categories, are converted"
# A Keras model may also be a PyTorch module, and classifiers of XGBoost and LightGBM inherit from scikit-learn: the
# first match counts.
FRAMEWORKS = (
    Framework("keras", "Keras", "keras", NETWORK, _predict_keras, _convert_keras),
    Framework("torch", "PyTorch", "torch", NETWORK, _predict_torch, _convert_torch),
    Framework(
        "catboost",
        "CatBoost",
        "catboost",
        f"{NUMBERS}, with numbers or texts as labels",
        _predict_estimator,
        _convert_catboost,
    ),
    Framework("xgboost", "XGBoost", "onnxmltools", NUMBERS, _predict_estimator, _convert_booster),
    Framework("lightgbm", "LightGBM", "onnxmltools", NUMBERS, _predict_estimator, _convert_booster, tries_double=True),
    Framework(
        "sklearn", "scikit-learn", "skl2onnx", SUPPORTED, _predict_estimator, _convert_estimator, tries_double=True
    ),
)
