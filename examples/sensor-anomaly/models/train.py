"""Trains the model of the example `sensor-anomaly`, usual.onnx: an autoencoder of half a year of weekly readings.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python train.py

The data ships with statsmodels: what a sensor on Mauna Loa measured of CO2 in air, weekly, 1958 to 2001. The last ten years
are held out. A window is 26 readings less their mean, in units of 3 ppm, as src/window.rs makes it. The model gives the mean
square of what it cannot rebuild from four numbers: small where a window is as windows were. Faults of sensors are put into the
held-out years to see which it finds: a spike, a step, a drift, and noise.
"""

import pathlib
import numpy as np
import onnx
import statsmodels.api as sm
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPRegressor

WINDOW = 26
UNIT = 3.0
THRESHOLD = 0.08
HERE = pathlib.Path(__file__).parent


def windows(readings):
    made = np.lib.stride_tricks.sliding_window_view(readings, WINDOW)
    return ((made - made.mean(axis=1, keepdims=True)) / UNIT).astype(np.float32)


def graph(encoder, decoder):
    weights, nodes, before = [], [], "window"
    for number, (matrix, bias) in enumerate([encoder, decoder]):
        weights += [
            numpy_helper.from_array(matrix.astype(np.float32), f"w{number}"),
            numpy_helper.from_array(bias.astype(np.float32), f"b{number}"),
        ]
        nodes += [
            helper.make_node("MatMul", [before, f"w{number}"], [f"m{number}"]),
            helper.make_node("Add", [f"m{number}", f"b{number}"], [f"a{number}"]),
        ]
        before = f"a{number}"
        if number == 0:
            nodes.append(helper.make_node("Tanh", [before], ["code"]))
            before = "code"
    nodes += [
        helper.make_node("Sub", ["window", before], ["rest"]),
        helper.make_node("Mul", ["rest", "rest"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["unusual"], axes=[1], keepdims=1),
    ]
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", WINDOW])]
    outputs = [helper.make_tensor_value_info("unusual", TensorProto.FLOAT, ["n", 1])]
    made = helper.make_graph(nodes, "usual", inputs, outputs, weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], producer_name="rimward")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / "usual.onnx")
    return (HERE / "usual.onnx").stat().st_size


def main():
    readings = sm.datasets.co2.load_pandas().data["co2"].interpolate().to_numpy()
    seen, new = readings[:-520], readings[-520:]
    random = np.random.default_rng(1)
    examples = windows(seen)
    # The same with the noise of a sensor, so that the model rebuilds shapes and not single readings.
    examples = np.concatenate([examples, examples + random.normal(0, 0.05, examples.shape).astype(np.float32)])
    model = MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", alpha=1e-4, max_iter=2000, random_state=1).fit(examples, examples)
    size = graph(*zip(model.coefs_, model.intercepts_))

    def unusual(readings):
        made = windows(readings)
        return ((made - model.predict(made)) ** 2).mean(axis=1)

    usual = unusual(new)
    print(f"usual.onnx: {size} bytes; of {len(usual)} held-out windows {(usual > THRESHOLD).mean():.1%} are called unusual")
    print(f"held out: median {np.median(usual):.4f}, 99 of 100 {np.quantile(usual, 0.99):.4f}")
    faults = {
        "spike of 6 ppm": lambda part: part + 6 * (np.arange(len(part)) == 13),
        "step of 4 ppm": lambda part: part + 4 * (np.arange(len(part)) >= 13),
        "drifts by 0.5 ppm a week": lambda part: part + 0.5 * np.maximum(np.arange(len(part)) - 13, 0),
        "noise of 2 ppm": lambda part: part + random.normal(0, 2, len(part)),
    }
    for name, fault in faults.items():
        parts = [new[at:at + WINDOW] for at in range(0, len(new) - WINDOW, 7)]
        found = [unusual(fault(part))[0] > THRESHOLD for part in parts]
        print(f"{name}: {np.mean(found):.1%} found")


if __name__ == "__main__":
    main()
