"""Asks ONNX Runtime each model once, with inputs from a seed, and writes what it was asked and what it answered: two
messages of the Open Inference Protocol with binary tensors. One line on standard output names each model's files."""

import importlib.util
import json
import pathlib
import sys

import numpy
import onnxruntime

TYPES = {
    "tensor(float)": ("FP32", numpy.float32),
    "tensor(int64)": ("INT64", numpy.int64),
    "tensor(int32)": ("INT32", numpy.int32),
}

# Package, file, and the size of what the model leaves open: by the input and the dimension.
SPEECH = {"input": [1, 576], "state": [2, 1, 128], "h": [1, 1, 128], "c": [1, 1, 128], "sr": []}
MODELS = [
    ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": [2, 3, 48, 192]}),
    ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", {"x": [1, 3, 160, 224]}),
    ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x": [1, 3, 48, 160]}),
    ("magika", "models/standard_v3_3/model.onnx", {"bytes": [3, 2048]}),
    ("silero_vad", "data/silero_vad.onnx", SPEECH),
    ("silero_vad", "data/silero_vad_16k_op15.onnx", SPEECH),
    ("silero_vad", "data/silero_vad_16k_sequence.onnx", SPEECH),
    ("silero_vad", "data/silero_vad_op18_ifless.onnx", SPEECH),
    ("silero_vad", "data/silero_vad_half.onnx", SPEECH),
]


def main(folder: pathlib.Path) -> None:
    numbers = numpy.random.default_rng(17)
    for package, file, shapes in MODELS:
        # Found, and not imported: the package needs others that are not here.
        path = pathlib.Path(importlib.util.find_spec(package).origin).parent / file
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = {put.name: value(put, shapes, numbers) for put in session.get_inputs()}
        answers = session.run(None, inputs)
        outputs = {put.name: answer for put, answer in zip(session.get_outputs(), answers)}
        name = path.name
        asked = write(folder / f"{name}.asked", "inputs", inputs)
        answered = write(folder / f"{name}.answered", "outputs", outputs)
        print(json.dumps({"model": str(path), "asked": asked, "answered": answered}), flush=True)


def value(put, shapes, numbers):
    shape, (_, dtype) = shapes[put.name], TYPES[put.type]
    if put.name == "sr":
        return numpy.array(16000, dtype=dtype)
    if dtype == numpy.float32:
        return (numbers.standard_normal(shape) * 0.3).astype(dtype)
    return numbers.integers(0, 257, shape).astype(dtype)


def write(path, what, tensors):
    names = {dtype: name for name, dtype in TYPES.values()}
    declared = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "datatype": names[tensor.dtype.type],
            "parameters": {"binary_data_size": tensor.nbytes},
        }
        for name, tensor in tensors.items()
    ]
    header = json.dumps({what: declared}).encode()
    path.write_bytes(header + b"".join(tensor.tobytes() for tensor in tensors.values()))
    return {"file": str(path), "header": len(header)}


main(pathlib.Path(sys.argv[1]))
