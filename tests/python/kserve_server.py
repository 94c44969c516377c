"""A real KServe server with one model, `double`, which answers 2 x + 1. Its arguments are its ports: HTTP's and gRPC's."""

import sys

import numpy
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Double(Model):
    def __init__(self) -> None:
        super().__init__("double")
        self.ready = True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        answer = (payload.inputs[0].as_numpy() * 2 + 1).astype(numpy.float32)
        output = InferOutput(name="y", shape=list(answer.shape), datatype="FP32")
        output.set_data_from_numpy(answer, binary_data=True)
        return InferResponse(response_id=payload.id, model_name="double", infer_outputs=[output])


http, grpc = (int(port) for port in sys.argv[1:])
ModelServer(http_port=http, grpc_port=grpc, workers=1).start([Double()])
