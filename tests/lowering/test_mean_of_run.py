"""Means of tensors that were computed before: right where calibration saw narrower ones."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from tests.lowering.proof import Array, float_outputs, model, numbers, same_on_the_library

node = helper.make_node
IMAGE, FRAMES = (1, 8, 6, 10), (1, 50, 8)
CONV: dict[str, Array] = {"w": 0.3 * numbers((8, 8, 3, 3), 2), "b": numbers((8,), 3)}
LAYER = [node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1])]
AFFINE = [node("Mul", ["x", "a"], ["h"]), node("Add", ["h", "b"], ["c"])]
TIME: dict[str, Array] = {"axes": np.array([1])}
FORMS = {
    "Conv, pool": model(
        [*LAYER, node("GlobalAveragePool", ["c"], ["y"])], {"x": IMAGE}, ["y"], CONV
    ),
    "Conv, Relu, pool, Linear": model(
        [
            *LAYER,
            node("Relu", ["c"], ["r"]),
            node("GlobalAveragePool", ["r"], ["g"]),
            node("Flatten", ["g"], ["f"]),
            node("Gemm", ["f", "v"], ["y"]),
        ],
        {"x": IMAGE},
        ["y"],
        {**CONV, "v": numbers((8, 5), 4)},
    ),
    "affine, less its mean": model(
        [*AFFINE, node("ReduceMean", ["c", "axes"], ["m"]), node("Sub", ["c", "m"], ["y"])],
        {"x": FRAMES},
        ["y"],
        {"a": numbers((8,), 2), "b": numbers((8,), 3), **TIME},
    ),
    "Tanh, less its mean": model(
        [
            node("Tanh", ["x"], ["c"]),
            node("ReduceMean", ["c", "axes"], ["m"]),
            node("Sub", ["c", "m"], ["y"]),
        ],
        {"x": FRAMES},
        ["y"],
        TIME,
    ),
}


@pytest.mark.parametrize("number", [1.5, -0.8])
@pytest.mark.parametrize("form", FORMS)
def test_an_input_of_one_number_is_right_behind_a_mean_of_what_was_computed(
    form: str, number: float
) -> None:
    """Calibration's range of the means ended at a third of theirs: 19 to 64 levels off."""
    proto = FORMS[form]
    shape = IMAGE if "Conv" in form else FRAMES
    made = hexconv.convert(proto, samples=[{"x": numbers(shape, seed)} for seed in range(8)])
    run = {"x": np.full(shape, number, np.float32)}
    same_on_the_library(made, run)
    low, high = made.graph.outputs[0].range
    wanted = np.clip(float_outputs(proto, run)[0], low, high)
    off = np.abs(np.clip(hexconv.simulate(made, run)["y"], low, high) - wanted)
    assert off.max() < 3.0 * (high - low) / 255


def test_means_of_a_norm_keep_their_range() -> None:
    """What is left of x - mean(x) is divided by its size; the mean has no more to say."""
    nodes = [
        node("MatMul", ["x", "w"], ["c"]),
        node("LayerNormalization", ["c", "s"], ["y"], axis=-1),
    ]
    consts: dict[str, Array] = {"w": numbers((8, 64), 2), "s": np.ones(64, np.float32)}
    proto = model(nodes, {"x": FRAMES}, ["y"], consts)
    made = hexconv.convert(proto, samples=[{"x": numbers(FRAMES, seed)} for seed in range(4)])
    assert "QuantizeDownAndShrinkRange_32to8" not in made.graph.histogram()
