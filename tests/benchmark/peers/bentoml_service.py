"""The model in BentoML: a service in two workers.

Source: https://docs.bentoml.com/en/latest/build-with-bentoml/services.html
"""

import bentoml
import numpy as np

from tests.benchmark.ceiling import load_session


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Iris:
    def __init__(self) -> None:
        self.session = load_session()

    @bentoml.api
    async def predict(self, data: list[list[float]]) -> dict[str, list[float]]:
        rows = np.asarray(data, dtype=np.float32)
        (probabilities,) = self.session.run(["probabilities"], {"features": rows})
        return {"prediction": probabilities[0].tolist()}
