"""Replaces converters of skl2onnx 1.20 that lose missing texts and categories or float64, or that fail.

Custom converters by class: https://onnx.ai/sklearn-onnx/auto_tutorial/plot_jcustom_syntax.html.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common._apply_operation import apply_cast, apply_reshape
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from skl2onnx.operator_converters import calibrated_classifier_cv
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from function.classifier.missing import MISSING_TEXT

ML = "ai.onnx.ml"
UNKNOWN = "\ufffe"  # Unicode has no character of this number


class Graph(NamedTuple):
    """Adds the nodes of an operator."""

    scope: Any
    container: Any

    def add(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = output or self.scope.get_unique_variable_name(operator)
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, list(inputs), [output], name=name, op_domain=domain, **attributes)
        return output

    def constant(self, type: int, values: list[Any], shape: list[int]) -> str:
        """Add a tensor and return its name."""
        name: str = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, type, shape, values)
        return name

    def columns(self, inputs: list[Any]) -> Iterator[str]:
        """Yield the columns of some inputs one by one."""
        for input in inputs:
            width = input.type.shape[1]
            for place in range(width):
                index = self.constant(TensorProto.INT64, [place], [1])
                yield input.full_name if width == 1 else self.add("Gather", input.full_name, index, axis=1)


def shape_imputer(operator: Any) -> None:
    """Set the number of columns of an imputer that adds indicators of missing values."""
    rows = operator.inputs[0].type.shape[0]
    operator.outputs[0].type.shape = [rows, len(operator.raw_operator.get_feature_names_out())]


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Fill gaps: ONNX's Imputer takes neither texts nor float64, and skl2onnx forgets the columns of `add_indicator`."""
    imputer, graph = operator.raw_operator, Graph(scope, container)
    names, type = [input.full_name for input in operator.inputs], tensor_type(operator.inputs[0])
    values = graph.add("Concat", *names, axis=1) if len(names) > 1 else names[0]
    if type == TensorProto.STRING or imputer.missing_values == imputer.missing_values:
        gap = imputer.missing_values if isinstance(imputer.missing_values, str | int) else MISSING_TEXT
        is_gap = graph.add("Equal", values, graph.constant(type, [gap], [1]))
    else:
        is_gap = graph.add("IsNaN", values)
    fill = graph.constant(type, imputer.statistics_.tolist(), [1, len(imputer.statistics_)])
    outputs = [graph.add("Where", is_gap, fill, values)]
    if imputer.add_indicator:
        features = imputer.indicator_.features_.tolist()
        places = graph.constant(TensorProto.INT64, features, [len(features)])
        outputs.append(graph.add("Cast", graph.add("Gather", is_gap, places, axis=1), to=type))
    graph.add("Concat", *outputs, axis=1, output=operator.outputs[0].full_name)


def tensor_type(variable: Any) -> int:
    """Return ONNX's number for the type of a variable."""
    types = {StringTensorType: TensorProto.STRING, DoubleTensorType: TensorProto.DOUBLE}
    return next((number for cls, number in types.items() if isinstance(variable.type, cls)), TensorProto.FLOAT)


def find_codes(encoder: Any) -> list[NDArray[np.float32]]:
    """Let an OrdinalEncoder encode each of its own categories."""
    n_rows = max(map(len, encoder.categories_))
    columns = [np.resize(np.asarray(categories, dtype=object), n_rows) for categories in encoder.categories_]
    codes = np.asarray(encoder.transform(np.column_stack(columns)), dtype=np.float32)
    return [codes[: len(categories), place] for place, categories in enumerate(encoder.categories_)]


def convert_ordinal_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Use the encoder's own codes: skl2onnx gives a missing value an index, and -1 to a text that the encoder refuses."""
    encoder, graph = operator.raw_operator, Graph(scope, container)
    is_strict = encoder.handle_unknown == "error"
    default = float("nan" if is_strict else encoder.unknown_value)
    types = [tensor_type(input) for input in operator.inputs for _ in range(input.type.shape[1])]
    found = []
    for column, type, categories, codes in zip(
        graph.columns(operator.inputs), types, encoder.categories_, encoder.codes_, strict=True
    ):
        is_text = type == TensorProto.STRING
        keys = {"keys_strings": categories.tolist()} if is_text else {"keys_floats": categories.astype(np.float32)}
        known = graph.add("Cast", column, to=TensorProto.FLOAT) if type == TensorProto.DOUBLE else column
        code = graph.add(
            "LabelEncoder", known, domain=ML, op_version=2, values_floats=codes, default_float=default, **keys
        )
        found.append(_refuse_unknown(graph, column, code, categories) if is_strict and is_text else code)
    graph.add("Concat", *found, axis=1, output=operator.outputs[0].full_name)


def find_places(encoder: Any) -> list[NDArray[np.int64]]:
    """Let a OneHotEncoder encode each of its own categories and, if it doesn't refuse it, an unknown one at the end.

    Returns for each column their places among its outputs; beyond the last one where all outputs are 0.
    """
    encoder.set_output(transform="default").set_params(sparse_output=True)
    is_strict, known = encoder.handle_unknown == "error", [values.tolist() for values in encoder.categories_]
    given = known if is_strict else [[*values, _find_unknown(values)] for values in known]
    n_rows = max(map(len, given))
    rows = np.column_stack([np.resize(np.array(values, dtype=object), n_rows) for values in given])
    encoded, places, start = encoder.transform(rows).tocsc(), [], 0
    for values, width in zip(given, encoder._n_features_outs, strict=True):  # noqa: SLF001 - not public
        part = encoded[: len(values), start : start + width].tocoo()
        places.append(np.full(len(values), width))
        places[-1][part.row] = part.col
        start += width
    return places


def _find_unknown(values: list[Any]) -> Any:
    """Return a value that is none of a column's categories."""
    return (
        UNKNOWN if any(isinstance(value, str) for value in values) else 2 * abs(max(values)) + 1
    )  # + 1 alone is lost in 1e17


def shape_one_hot_encoder(operator: Any) -> None:
    """Set the number of columns, which skl2onnx gets wrong if some categories are grouped."""
    rows = operator.inputs[0].type.shape[0]
    width = sum(operator.raw_operator._n_features_outs)  # noqa: SLF001 - not public
    operator.outputs[0].type = FloatTensorType([rows, width])


def convert_one_hot_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Use the encoder's own places: skl2onnx refuses what it would group, and cuts the decimals of a number off."""
    encoder, graph = operator.raw_operator, Graph(scope, container)
    types = [input for input in operator.inputs for _ in range(input.type.shape[1])]
    widths, found = encoder._n_features_outs, []  # noqa: SLF001 - not public
    for column, input, categories, places, width in zip(
        graph.columns(operator.inputs), types, encoder.categories_, encoder.places_, widths, strict=True
    ):
        is_text, n_known = isinstance(input.type, StringTensorType), len(categories)
        if is_text and n_known == width and (places == np.arange(len(places))).all():
            texts, zeros = categories.tolist(), int(len(places) > n_known)
            found.append(graph.add("OneHotEncoder", column, domain=ML, cats_strings=texts, zeros=zeros))
            continue
        if width == 0:  # its only category is dropped
            continue
        index = (_find_text if is_text else _find_number)(graph, column, categories, tensor_type(input))
        # Without a place for an unknown value, Gather fails on it.
        place = graph.add("Gather", graph.constant(TensorProto.INT64, places.tolist(), [len(places)]), index)
        found.append(graph.add("OneHotEncoder", place, domain=ML, cats_int64s=list(range(width)), zeros=1))
    joined = graph.add("Concat", *found, axis=2)
    apply_reshape(scope, joined, operator.outputs[0].full_name, container, desired_shape=(-1, sum(widths)))


def _find_text(graph: Graph, column: str, categories: NDArray[Any], _: int) -> str:
    """Find each text's index among the categories, their number if it is none of them."""
    n = len(categories)
    return graph.add(
        "LabelEncoder", column, domain=ML, op_version=2,
        keys_strings=categories.tolist(), values_int64s=list(range(n)), default_int64=n,
    )  # fmt: skip


def _find_number(graph: Graph, column: str, categories: NDArray[Any], type: int) -> str:
    """Find the same of each number, compared in its own type."""
    n = len(categories)
    known = graph.constant(type, categories.astype(float).tolist(), [1, n])
    are_equal = graph.add("Cast", graph.add("Equal", graph.add("Cast", column, to=type), known), to=TensorProto.FLOAT)
    steps = graph.constant(TensorProto.FLOAT, [float(index - n) for index in range(n)], [n, 1])
    rest = graph.constant(TensorProto.FLOAT, [float(n)], [1])
    return graph.add("Cast", graph.add("Add", graph.add("MatMul", are_equal, steps), rest), to=TensorProto.INT64)


def _refuse_unknown(graph: Graph, column: str, code: str, categories: NDArray[Any]) -> str:
    """Let the model fail on an unknown text, as ONNX's OneHotEncoder does; its LabelEncoder doesn't."""
    known = graph.add("OneHotEncoder", column, domain=ML, cats_strings=categories.tolist(), zeros=0)
    last = graph.constant(TensorProto.INT64, [-1], [1])
    return graph.add("Mul", code, graph.add("ReduceSum", known, last, keepdims=0))


def interpolate(scope: Any, container: Any, calibrated: Any, scores: str, place: int, _: Any, type: int) -> str:
    """Calibrate by an isotonic regression, also between its points, where skl2onnx takes the nearest point's value."""
    graph, isotonic = Graph(scope, container), calibrated.calibrators[place]
    X, y = (np.asarray(points, np.float64) for points in (isotonic.X_thresholds_, isotonic.y_thresholds_))
    type, n_steps = TensorProto.DOUBLE if type == TensorProto.DOUBLE else TensorProto.FLOAT, len(X) - 1
    column = graph.add("Reshape", scores, graph.constant(TensorProto.INT64, [-1, 1], [2]))
    above = graph.add("Sub", column, graph.constant(type, X[:-1].tolist(), [1, n_steps]))
    shares = graph.add("Div", above, graph.constant(type, np.diff(X).tolist(), [1, n_steps]))
    shares = graph.add("Clip", shares, *(graph.constant(type, [bound], []) for bound in (0.0, 1.0)))
    rise = graph.add("MatMul", shares, graph.constant(type, np.diff(y).tolist(), [n_steps, 1]))
    return graph.add("Add", rise, graph.constant(type, [y[0]], [1]))


def convert_polynomial(scope: Any, operator: Any, container: Any) -> None:
    """Let the column of ones have the type of the others, which skl2onnx gives float32."""
    get_converter(operator.type)(scope, operator, Ones(container, tensor_type(operator.inputs[0])))


class Ones:
    """A container that sets the type of constants."""

    def __init__(self, container: Any, type: int) -> None:
        self._container, self._type = container, type

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, operator: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        if operator == "ConstantOfShape":
            attributes["value"] = helper.make_tensor("ones", self._type, [1], [1.0])
        self._container.add_node(operator, inputs, outputs, **attributes)


def convert_as_float32(scope: Any, operator: Any, container: Any) -> None:
    """Convert trees after steps that give float64; trees take float32 in ONNX, as in scikit-learn and XGBoost."""
    (source,), outputs = operator.inputs, operator.outputs
    if not isinstance(source.type, DoubleTensorType):
        get_converter(operator.type)(scope, operator, container)
        return
    trees = scope.declare_local_operator(operator.type, operator.raw_operator)  # converted later, like this one
    trees.inputs.append(scope.declare_local_variable("rows", FloatTensorType(source.type.shape)))
    trees.outputs.append(scope.declare_local_variable("label", outputs[0].type))
    trees.outputs.append(scope.declare_local_variable("answers", FloatTensorType(outputs[1].type.shape)))
    apply_cast(scope, source.full_name, trees.inputs[0].full_name, container, to=TensorProto.FLOAT)
    graph, (label, answers) = Graph(scope, container), (output.full_name for output in trees.outputs)
    graph.add("Identity", label, output=outputs[0].full_name)
    graph.add("Cast", answers, output=outputs[1].full_name, to=tensor_type(outputs[1]))


def convert_with_double(scope: Any, operator: Any, container: Any) -> None:
    """Convert trees that compare float64, of HistGradientBoostingClassifier and LightGBM."""
    trees, stages = Trees(container, {}), getattr(operator.raw_operator, "_predictors", None)
    if isinstance(operator.inputs[0].type, DoubleTensorType):
        # skl2onnx has converted them to float32 before
        thresholds = [node["num_threshold"] for stage in stages or () for tree in stage for node in tree.nodes]
        trees = DoubleTrees(container, {"nodes_values": thresholds} if stages else {}, scope)
    get_converter(operator.type)(scope, operator, trees)


class Trees:
    """A container that changes the attributes of tree nodes.

    Integers become Python's int: skl2onnx passes booleans on, which onnx 1.23 doesn't accept as numbers.
    """

    def __init__(self, container: Any, attributes: Mapping[str, Any]) -> None:
        self._container, self._attributes = container, attributes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, operator: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        if operator == "TreeEnsembleClassifier":
            self.add_trees(inputs, outputs, **attributes | dict(self._attributes))
        else:
            self._container.add_node(operator, inputs, outputs, **attributes)

    def add_trees(self, inputs: Any, outputs: Any, **attributes: Any) -> None:
        for name, values in attributes.items():
            if isinstance(values, list) and isinstance(values[0], bool | np.bool_ | np.integer | int):
                attributes[name] = list(map(int, values))
        self._container.add_node("TreeEnsembleClassifier", inputs, outputs, **attributes)


class DoubleTrees(Trees):
    """A container in which trees compare float64, with the attributes `…_as_tensor`.

    https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html
    """

    def __init__(self, container: Any, attributes: Mapping[str, Any], scope: Any) -> None:
        super().__init__(container, attributes)
        self._graph = Graph(scope, container)

    def add_trees(self, inputs: Any, outputs: Any, **attributes: Any) -> None:
        for name in ("nodes_values", "class_weights", "base_values", "nodes_hitrates"):
            if name in attributes:
                values = np.array(attributes.pop(name), dtype=np.float64)
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(values, name)
        label, probabilities = outputs
        answers = self._graph.scope.get_unique_variable_name("answers")
        super().add_trees(inputs, [label, answers], **attributes | {"op_version": 3})
        self._graph.add("Cast", answers, output=probabilities, to=TensorProto.DOUBLE)


SHAPES = {SimpleImputer: shape_imputer, OneHotEncoder: shape_one_hot_encoder}
CONVERTERS = {
    SimpleImputer: convert_imputer,
    OneHotEncoder: convert_one_hot_encoder,
    OrdinalEncoder: convert_ordinal_encoder,
    HistGradientBoostingClassifier: convert_with_double,
    PolynomialFeatures: convert_polynomial,
    **dict.fromkeys(
        (
            AdaBoostClassifier,
            DecisionTreeClassifier,
            ExtraTreeClassifier,
            ExtraTreesClassifier,
            GradientBoostingClassifier,
            RandomForestClassifier,
        ),
        convert_as_float32,
    ),
}
calibrated_classifier_cv._transform_isotonic = interpolate  # noqa: SLF001 - its converter has no other way
