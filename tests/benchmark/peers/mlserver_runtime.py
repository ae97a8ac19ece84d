"""The model in MLServer: a custom runtime, as its documentation has it for what it ships no runtime for.

Source: https://mlserver.readthedocs.io/en/latest/user-guide/custom.html
"""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from tests.benchmark.ceiling import load_session


class OnnxRuntime(MLModel):
    async def load(self) -> bool:
        self.session = load_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (probabilities,) = self.session.run(["probabilities"], {"features": rows})
        outputs = [NumpyCodec.encode_output("probabilities", probabilities)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
