"""Traces an output through the graph: its class ids, and whether it comes from the scores or from an input."""

from collections.abc import Iterator

from function.classifier.onnx_file import Graph, Node

# They pass their input on, in another form.
FORMS = ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
# They pass the class ids on unchanged.
PASSES_CLASSES_ON = (*FORMS, "Normalizer")
PICKS_CLASSES = ("ArrayFeatureExtractor", "Gather")
PASSES_TEXTS_ON = ("Identity", "Gather", "Reshape", "ArrayFeatureExtractor")
# They compute scores from features; later nodes compute probabilities and labels from scores.
MAKES_SCORES = (
    "LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor", "TreeEnsembleClassifier",
    "TreeEnsembleRegressor", "TreeEnsemble", "Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearMatMul", "Conv",
)  # fmt: skip
PREPARES_FEATURES = ("Scaler", "Imputer", "OneHotEncoder", "LabelEncoder", "TfIdfVectorizer", "StringNormalizer")


def find_class_ids(graph: Graph, output: str, n_classes: int) -> tuple[str, ...] | None:
    """Find the class ids, in the order of the probabilities' columns.

    The node that makes the label has them: ONNX's classifiers in attributes `classlabels_…`
    (https://onnx.ai/onnx/operators/index.html, ai.onnx.ml); others, from skl2onnx, pick labels from a tensor.

    Args:
        graph: the artifact's.
        output: the name of the label's output, or if there is none, of the probabilities'.
        n_classes: columns of the probabilities.

    Returns:
        None if the output isn't made this way, or has another number of classes.
    """
    ids = _trace_class_ids(graph, output)
    return ids if len(set(ids)) == len(ids) == n_classes else None


def _trace_class_ids(graph: Graph, output: str) -> tuple[str, ...]:
    for node in _walk_back(graph, output, PASSES_CLASSES_ON):
        if ids := _class_labels(node):
            return ids
        if node.operator in PICKS_CLASSES:
            return (graph.constants(node.inputs[0]) or ()) if _picks_highest(graph, node) else ()
        if node.operator == "LabelEncoder":
            return _translate(node, _trace_class_ids(graph, node.inputs[0]))
    return ()


def _picks_highest(graph: Graph, node: Node) -> bool:
    """Return whether a node picks by the columns of the scores; with a threshold the order may be reversed."""
    source = _find_source(graph, node.inputs[1])
    return source is not None and source.operator in ("ArgMax", "TopK")


def _class_labels(node: Node) -> tuple[str, ...]:
    for name, attribute in node.attributes():
        if name.startswith("classlabels"):
            return attribute.texts("strings") or tuple(map(str, attribute.integers("ints")))
    return ()


def _translate(node: Node, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return a LabelEncoder's output for integers or texts."""
    keys, values = (
        next((found for found in (_listed(node, f"{side}_strings"), _listed(node, f"{side}_int64s")) if found), ())
        for side in ("keys", "values")
    )
    encoded = dict(zip(keys, values, strict=False))
    return tuple(encoded[name] for name in ids) if set(ids) <= encoded.keys() else ()


def _listed(node: Node, name: str) -> tuple[str, ...]:
    if (attribute := node.attribute(name)) is None:
        return ()
    return attribute.texts("strings") or tuple(map(str, attribute.integers("ints")))


def is_argmax(graph: Graph, label: str, probabilities: str) -> bool:
    """Return whether the label is always the first class with the highest probability."""
    node = _find_source(graph, label)
    if node is not None and node.operator in PICKS_CLASSES and graph.constants(node.inputs[0]) is not None:
        node = _find_source(graph, node.inputs[1])
    if node is None or node.operator != "ArgMax":
        return False
    last = node.attribute("select_last_index")
    is_first = last is None or not any(last.integers("i"))
    return is_first and _unwrap(graph, node.inputs[0]) == _unwrap(graph, probabilities)


def _find_source(graph: Graph, name: str) -> Node | None:
    """Find the node that computes a tensor, before any change of its form."""
    return next((node for node in _walk_back(graph, name, FORMS) if node.operator not in FORMS), None)


def _unwrap(graph: Graph, name: str) -> str:
    """Return the tensor's first name, before any Identity."""
    while (node := graph.producers.get(name)) is not None and node.operator == "Identity":
        name = node.inputs[0]
    return name


def find_score_nodes(graph: Graph, probabilities: str) -> frozenset[int]:
    """Find the nodes that compute the scores and the probabilities; a label comes from one of these nodes."""
    found, names = set[int](), [probabilities]
    while names:
        node = graph.producers.get(names.pop())
        if node is not None and id(node) not in found and node.operator not in PREPARES_FEATURES:
            found.add(id(node))
            names += () if node.operator in MAKES_SCORES else node.inputs
    return frozenset(found)


def comes_from(graph: Graph, output: str, nodes: frozenset[int]) -> bool:
    """Return whether an output depends on one of the nodes."""
    seen, names = set[str](), [output]
    while names:
        if (name := names.pop()) in seen:
            continue
        seen.add(name)
        if (node := graph.producers.get(name)) is not None:
            if id(node) in nodes:
                return True
            names += node.inputs
    return False


def is_input(graph: Graph, output: str) -> bool:
    """Return whether an output only passes on an input, or a column of it."""
    while (node := graph.producers.get(output)) is not None:
        if node.operator not in (*FORMS, *PICKS_CLASSES):
            return False
        output = node.inputs[0]
    return graph.constants(output) is None


def is_quantized(graph: Graph, output: str) -> bool:
    """Return whether an output is dequantized from 8 bits."""
    source = _find_source(graph, output)
    return source is not None and source.operator == "DequantizeLinear"


def _walk_back(graph: Graph, output: str, operators: tuple[str, ...]) -> Iterator[Node]:
    """Walk back from an output through nodes of some kinds; the first other node is the last one yielded."""
    while (node := graph.producers.get(output)) is not None:
        yield node
        if node.operator not in operators:
            return
        output = node.inputs[0]


def find_categories(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Find the texts that a model knows, by the input's name: the categories of encoders that read the input directly.

    https://onnx.ai/onnx/operators/onnx_aionnxml_OneHotEncoder.html and
    https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html describe the attributes.
    """
    found: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}  # the output of a node that only passes its input on -> that input
    for node in graph.nodes:
        source = next((same.get(name, name) for name in node.inputs), "")
        if node.operator in PASSES_TEXTS_ON and node.outputs:
            same[node.outputs[0]] = source
        for name in ("cats_strings", "keys_strings"):
            if node.operator in ("OneHotEncoder", "LabelEncoder") and (texts := _listed(node, name)):
                found[source] = texts
    return found
