"""First layers in every form, at every loudness of a run: silence, a single sample, a constant.

MACE quantizes an input over the data of each run, so a step of any size meets a layer's bias.
What comes out is the float model's, clipped to the calibrated range, within a few levels of it.
With HEXCONV_LIBRARY set, the real library returns the simulator's bits, or raises an error too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.device import Library
from hexconv.errors import HexconvError
from hexconv.simulator import Simulator
from tests.lowering.proof import Array, float_outputs, model, numbers

LOUDNESS = [1e-12, 1e-8, 1e-5, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e6]
LEVELS = 5.0
"""By how many levels of the output a value may be off, at the loudness of calibration."""

node = helper.make_node
Form = tuple[list[onnx.NodeProto], dict[str, Sequence[int]], dict[str, Array]]


def conv(
    shape: Sequence[int], kernel: Sequence[int], *, bias: float | None = 1.0, **at: int
) -> Form:
    """A convolution with weights of `kernel`, and a bias of any size or none."""
    weights = numbers(kernel, 2) / np.float32(np.sqrt(np.prod(kernel[1:])))
    consts: dict[str, Array] = {"w": weights}
    if bias is not None:
        consts["b"] = np.float32(bias) * numbers((kernel[0],), 3)
    axes = len(shape) - 2
    counts = {"group": 0, "pads": 2 * axes}
    attrs = {k: [v] * counts.get(k, axes) if counts.get(k, axes) else v for k, v in at.items()}
    return [node("Conv", ["x", *consts], ["y"], **attrs)], {"x": shape}, consts


def transposed(shape: Sequence[int], kernel: Sequence[int], stride: int) -> Form:
    """A transposed convolution."""
    consts = {"w": 0.3 * numbers(kernel, 2), "b": numbers((kernel[1],), 3)}
    attrs = {"strides": [stride] * (len(shape) - 2)}
    return [node("ConvTranspose", ["x", "w", "b"], ["y"], **attrs)], {"x": shape}, consts


def linear(shape: Sequence[int], op: str = "MatMul", scale: float = 1.0) -> Form:
    """MatMul and Add, or Gemm."""
    consts = {"w": 0.3 * numbers((shape[-1], 9), 2), "b": np.float32(scale) * numbers((9,), 3)}
    if op == "Gemm":
        return [node("Gemm", ["x", "w", "b"], ["y"])], {"x": shape}, consts
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])]
    return nodes, {"x": shape}, consts


def batch_norm(shape: Sequence[int]) -> Form:
    """Statistics far from 0 and 1."""
    n = shape[1]
    consts = {"s": 1 + 0.3 * numbers((n,), 2), "b": numbers((n,), 3), "m": 3 * numbers((n,), 4)}
    consts["v"] = np.square(numbers((n,), 5)) + np.float32(0.1)
    return [node("BatchNormalization", ["x", *consts], ["y"])], {"x": shape}, consts


def cmvn(shape: Sequence[int], channels: Sequence[int], first: str, second: str) -> Form:
    """Features less their mean, by their deviation."""
    consts = {"m": 5 * numbers(channels, 2), "s": np.abs(numbers(channels, 3)) + np.float32(0.3)}
    return [node(first, ["x", "m"], ["t"]), node(second, ["t", "s"], ["y"])], {"x": shape}, consts


def less_its_mean(shape: Sequence[int], axes: Sequence[int]) -> Form:
    """Means of one number everywhere are far outside those of samples."""
    consts = {"axes": np.array(axes)}
    nodes = [node("ReduceMean", ["x", "axes"], ["m"]), node("Sub", ["x", "m"], ["y"])]
    return nodes, {"x": shape}, consts


def pooled(shape: Sequence[int], op: str) -> Form:
    """A mean or sum over all but the channels, then a layer with a bias."""
    inner = np.array(range(2, len(shape)))
    consts = {"w": 0.3 * numbers((shape[1], 9), 2), "b": numbers((9,), 3)}
    ends = [node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "w", "b"], ["y"])]
    if op == "GlobalAveragePool":
        return [node(op, ["x"], ["p"]), *ends], {"x": shape}, consts
    return [node(op, ["x", "axes"], ["p"]), *ends], {"x": shape}, {**consts, "axes": inner}


def padded(value: float, mode: str = "constant") -> Form:
    """Pad, then a convolution."""
    nodes, inputs, consts = conv((1, 6, 20), (8, 6, 3))
    consts["p"] = np.array([0, 0, 2, 0, 0, 1])
    given = ["x", "p", *(["f"] if mode == "constant" else [])]
    if mode == "constant":
        consts["f"] = np.asarray(value, np.float32)
    nodes[0].input[0] = "t"
    return [node("Pad", given, ["t"], mode=mode), *nodes], inputs, consts


def recurrent(op: str, gates: int, *, state: bool) -> Form:
    """One step or three, the state an input."""
    hidden, width = 5, 6
    consts = {
        "w": 0.4 * numbers((1, gates * hidden, width), 2),
        "r": 0.4 * numbers((1, gates * hidden, hidden), 3),
        "b": 0.2 * numbers((1, 2 * gates * hidden), 4),
    }
    inputs: dict[str, Sequence[int]] = {"x": (3, 1, width)}
    given = ["x", "w", "r", "b"]
    if state:
        inputs["h"] = (1, 1, hidden)
        given += ["", "h"]
    return [node(op, given, ["y"], hidden_size=hidden)], inputs, consts


def several(op: str) -> Form:
    """Inputs of their own loudness, each with a layer, and then together."""
    one = 0.3 * numbers((12, 9), 2)
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("Add", ["m", "b"], ["s"]),
        node("MatMul", ["z", "v"], ["n"]),
        node("Add", ["n", "c"], ["t"]),
        node(op, ["s", "t"], ["y"], **({"axis": 2} if op == "Concat" else {})),
    ]
    consts = {"w": one, "b": numbers((9,), 3), "v": -one, "c": numbers((9,), 4)}
    return nodes, {"x": (1, 7, 12), "z": (1, 7, 12)}, consts


def behind(op: str, form: Form) -> Form:
    """A layer behind what keeps its input's range."""
    nodes, inputs, consts = form
    for item in nodes:
        item.input[:] = ["t" if name == "x" else name for name in item.input]
    shape = inputs["x"]
    if op == "Transpose":
        inputs = {"x": (shape[0], *shape[:0:-1])}
        perm = [0, *range(len(shape) - 1, 0, -1)]
        return [node("Transpose", ["x"], ["t"], perm=perm), *nodes], inputs, consts
    return [node(op, ["x"], ["t"]), *nodes], inputs, consts


FORMS: dict[str, Callable[[], Form]] = {
    "Conv 1-D": lambda: conv((1, 6, 20), (8, 6, 3), pads=1),
    "Conv 2-D": lambda: conv((1, 6, 9, 10), (8, 6, 3, 3), pads=1),
    "Conv of 1 channel": lambda: conv((2, 1, 9, 10), (4, 1, 3, 3)),
    "Conv of 3 channels, stride 2": lambda: conv((1, 3, 11, 12), (8, 3, 3, 3), strides=2),
    "Conv without bias": lambda: conv((1, 6, 20), (8, 6, 3), bias=None),
    "Conv with a huge bias": lambda: conv((1, 6, 20), (8, 6, 3), bias=300.0),
    "Conv, dilated": lambda: conv((1, 6, 30), (8, 6, 3), dilations=3),
    "Conv, dilated, 2-D": lambda: conv((1, 6, 9, 10), (8, 6, 3, 3), dilations=2),
    "Conv in groups": lambda: conv((1, 6, 20), (8, 3, 3), group=2),
    "Depthwise 1-D": lambda: conv((1, 6, 20), (6, 1, 5), group=6),
    "Depthwise 2-D": lambda: conv((1, 6, 9, 10), (6, 1, 3, 3), group=6, pads=1),
    "Depthwise without bias": lambda: conv((1, 6, 20), (6, 1, 3), bias=None, group=6),
    "Depthwise, multiplied": lambda: conv((1, 6, 20), (12, 1, 3), group=6),
    "pointwise": lambda: conv((2, 6, 20), (8, 6, 1)),
    "ConvTranspose 1-D": lambda: transposed((1, 6, 12), (6, 5, 4), 2),
    "ConvTranspose 2-D": lambda: transposed((1, 6, 5, 6), (6, 5, 3, 3), 2),
    "Linear of rank 2": lambda: linear((4, 12)),
    "Linear of one row": lambda: linear((1, 12)),
    "Linear of rank 3": lambda: linear((2, 7, 12)),
    "Linear of rank 4": lambda: linear((1, 3, 5, 12)),
    "Linear with a huge bias": lambda: linear((1, 7, 12), scale=300.0),
    "Gemm": lambda: linear((5, 12), "Gemm"),
    "BatchNorm of rank 2": lambda: batch_norm((4, 12)),
    "BatchNorm of rank 3": lambda: batch_norm((1, 6, 20)),
    "BatchNorm of rank 4": lambda: batch_norm((1, 6, 5, 7)),
    "CMVN, Sub and Div": lambda: cmvn((1, 20, 12), (12,), "Sub", "Div"),
    "CMVN, Add and Mul": lambda: cmvn((20, 12), (12,), "Add", "Mul"),
    "CMVN of an image": lambda: cmvn((1, 3, 8, 9), (3, 1, 1), "Sub", "Div"),
    "Mul and Add": lambda: cmvn((1, 20, 12), (12,), "Mul", "Add"),
    "less its mean in time": lambda: less_its_mean((1, 200, 8), [1]),
    "less its mean of each frame": lambda: less_its_mean((1, 20, 64), [2]),
    "less its mean of few": lambda: less_its_mean((2, 3, 20, 8), [3]),
    "less its mean of an image": lambda: less_its_mean((1, 3, 10, 12), [2, 3]),
    "less its mean of all": lambda: less_its_mean((1, 20, 8), [1, 2]),
    "mean, Linear": lambda: pooled((2, 6, 200), "ReduceMean"),
    "sum, Linear": lambda: pooled((1, 6, 200), "ReduceSum"),
    "average of an image, Linear": lambda: pooled((1, 6, 10, 12), "GlobalAveragePool"),
    "Pad with 0": lambda: padded(0.0),
    "Pad with 2": lambda: padded(2.0),
    "Pad, reflected": lambda: padded(0.0, "reflect"),
    "GRU": lambda: recurrent("GRU", 3, state=False),
    "GRU with a state": lambda: recurrent("GRU", 3, state=True),
    "LSTM": lambda: recurrent("LSTM", 4, state=False),
    "RNN with a state": lambda: recurrent("RNN", 1, state=True),
    "two inputs, added": lambda: several("Add"),
    "two inputs, joined": lambda: several("Concat"),
    "two inputs, multiplied": lambda: several("Mul"),
    "Relu, Conv": lambda: behind("Relu", conv((1, 6, 20), (8, 6, 3))),
    "Neg, Conv": lambda: behind("Neg", conv((1, 6, 20), (8, 6, 3))),
    "Transpose, Conv": lambda: behind("Transpose", conv((1, 6, 20), (8, 6, 3))),
    "Transpose, Linear": lambda: behind("Transpose", linear((1, 7, 12))),
}


SEVERAL = ("Pad with 2", "GRU", "LSTM", "RNN", "two inputs", "Neg")
"""Forms of several nodes: beyond calibration, one between clips before the output does."""


def levels(shapes: dict[str, Sequence[int]]) -> dict[str, dict[str, Array]]:
    """Inputs at every loudness, silent, one sample, a constant; and one silent beside another."""
    full = {name: numbers(shape, seed) for seed, (name, shape) in enumerate(shapes.items(), 7)}
    found = {f"{x:g}": {n: np.float32(x) * v for n, v in full.items()} for x in LOUDNESS}
    found["zeros"] = {n: np.zeros_like(v) for n, v in full.items()}
    found["one sample"] = {
        n: np.where(np.arange(v.size) == 3, 1, 0).reshape(v.shape).astype(np.float32)
        for n, v in full.items()
    }
    for number in (1.0, -1.0, 1e-6):
        found[f"all {number:g}"] = {n: np.full_like(v, number) for n, v in full.items()}
    if len(full) > 1:
        found["one silent"] = {**full, "x": np.zeros_like(full["x"])}
    return found


@pytest.mark.parametrize("optimize", ["default", "none"])
@pytest.mark.parametrize("form", FORMS)
def test_a_first_layer_is_right_at_every_loudness(form: str, optimize: str) -> None:
    nodes, shapes, consts = FORMS[form]()
    proto = model(nodes, shapes, ["y"], consts)
    cases = levels(shapes)
    seen = [cases["1"]]
    if form.startswith(("GRU", "LSTM", "RNN")):  # each step has a few values only
        more = [{n: numbers(v, seed) for n, v in shapes.items()} for seed in range(20, 30)]
        seen = [*seen, *more, cases["zeros"], cases["0.1"]]
    converted = hexconv.convert(proto, samples=seen, optimize=optimize)
    low, high = converted.graph.outputs[0].range
    library = Library() if os.environ.get("HEXCONV_LIBRARY") else None
    simulator = Simulator(converted, library.version if library else "v60")
    for name, feeds in cases.items():
        loudest = max(float(np.abs(value).max()) for value in feeds.values()) / 4
        try:
            result = simulator.run(feeds)["y"]
        except HexconvError as error:
            assert loudest > 20 and "too loud" in str(error), f"{name}: {error}"
            continue
        if library is not None:
            np.testing.assert_array_equal(library.run(converted, feeds)["y"], result, name)
        wanted = np.clip(float_outputs(proto, feeds)[0], low, high)
        beyond = loudest > 1.0 or name.startswith("all")
        if beyond and (optimize == "none" or form.startswith(SEVERAL)):
            continue
        off = np.abs(result - wanted).max() / ((high - low) / 255)
        layers = 2.0 if form.startswith(SEVERAL) else 1.0
        assert off <= layers * LEVELS * max(1.0, loudest), f"{name}: {off:.1f} levels"
