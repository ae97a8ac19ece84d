"""The style that this service was first written in: a `def` endpoint, a body without checks, a ZipMap, Mangum as it is.

Source: https://github.com/shibuiwilliam/ml-system-in-actions, chapter4_serving_patterns/web_single_pattern
"""

import os

import numpy as np
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

from tests.benchmark.ceiling import load_session

_session = load_session(os.environ["ZIPMAP_FILEPATH"])
app = FastAPI()
handler = Mangum(app)


class Data(BaseModel):
    data: list[list[float]] = [[5.1, 3.5, 1.4, 0.2]]


@app.post("/predict")
def predict(data: Data) -> dict[str, list[float]]:
    prediction = _session.run(None, {"features": np.array(data.data).astype(np.float32)})
    return {"prediction": list(np.array(list(prediction[1][0].values())))}
