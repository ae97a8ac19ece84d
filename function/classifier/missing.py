"""Finds the columns that may have missing values: all their paths in the graph lead to a node that handles NaN.

https://onnx.ai/onnx/operators/onnx_aionnxml_Imputer.html and
https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html describe such nodes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from function.classifier.model import FLOATS, TEXT, Columns, Input
from function.classifier.onnx_file import Graph, Node

# They pass each column on; a missing value stays missing.
KEEPS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Scaler", "Add", "Sub", "Mul", "Div", "Clip")
JOINS = ("Concat", "FeatureVectorizer")
PICKS = ("ArrayFeatureExtractor", "Gather")
SUBGRAPHS = ("If", "Loop", "Scan", "SequenceMap")  # what their nodes make of a missing value isn't known
TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")
ENCODES = ("OneHotEncoder", "LabelEncoder")
# What `model.export` replaces a missing text by: Unicode has no character of this number, so no text is like it.
MISSING_TEXT = "\uffff"
MISSING_TEXTS = ("nan", "")  # how encoders of others that were trained with missing values name them
NO_ANSWER = "the model has no finite answer to its sample without a value there"
UNCLEAR = "the file doesn't show which text stands for a missing value there; send that text"
FLOATING = (1, 10, 11)  # TensorProto's data types

Places = tuple[int, ...]


def _suits(fill: float | str | None, type: str) -> bool:
    return type == TEXT if isinstance(fill, str) else type in FLOATS


class Fills(NamedTuple):
    """What the graph shows of missing values.

    Attributes:
        values: what replaces a missing value in each column: NaN, a text, or None if no node handles one.
        shown: the columns that may have missing values: all nodes that read them handle these.
        unclear: the columns of texts for which the graph doesn't show what replaces a missing one.
    """

    values: tuple[float | str | None, ...]
    shown: frozenset[int]
    unclear: frozenset[int]


def find_fills(graph: Graph, inputs: Sequence[Input]) -> Fills:
    """Find out where values may be missing, and what replaces them."""
    flow = _Flow(graph, inputs)
    for node in graph.nodes:
        flow.follow(node)
    types = [input.type for input in inputs for _ in range(input.width)]
    fills = (flow.fills.get(column) for column in range(len(types)))
    values = tuple(fill if _suits(fill, type) else None for type, fill in zip(types, fills, strict=True))
    shown = {column for column, fill in enumerate(values) if fill is not None} - flow.lost - flow.unclear
    return Fills(values, frozenset(shown), frozenset(column for column in flow.unclear if types[column] == TEXT))


class _Flow:
    """Follows the columns through the nodes."""

    def __init__(self, graph: Graph, inputs: Sequence[Input]) -> None:
        self.fills: dict[int, float | str] = {}
        self.lost: set[int] = set()  # a node that doesn't handle missing values reads them
        self.unclear: set[int] = set()  # a subgraph reads them, or nodes handle different texts as missing
        self._graph = graph
        self._columns: dict[str, Places] = {}  # tensor -> the columns of the inputs in it
        self._masks: dict[str, tuple[Places, float | str]] = {}  # tensor -> columns, and the fill that it marks in them
        start = 0
        for input in inputs:
            self._columns[input.name] = tuple(range(start, start + input.width))
            start += input.width

    def follow(self, node: Node) -> None:
        reads = node.reads
        if not any(name in self._columns or name in self._masks for name in reads):
            return
        taken = tuple(column for name in reads for column in self._columns.get(name, ()))
        if node.operator in SUBGRAPHS:
            self.unclear.update(taken, *(self._masks[name][0] for name in reads if name in self._masks))
        elif (mask := self._masks.get(node.inputs[0])) is not None:
            self._follow_mask(node, mask, taken)
        elif (found := self._find_mask(node)) is not None:
            self._masks[node.outputs[0]] = taken, found
        elif (fill := self._find_fill(node)) is not None:
            self._fill(taken, fill)
        elif (kept := self._keep(node, taken)) is not None:
            self._columns[node.outputs[0]] = kept
        else:
            self.lost.update(taken)

    def _follow_mask(self, node: Node, mask: tuple[Places, float | str], taken: Places) -> None:
        """Follow a mask of missing values: to Where, which replaces them, or to a feature."""
        places, fill = mask
        if node.operator == "Where" and taken in ((), places):
            self._fill(taken, fill)
        elif node.operator in ("Not", "Cast", "Equal", *KEEPS) and not taken:
            self._masks[node.outputs[0]] = mask
        else:
            self.lost.update(taken)
            self.lost.update(places if isinstance(fill, str) else ())

    def _fill(self, columns: Places, fill: float | str) -> None:
        for column in columns:
            if self.fills.setdefault(column, fill) != fill and isinstance(fill, str):
                self.unclear.add(column)

    def _find_mask(self, node: Node) -> float | str | None:
        """Return the fill that a node looks for, if its output is a mask of missing values."""
        if node.operator == "IsNaN":
            return math.nan
        if node.operator == "Equal":
            texts = self._graph.constants(node.inputs[1])
            return texts[0] if texts and len(texts) == 1 else None
        # skl2onnx imputes texts this way: an encoder that knows only the empty text.
        keys = node.attribute("keys_strings") if node.operator == "LabelEncoder" else None
        return "" if keys and keys.texts("strings") == ("",) else None

    def _find_fill(self, node: Node) -> float | str | None:
        """Return the fill that a node handles as a missing value, None if it handles none."""
        if node.operator == "Imputer":
            replaced = node.attribute("replaced_value_float")
            return math.nan if replaced and any(map(math.isnan, replaced.floats("f"))) else None
        if node.operator in TREES:
            return math.nan if _tracks_missing(node) else None
        if node.operator in ENCODES:
            known = node.attribute("cats_strings") or node.attribute("keys_strings")
            texts = known.texts("strings") if known else ()
            if MISSING_TEXT in texts:
                return MISSING_TEXT
            return None if "None" in texts else next((text for text in MISSING_TEXTS if text in texts), None)
        return None

    def _keep(self, node: Node, taken: Places) -> Places | None:
        """Return the columns that a node passes on; None if missing values wouldn't stay missing."""
        if node.operator in PICKS:
            places = [int(index) for index in self._graph.constants(node.inputs[1]) or ()]
            is_within = all(-len(taken) <= place < len(taken) for place in places)
            return tuple(taken[place] for place in places) if places and is_within else None
        if node.operator == "Cast":
            to = node.attribute("to")
            return taken if to and to.integers("i")[0] in FLOATING else None
        return taken if node.operator in (*KEEPS, *JOINS) else None


def _tracks_missing(node: Node) -> bool:
    """Return whether some node of the trees has a branch for missing values.

    CatBoost's nodes compare with "greater than". They send a missing value to the other branch, as CatBoost does, so
    they need no such mark.
    """
    modes = node.attribute("nodes_modes")
    if modes and modes.text("strings") == "BRANCH_GT":
        return True
    tracks = node.attribute("nodes_missing_value_tracks_true")
    first = next(tracks.values("ints"), 0) if tracks else 0
    if tracks is None or isinstance(first, memoryview):
        return isinstance(first, memoryview) and 1 in bytes(first)
    return b"\x40\x01" in bytes(tracks.content)  # millions of fields, each a key and 0 or 1


def merge(columns: Columns, found: Fills, *, allow_all: bool) -> tuple[float | str | None, ...]:
    """Combine the fills that the graph shows with the features' facts and ALLOW_MISSING."""
    fills: list[float | str | None] = []
    for place, (type, feature) in enumerate(zip(columns.types, columns.features, strict=True)):
        is_allowed = (place in found.shown or allow_all or feature.missing) and place not in found.unclear
        if type == TEXT and is_allowed:
            known = next((text for text in ("nan", "None", "") if text in (feature.values or ())), "")
            texts = (found.values[place], feature.missing_text, known)
            fills.append(next(text for text in texts if text is not None))
        else:
            fills.append(math.nan if type in FLOATS and is_allowed else None)
    return tuple(fills)
