"""Trains the two models of the example `camera`, which read one handwritten digit: small.onnx, and large.onnx of the cloud.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python train.py

The data ships with scikit-learn: 1797 digits that people wrote into forms (UCI, "Optical Recognition of Handwritten
Digits"), eight by eight cells of 0 to 16. The last 450 are held out: no model has seen them, and the figures below are of
them. Each digit is drawn into the box of a form in several places, sizes and lights, and then cut out as the function
does it (src/digit.rs), so that the models see what they will see. Only MatMul, Add, Relu and Softmax are used.
"""

import pathlib
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

HELD_OUT = 450
SIDE = 8
BOX = 64
HERE = pathlib.Path(__file__).parent


def sample(image, rows, columns):
    """Levels between cells; outside the border goes on."""
    rows = np.clip(rows, 0, image.shape[0] - 1)
    columns = np.clip(columns, 0, image.shape[1] - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, image.shape[0] - 1), np.minimum(left + 1, image.shape[1] - 1)
    down, across = (rows - top)[:, None], (columns - left)[None, :]
    upper = image[np.ix_(top, left)] * (1 - across) + image[np.ix_(top, right)] * across
    lower = image[np.ix_(bottom, left)] * (1 - across) + image[np.ix_(bottom, right)] * across
    return upper * (1 - down) + lower * down


def draw(digit, random, plain):
    """A digit in the box of a form: 255 is paper."""
    size = 48 if plain else int(random.integers(40, 56))
    top, left = (8, 8) if plain else random.integers(4, BOX - size - 3, 2)
    at = (np.arange(size) + 0.5) * SIDE / size - 0.5
    padded = np.pad(digit, 1)
    ink = sample(padded, at + 1, at + 1) / 16
    paper, dark = (250, 40) if plain else (random.uniform(200, 255), random.uniform(0, 90))
    box = np.full((BOX, BOX), float(paper))
    box[top:top + size, left:left + size] -= ink * (paper - dark)
    return np.clip(box + random.normal(0, 1 if plain else 4, box.shape), 0, 255)


def cut(box):
    """As src/digit.rs: the digit fills the height, and stands in the middle."""
    paper, dark = box.max(), box.min()
    ink = (paper - box) / max(paper - dark, 1)
    rows, columns = np.where((ink > 0.4).any(axis=1))[0], np.where((ink > 0.4).any(axis=0))[0]
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left)
    fine = (np.arange(SIDE * 4) + 0.5) / (SIDE * 4) - 0.5
    rows, columns = (top + bottom) / 2 + fine * side, (left + right) / 2 + fine * side
    values = sample(ink, rows - 0.5, columns - 0.5)
    values *= ((rows > top - 1) & (rows < bottom + 1))[:, None] & ((columns > left - 1) & (columns < right + 1))[None, :]
    return values.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3)).ravel().astype(np.float32)


def graph(name, layers):
    """Dense layers with Relu between them and Softmax at the end."""
    nodes, weights, before = [], [], "pixels"
    for number, (matrix, bias) in enumerate(layers):
        weights += [
            numpy_helper.from_array(matrix.astype(np.float32), f"w{number}"),
            numpy_helper.from_array(bias.astype(np.float32), f"b{number}"),
        ]
        nodes += [
            helper.make_node("MatMul", [before, f"w{number}"], [f"m{number}"]),
            helper.make_node("Add", [f"m{number}", f"b{number}"], [f"a{number}"]),
        ]
        before = f"a{number}"
        if number + 1 < len(layers):
            nodes.append(helper.make_node("Relu", [before], [f"r{number}"]))
            before = f"r{number}"
    nodes.append(helper.make_node("Softmax", [before], ["probabilities"], axis=-1))
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", SIDE * SIDE])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])]
    made = helper.make_graph(nodes, name, inputs, outputs, weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], producer_name="rimward")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    path = (HERE.parent / "cloud" if name == "large" else HERE) / f"{name}.onnx"
    onnx.save(model, path)
    return path.stat().st_size


def main():
    random = np.random.default_rng(1)
    digits, classes = load_digits(return_X_y=True)
    digits = digits.reshape(-1, SIDE, SIDE)
    seen = len(digits) - HELD_OUT
    images = np.array([cut(draw(digit, random, False)) for _ in range(12) for digit in digits[:seen]])
    labels = np.tile(classes[:seen], 12)
    new = np.array([cut(draw(digit, random, True)) for digit in digits[seen:]])

    small = LogisticRegression(C=1.0, max_iter=2000).fit(images, labels)
    large = MLPClassifier((256, 128), alpha=1e-3, batch_size=128, max_iter=40, random_state=1).fit(images, labels)
    sizes = [
        graph("small", [(small.coef_.T, small.intercept_)]),
        graph("large", list(zip(large.coefs_, large.intercepts_))),
    ]
    for name, model, size in zip(["small", "large"], [small, large], sizes):
        print(f"{name}: {size} bytes, {(model.predict(new) == classes[seen:]).mean():.1%} of {HELD_OUT} held out")
    sure = small.predict_proba(new).max(axis=1)
    for threshold in [0.7, 0.8, 0.9, 0.95]:
        answered = sure >= threshold
        right = (small.predict(new)[answered] == classes[seen:][answered]).mean()
        both = np.where(answered, small.predict(new), large.predict(new))
        print(
            f"small at {threshold}: answers {answered.mean():.1%}, {right:.1%} of them right; "
            f"with the large one for the rest {(both == classes[seen:]).mean():.1%}"
        )


if __name__ == "__main__":
    main()
