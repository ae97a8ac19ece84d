"""The style that this service was first written in: a `def` endpoint, a body without checks, a ZipMap, Mangum as it is.

Its session has ONNX Runtime's defaults, and each prediction is written into a line for the log, as in
https://github.com/shibuiwilliam/ml-system-in-actions, chapter4_serving_patterns/web_single_pattern.
"""

import logging
import os

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

log = logging.getLogger(__name__)
_session = ort.InferenceSession(os.environ["ZIPMAP_FILEPATH"])
app = FastAPI()
handler = Mangum(app)


class Data(BaseModel):
    data: list[list[float]] = [[5.1, 3.5, 1.4, 0.2]]


@app.post("/predict")
def predict(data: Data) -> dict[str, list[float]]:
    prediction = _session.run(None, {"features": np.array(data.data).astype(np.float32)})
    probabilities = np.array(list(prediction[1][0].values()))
    log.info(f"predict proba {probabilities}")  # noqa: G004 - that is the style
    return {"prediction": list(probabilities)}
