"""The smallest ASGI app that answers /predict: no routes, no checks, no log. Throughput is compared with it."""

import json
import os
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort


def load_session(path: str = "") -> ort.InferenceSession:
    """Load the model as every system here does, with one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path or os.environ["MODEL_FILEPATH"], options, providers=["CPUExecutionProvider"])


_session: Any = None


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    global _session  # noqa: PLW0603 - after the fork, as Gunicorn's own workers load an app
    _session = _session or load_session()
    if scope["type"] != "http":
        raise NotImplementedError  # a lifespan, which uvicorn tries
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    rows = np.asarray(json.loads(body)["data"], dtype=np.float32)
    (probabilities,) = _session.run(["probabilities"], {"features": rows})
    answer = json.dumps({"prediction": probabilities[0].tolist()}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
