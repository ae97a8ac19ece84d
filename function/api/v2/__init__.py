"""The Open Inference Protocol v2, as JSON or as binary tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and Triton's
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md.
"""
