"""Another cloud of the example: a KServe model server that serves large.onnx with onnxruntime.

It serves one model, `digit`, over the Open Inference Protocol v2 on loopback, and knows nothing of Rimward. What it needs
is in ../../read-text/cloud/requirements.txt.

    python server.py --port 8001
"""

import argparse
import asyncio
from pathlib import Path

import kserve
import numpy as np
import onnxruntime
from kserve import model_server
from kserve.errors import InvalidInput
from kserve.protocol.rest.server import RESTServer

MODEL = Path(__file__).parent / "large.onnx"
CELLS = 64


class Digits(kserve.Model):
    """Cells of ink of written digits, to the probability of each digit."""

    def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        # Threads that wait would otherwise keep a core busy, which the machine of a demo needs for the node.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
        self.ready = True
        return True

    def get_input_types(self):
        return [{"name": "pixels", "datatype": "FP32", "shape": [-1, CELLS]}]

    def get_output_types(self):
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]

    async def predict(self, payload, headers=None, response_headers=None):
        pixels = payload.inputs[0].as_numpy()
        if pixels.dtype != np.float32 or pixels.ndim != 2 or pixels.shape[1] != CELLS:
            raise InvalidInput(f"`pixels` is FP32 [n, {CELLS}], not {pixels.dtype} {list(pixels.shape)}")
        probabilities = self.session.run(["probabilities"], {"pixels": pixels})[0]
        output = kserve.InferOutput("probabilities", list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=True)
        return kserve.InferResponse(payload.id, self.name, [output])


class LoopbackServer(RESTServer):
    """KServe listens on every address; a model server on the machine of its only client need not."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.config.host = "127.0.0.1"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="the port to listen on, on loopback")
    port = parser.parse_args().port
    digits = Digits("digit")
    digits.load()
    model_server.RESTServer = LoopbackServer
    kserve.ModelServer(http_port=port, workers=1, enable_grpc=False).start([digits])


if __name__ == "__main__":
    main()
