"""The smallest handler that answers /predict, with NumPy, onnxruntime and json; cold starts are compared with it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

_options = ort.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_artifact = Path(__file__).with_name("iris_svc.onnx").read_bytes()
_session = ort.InferenceSession(_artifact, _options, providers=["CPUExecutionProvider"])
_input = _session.get_inputs()[0].name
_output = next(output.name for output in _session.get_outputs() if output.type == "tensor(float)")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    rows = np.asarray(json.loads(event["body"])["data"], dtype=np.float32)
    (probabilities,) = _session.run([_output], {_input: rows})
    body = json.dumps({"prediction": probabilities[0].tolist()})
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}
