"""Functions of one variable, by table or by the library's own op, in every form of models."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.simulator import Simulator
from tests.lowering.proof import (
    decibels,
    emitted,
    float_outputs,
    matches,
    model,
    numbers,
    on_codes,
    one,
    unsupported_op,
)

SHAPE = (1, 3, 8, 10)
# A table rounds to the output's values once; the input is exactly representable.
TABLE = 0.51
# Tanh_8 and Sigmoid_8 interpolate; Softmax_8 multiplies two rounded numbers (1 LSB).
NATIVE = 1.1
WHOLE = [
    "Erf",
    "Abs",
    "Sign",
    "Floor",
    "Ceil",
    "Round",
    "Sin",
    "Cos",
    "Atan",
    "Asinh",
    "Softplus",
    "Softsign",
    "Neg",
]
NEWER = {"Mish": 18, "Gelu": 20, "HardSwish": 14, "Swish": 24}
POSITIVE = ["Log", "Reciprocal"]


@pytest.mark.parametrize("op", WHOLE)
def test_a_function_is_a_table(op: str) -> None:
    converted = matches(one(op, SHAPE), TABLE)
    assert set(emitted(converted)) <= {"CastUInt8ToInt32", "Table_8", "Requantize_8to8"}


@pytest.mark.parametrize("op", NEWER)
def test_a_newer_function_is_a_table_or_the_librarys_own(op: str) -> None:
    matches(one(op, SHAPE, opset=NEWER[op]), NATIVE)


@pytest.mark.parametrize("op", ["Elu", "Selu", "Celu", "HardSigmoid", "ThresholdedRelu", "Shrink"])
def test_attributes_are_honored(op: str) -> None:
    attrs = {
        "Shrink": {"lambd": 0.7, "bias": 0.2},
        "HardSigmoid": {"alpha": 0.4, "beta": 0.3},
        "Selu": {"alpha": 1.2, "gamma": 0.8},
    }.get(op, {"alpha": 0.6})
    matches(one(op, SHAPE, opset=18, **attrs), TABLE)


@pytest.mark.parametrize("op", POSITIVE)
def test_a_pole_is_never_reached(op: str) -> None:
    nodes = [
        helper.make_node("Clip", ["x", "least"], ["above"], name="clip"),
        helper.make_node(op, ["above"], ["y"], name="node"),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"least": np.float32(0.5)})
    matches(proto, TABLE, {"x": on_codes(SHAPE, zero=0)})


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Relu"])
def test_the_librarys_own_functions(op: str) -> None:
    matches(one(op, SHAPE), NATIVE)


@pytest.mark.parametrize("axis", range(-4, 4))
def test_softmax_along_any_axis(axis: int) -> None:
    matches(one("Softmax", SHAPE, axis=axis), NATIVE)


@pytest.mark.parametrize("opset", [11, 12])
@pytest.mark.parametrize("axis", [1, 2])
def test_softmax_before_opset_13_takes_all_axes_after_as_one(opset: int, axis: int) -> None:
    matches(one("Softmax", (2, 3, 4), opset=opset, axis=axis), NATIVE)


@pytest.mark.parametrize("axis", [-1, 1])
def test_log_softmax_keeps_small_probabilities(axis: int) -> None:
    """Six roundings in between; a table after softmax would have an error of 100 LSB."""
    matches(one("LogSoftmax", SHAPE, axis=axis), 3.0)


@pytest.mark.parametrize(("axis", "opset"), [(-1, 17), (1, 17), (2, 11)])
def test_the_logarithm_of_a_softmax_is_a_log_softmax(axis: int, opset: int) -> None:
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"], name="softmax", axis=axis),
        helper.make_node("Log", ["p"], ["y"], name="node"),
    ]
    proto, feeds = model(nodes, {"x": SHAPE}, ["y"], opset=opset), {"x": on_codes(SHAPE)}
    (expected,) = float_outputs(proto, feeds)
    converted = hexconv.convert(proto, samples=[feeds])
    low, high = converted.graph.outputs[0].range
    error = np.abs(hexconv.simulate(converted, feeds)["y"] - expected).max()
    assert error < 3 * (high - low) / 255


@pytest.mark.parametrize("slopes", [(1,), (3, 1, 1), (1, 10), (8, 1), (3, 8, 10), (1, 3, 8, 10)])
def test_prelu_with_slopes_by_channel_axis_or_element(slopes: tuple[int, ...]) -> None:
    matches(one("PRelu", SHAPE, np.abs(numbers(slopes)) / 4), 2.0)


def test_leaky_relu() -> None:
    matches(one("LeakyRelu", SHAPE, alpha=0.1), NATIVE)


@pytest.mark.parametrize("slope", [1e-6, 1 / 600, 1 / 256, 1 / 129])
@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
def test_slopes_that_round_to_zero_convert(op: str, slope: float) -> None:
    proto = one("LeakyRelu", SHAPE, alpha=slope)
    if op == "PRelu":
        proto = one("PRelu", SHAPE, np.array(slope, np.float32).reshape(1, 1, 1))
    matches(proto, 1.0)


@pytest.mark.parametrize("bounds", [(-1, 1), (0, 6), (None, 1), (0.5, None), (-2, -1), (1, 2)])
def test_clip_with_any_bounds(bounds: tuple[float | None, float | None]) -> None:
    values = [None if bound is None else np.float32(bound) for bound in bounds]
    matches(one("Clip", SHAPE, *values), 1.1)


def test_clip_with_bounds_that_are_computed() -> None:
    nodes = [helper.make_node("Clip", ["x", "low", "high"], ["y"], name="node")]
    feeds = {
        "x": on_codes(SHAPE),
        "low": np.array(-1.5, np.float32),
        "high": np.array(2.0, np.float32),
    }
    matches(model(nodes, {name: a.shape for name, a in feeds.items()}, ["y"]), 2.0, feeds)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 1.0])
def test_whole_powers_of_any_number(exponent: float) -> None:
    matches(one("Pow", SHAPE, np.float32(exponent)), NATIVE)


@pytest.mark.parametrize("exponent", [0.5, -0.5, -1.0, 1.5, -2.0])
def test_other_powers_of_positive_numbers(exponent: float) -> None:
    nodes = [
        helper.make_node("Clip", ["x", "least"], ["above"], name="clip"),
        helper.make_node("Pow", ["above", "e"], ["y"], name="node"),
    ]
    consts = {"least": np.float32(0.5), "e": np.float32(exponent)}
    matches(model(nodes, {"x": SHAPE}, ["y"], consts), TABLE, {"x": on_codes(SHAPE, zero=0)})


def test_a_constant_to_the_power_of_a_tensor() -> None:
    nodes = [helper.make_node("Pow", ["c", "x"], ["y"], name="node")]
    matches(model(nodes, {"x": SHAPE}, ["y"], {"c": np.float32(2)}), TABLE)


def test_a_power_that_varies_on_both_sides_is_rejected() -> None:
    nodes = [helper.make_node("Pow", ["a", "b"], ["y"], name="node")]
    feeds = {"a": np.abs(on_codes((3, 4))) + 1, "b": on_codes((3, 4))}
    text = unsupported_op(model(nodes, dict.fromkeys(feeds, (3, 4)), ["y"]), feeds)
    assert "base and exponent" in text and "node 'node' (Pow)" in text


def test_a_remainder_by_a_constant() -> None:
    matches(one("Mod", SHAPE, np.float32(1.5), fmod=1), TABLE)


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_operands(op: str, count: int) -> None:
    names = [f"x{i}" for i in range(count)]
    shapes = {name: SHAPE if i % 2 == 0 else SHAPE[1:] for i, name in enumerate(names)}
    nodes = [helper.make_node(op, names, ["y"], name="node")]
    feeds = {name: on_codes(shape, i) for i, (name, shape) in enumerate(shapes.items())}
    matches(model(nodes, shapes, ["y"]), 0.9 * count, feeds)


@pytest.mark.parametrize(
    ("bounds", "data"),
    [
        ((0.2, 0.9), (-0.1, 0.1)),
        ((-2.0, -0.1), (0.4, 0.6)),
        ((0.2, 0.9), (-1.0, 1.0)),
        ((-0.3, -0.2), (-9.0, 9.0)),
        ((0.0, 1.0), (-100.0, 100.0)),
        ((-0.5, 0.5), (-20.0, 3.0)),
    ],
)
@pytest.mark.parametrize("behind", ["input", "sum"])
def test_a_clip_is_at_its_bounds_wherever_the_data_lies(
    behind: str, bounds: tuple[float, float], data: tuple[float, float]
) -> None:
    """Neither the range nor the codes of its input need to hold a bound."""
    source = "x" if behind == "input" else "s"
    nodes = [helper.make_node("Clip", [source, "low", "high"], ["y"])]
    if behind == "sum":
        nodes = [helper.make_node("Add", ["x", "z"], ["s"]), *nodes]
    consts = {"low": np.float32(bounds[0]), "high": np.float32(bounds[1])}
    outputs = ["y", "s"] if behind == "sum" else ["y"]
    proto = model(nodes, {"x": SHAPE, "z": SHAPE}, outputs, consts)
    samples = [uniform(data, seed) for seed in range(3)]
    assert decibels(proto, samples) > 30.0


@pytest.mark.parametrize("largest", [3e3, 1e5, 1e7, 1e9, 1e12])
@pytest.mark.parametrize("behind", ["input", "sum"])
def test_a_clip_may_be_any_number_of_times_narrower_than_its_data(
    behind: str, largest: float
) -> None:
    """One requantize narrows a range by 2^15 at most, from an input ten times as loud too."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["s"]),
        helper.make_node("Clip", ["x" if behind == "input" else "s", "low", "high"], ["y"]),
    ]
    nodes = nodes[1:] if behind == "input" else nodes
    consts = {"low": np.float32(-3), "high": np.float32(3)}
    proto = model(nodes, {"x": SHAPE}, ["y"], consts)
    signs = np.random.default_rng(1).integers(-1, 2, SHAPE).astype(np.float32)
    feeds = {"x": np.float32(largest) * signs}
    for level in ("none", "default"):
        assert decibels(proto, [feeds], optimize=level) > 40.0
        converted = hexconv.convert(proto, samples=[feeds], optimize=level)
        louder = Simulator(converted, "v60").run({"x": 10 * feeds["x"]})["y"]
        assert np.abs(louder - 3 * signs).max() < 0.05


@pytest.mark.parametrize(
    "bounds", [(-1.0, 0.1), (-0.1, 1.0), (-2.0, 0.01), (-6.0, 0.04), (-0.03, 6.0), (-1.0, 1.0)]
)
@pytest.mark.parametrize("level", ["none", "default"])
def test_a_small_bound_of_a_clip_beside_a_large_one_is_nearly_itself(
    bounds: tuple[float, float], level: str
) -> None:
    """The sum over values that are all at a bound of 0.1 has its error times their number."""
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["c"]),
        helper.make_node("ReduceSum", ["c", "axes"], ["y"], keepdims=1),
    ]
    consts = {"low": np.float32(bounds[0]), "high": np.float32(bounds[1])}
    proto = model(nodes, {"x": (1, 8, 24)}, ["y"], {**consts, "axes": np.array([1])})
    small = bounds[0] if -bounds[0] < bounds[1] else bounds[1]
    x = 4 * small * (0.5 + np.random.default_rng(3).random((1, 8, 24), np.float32))
    x[:, 0, ::5] = bounds[0] + bounds[1] - small
    converted = hexconv.convert(proto, samples=[{"x": x}], optimize=level)
    returned = Simulator(converted, "v60").run({"x": x})["y"]
    step = (bounds[1] - bounds[0]) / 255
    assert np.abs(returned - np.clip(x, *bounds).sum(1, keepdims=True)).max() < 8 * 0.75 * step


def uniform(bounds: tuple[float, float], seed: int) -> dict[str, np.ndarray]:
    """Data of a range, and what is small beside it."""
    values = np.random.default_rng(seed).uniform(*bounds, SHAPE).astype(np.float32)
    return {"x": values, "z": 1e-3 * values}


@pytest.mark.parametrize("readers", [1, 2])
def test_a_relu_that_is_always_zero_can_be_prepared(readers: int) -> None:
    """prepare moves it into the convolution, whose range would be empty."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    outputs = ["y", "c"][:readers]
    consts = {"w": 0.02 * numbers((6, 8, 3)), "b": np.full(6, -3, np.float32)}
    proto = model(nodes, {"x": (1, 8, 20)}, outputs, consts)
    for level in ("none", "default"):
        assert decibels(proto, [{"x": numbers((1, 8, 20))}], optimize=level) > 30.0


def test_a_softmax_of_an_input_runs_at_ten_times_the_loudness_of_calibration() -> None:
    """From a range of 22,624 on the library fails while it executes (beta too large)."""
    source = model([helper.make_node("Softmax", ["x"], ["y"])], {"x": (1, 4, 10)}, ["y"])
    x = np.random.default_rng(1).uniform(0, 5000, (1, 4, 10)).astype(np.float32)
    converted = hexconv.convert(source, samples=[{"x": x}])
    result = Simulator(converted, "v60").run({"x": 10 * x})["y"]
    assert result.max() > 0.1


@pytest.mark.parametrize("op", ["Max", "Min"])
@pytest.mark.parametrize("number", [-0.01, 0.01, 0.3])
def test_max_and_min_with_a_number_are_within_a_level_of_it_wherever_the_data_lies(
    op: str, number: float
) -> None:
    """The range of the input need not have the number among its values."""
    const = {"c": np.asarray(number, np.float32)}
    source = model([helper.make_node(op, ["c", "x"], ["y"])], {"x": (1, 6, 16)}, ["y"], const)
    x = np.random.default_rng(1).uniform(-60, 60, (1, 6, 16)).astype(np.float32)
    result = Simulator(hexconv.convert(source, samples=[{"x": x}]), "v60").run({"x": x})["y"]
    bounded = x < number if op == "Max" else x > number
    assert np.abs(result[bounded] - number).max() < 60 / 254


@pytest.mark.parametrize("seed", [5, 15, 32, 36])
@pytest.mark.parametrize("op", ["Max", "Clip"])
def test_a_clip_that_shares_a_wider_range_is_at_its_bound(op: str, seed: int) -> None:
    """LeakyRelu's own range ends half a level before the one that it shares with the clip."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["c"]),
        helper.make_node("LeakyRelu", ["c"], ["h"], alpha=0.2),
        helper.make_node(op, ["h", "low"], ["k"]),
        helper.make_node("MatMul", ["k", "v"], ["y"]),
    ]
    consts = {"w": numbers((8, 8)), "v": numbers((8, 8), 2), "low": np.float32(-0.4)}
    proto = model(nodes, {"x": (1, 6, 8)}, ["y"], consts)
    samples = [{"x": numbers((1, 6, 8), s + 10 * seed)} for s in range(2)]
    assert decibels(proto, samples) > 33


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("op", ["Relu", "Clip"])
def test_a_relu_of_a_clip_that_ends_at_zero_leaves_no_empty_range(op: str, level: str) -> None:
    """The Clip is the end of the convolution's range, and prepare would move the Relu into it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Clip", ["c", "low", "zero"], ["d"]),
        helper.make_node("Conv", ["x", "v", "b"], ["e"]),
        helper.make_node("Concat", ["d", "e"], ["j"], axis=1),
        helper.make_node(op, ["j"] if op == "Relu" else ["j", "zero", "six"], ["r"]),
        helper.make_node("Conv", ["r", "u", "a"], ["y"]),
    ]
    consts = {"w": numbers((4, 8, 1), 2), "v": numbers((4, 8, 1), 3), "u": numbers((3, 8, 1), 4)}
    consts |= {"b": np.full(4, -9, np.float32), "a": numbers((3,), 5)}
    consts |= {"low": np.float32(-0.5), "zero": np.float32(0)}
    consts |= {"six": np.float32(6)} if op == "Clip" else {}
    proto, feeds = model(nodes, {"x": (1, 8, 6)}, ["y"], consts), {"x": numbers((1, 8, 6), 6)}
    assert decibels(proto, [feeds], optimize=level) > 35


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("louder", [100, 1e4])
@pytest.mark.parametrize("op", ["Max", "Min"])
def test_the_larger_or_smaller_of_two_has_the_levels_of_the_quieter_one(
    op: str, louder: float, level: str
) -> None:
    """The library moves steps of up to 15 times the result's: a louder operand saturates before."""
    sign = 1 if op == "Min" else -1
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Mul", ["s", "a"], ["small"]),
        helper.make_node("Exp", ["z"], ["e"]),
        helper.make_node("Mul", ["e", "b"], ["large"]),
        helper.make_node(op, ["small", "large"], ["y"]),
    ]
    consts = {"a": np.float32(sign), "b": np.float32(sign * louder)}
    proto = model(nodes, {"x": (1, 6, 20), "z": (1, 6, 20)}, ["y", "large"], consts)
    feeds = {"x": numbers((1, 6, 20)), "z": np.abs(numbers((1, 6, 20), 2))}
    assert decibels(proto, [feeds], optimize=level) > 35
