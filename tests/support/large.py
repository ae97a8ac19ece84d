"""Makes a model of any size: what grows is one matrix of weights."""

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def large_model(path: Path, megabytes: int) -> Path:
    """Write a network of four features, two hidden layers of one width, and three classes; about this large."""
    width = round(math.sqrt(megabytes * 1e6 / 4))
    draw = np.random.default_rng(0)
    shapes = {"first": (4, width), "second": (width, width), "third": (width, 3)}
    weights = {
        name: draw.standard_normal(shape, dtype=np.float32) / np.float32(math.sqrt(shape[0]))
        for name, shape in shapes.items()
    }
    nodes = [
        helper.make_node("MatMul", ["rows", "first"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "third"], ["e"]),
        helper.make_node("Softmax", ["e"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path
