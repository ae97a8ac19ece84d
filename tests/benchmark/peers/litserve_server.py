"""The model in LitServe. `python litserve_server.py PORT WORKERS`.

Source: https://lightning.ai/docs/litserve/api-reference/litapi
"""

import sys
from typing import Any

import litserve
import numpy as np

from tests.benchmark.ceiling import load_session


class Iris(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = load_session()

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.asarray(request["data"], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        return self.session.run(["probabilities"], {"features": x})[0]

    def encode_response(self, output: Any) -> dict[str, list[float]]:
        return {"prediction": output[0].tolist()}


if __name__ == "__main__":
    port, n_workers = map(int, sys.argv[1:])
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=n_workers)
    server.run(host="127.0.0.1", port=port, num_api_servers=n_workers, log_level="warning", generate_client_file=False)
