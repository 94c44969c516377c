"""The cloud side of the example: a KServe model server that reads lines of text with onnxruntime.

It serves one model, `ocr`, over the Open Inference Protocol v2 on loopback. It knows nothing of Rimward: any client of
the protocol can use it. The model is PP-OCRv4 text recognition as the package `rapidocr-onnxruntime` ships it; its file
is checked against a digest before it is loaded. Lines per request and pixels per line are bounded (400 beyond them).

    python server.py --port 8080
"""

import argparse
import asyncio
import hashlib
import importlib.util
import sys
from pathlib import Path

import kserve
import numpy as np
import onnxruntime
from kserve import model_server
from kserve.errors import InvalidInput
from kserve.protocol.rest.server import RESTServer
from PIL import Image

MODEL = "models/ch_PP-OCRv4_rec_infer.onnx"
MODEL_SHA256 = "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b"

LINES_MAX = 64
"""Lines of one request: twice what the function sends."""

LINE_WIDTH_MAX = 4096
"""Pixels of one line's width at the model's height: about 250 letters."""

HEIGHT = 48
"""Pixels of a line's height as the model was trained."""


class Reader(kserve.Model):
    """Lines of text in one grey strip, to the class of every time step.

    The signature is in README.md beside this folder. What the model's own files do not have and is added here: scaling
    to the model's height, normalising, and of 6625 probabilities per time step only the largest.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.path = packaged("rapidocr_onnxruntime") / MODEL
        self.version = ""
        self.session = None
        self.characters = []

    def load(self) -> bool:
        content = self.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != MODEL_SHA256:
            raise RuntimeError(f"{self.path} is not the model expected: its sha256 is {digest}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait would otherwise keep a core busy, which the machine of a demo needs for the node.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # Class 0 is CTC's blank, the last class a space; the model's metadata lists those between.
        listed = self.session.get_modelmeta().custom_metadata_map["character"].split("\n")
        self.characters = ["", *listed, " "]
        classes = self.session.get_outputs()[0].shape[2]
        if len(self.characters) != classes:
            raise RuntimeError(f"{self.path} has {classes} classes but {len(self.characters)} characters")
        self.version = digest[:12]
        self.ready = True
        return True

    def get_input_types(self):
        return [
            {"name": "strip", "datatype": "UINT8", "shape": [-1, -1]},
            {"name": "widths", "datatype": "INT32", "shape": [-1]},
        ]

    def get_output_types(self):
        return [
            {"name": "classes", "datatype": "INT32", "shape": [-1, -1]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "characters", "datatype": "BYTES", "shape": [len(self.characters)]},
        ]

    def preprocess(self, payload, headers=None):
        """The lines as the model wants them: [3, 48, width], from -1 to 1."""
        strip, widths = tensor(payload, "strip", np.uint8, 2), tensor(payload, "widths", np.int32, 1)
        if not 0 < len(widths) <= LINES_MAX or widths.min() < 1 or widths.sum(dtype=np.int64) != strip.shape[1]:
            raise InvalidInput(f"`widths` must hold 1 to {LINES_MAX} widths that make up the width of `strip`")
        lines = np.split(strip, np.cumsum(widths)[:-1], axis=1)
        return payload, [normalised(line) for line in lines]

    async def predict(self, prepared, headers=None, response_headers=None):
        payload, lines = prepared
        return payload, await asyncio.to_thread(lambda: [self.read(line) for line in lines])

    def read(self, line):
        """The likeliest class of every time step of a line, and its probability."""
        (likely,) = self.session.run(None, {self.session.get_inputs()[0].name: line[np.newaxis]})
        return likely[0].argmax(axis=1).astype(np.int32), likely[0].max(axis=1)

    def postprocess(self, result, headers=None, response_headers=None):
        payload, lines = result
        steps = max(len(classes) for classes, _ in lines)
        outputs = [
            output("classes", "INT32", np.stack([padded(classes, steps) for classes, _ in lines])),
            output("scores", "FP32", np.stack([padded(scores, steps) for _, scores in lines])),
        ]
        wanted = payload.request_outputs
        if wanted and any(each.name == "characters" for each in wanted):
            characters = np.array([character.encode() for character in self.characters], dtype=object)
            outputs.append(output("characters", "BYTES", characters))
        return kserve.InferResponse(
            response_id=payload.id,
            model_name=self.name,
            model_version=self.version,
            infer_outputs=outputs,
            requested_outputs=wanted,
            use_binary_outputs=payload.use_binary_outputs,
        )


class LoopbackServer(RESTServer):
    """KServe listens on every address; a model server on the machine of its only client need not."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.config.host = "127.0.0.1"


def packaged(package: str) -> Path:
    """The folder of an installed package, without importing it."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def tensor(payload, name: str, dtype, rank: int):
    found = payload.get_input_by_name(name)
    if found is None:
        raise InvalidInput(f"the input `{name}` is missing")
    values = found.as_numpy()
    if values.dtype != dtype or values.ndim != rank:
        raise InvalidInput(f"the input `{name}` must be {np.dtype(dtype).name} of {rank} dimensions")
    return values


def normalised(line):
    height, width = line.shape
    scaled = max(1, round(width * HEIGHT / height))
    if scaled > LINE_WIDTH_MAX:
        raise InvalidInput(f"a line is {scaled} pixels wide at a height of {HEIGHT}, more than {LINE_WIDTH_MAX}")
    image = Image.fromarray(line).resize((scaled, HEIGHT), Image.Resampling.BILINEAR)
    grey = np.asarray(image, dtype=np.float32) / 127.5 - 1
    return np.repeat(grey[np.newaxis], 3, axis=0)


def padded(steps, length: int):
    """Blanks, which are class 0, up to the length of the longest line."""
    return np.pad(steps, (0, length - len(steps)))


def output(name: str, datatype: str, values):
    made = kserve.InferOutput(name=name, shape=list(values.shape), datatype=datatype)
    made.set_data_from_numpy(values, binary_data=True)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="the port to listen on, on loopback")
    port = parser.parse_args().port
    reader = Reader("ocr")
    reader.load()
    print(f"model {reader.name} {reader.version}: {len(reader.characters)} classes, port {port}", file=sys.stderr)
    model_server.RESTServer = LoopbackServer
    kserve.ModelServer(http_port=port, workers=1, enable_grpc=False).start([reader])


if __name__ == "__main__":
    main()
