"""The models that are measured besides the shipped one."""

from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression


def with_zipmap(source: Path, target: Path) -> None:
    """Add a ZipMap to the shipped model: the dictionaries of probabilities that converters make unless told not to."""
    model = onnx.load(source)
    label, probabilities = model.graph.output
    model.graph.node.append(
        onnx.helper.make_node(
            "ZipMap", [probabilities.name], ["dictionaries"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]
        )
    )
    value = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    sequence = onnx.helper.make_sequence_type_proto(onnx.helper.make_map_type_proto(onnx.TensorProto.INT64, value))
    del model.graph.output[:]
    model.graph.output.extend([label, onnx.helper.make_value_info("dictionaries", sequence)])
    onnx.save(model, target)


def linear(target: Path, n_features: int, n_classes: int) -> None:
    """Train a logistic regression on random numbers, the same ones each time."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(20 * n_classes, n_features)).astype(np.float32)
    model = LogisticRegression(max_iter=20, tol=0.1).fit(rows, np.arange(len(rows)) % n_classes)
    target.write_bytes(to_onnx(model, rows[:1], options={"zipmap": False}).SerializeToString())
