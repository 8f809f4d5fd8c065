"""Tensors have the part of their range that readers need; what they need in full keeps it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hexconv
from hexconv.compare import metrics
from hexconv.compare.eight_bits import EightBits
from hexconv.onnx_graph import load
from tests.lowering.proof import decibels, float_outputs, model, numbers, same_on_the_library

SHAPE = (2, 6, 20)
CONSTS = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "a": np.float32(1.67),
    "half": np.float32(0.5),
    "two": np.float32(2),
    "rows": np.array([12, 20]),
    "back": np.array(SHAPE),
}
node = helper.make_node
EXP = node("Exp", ["x"], ["e"])
ABOVE = node("Greater", ["x", "zero"], ["m"])
SUB = node("Sub", ["e", "one"], ["s"])
SUM = node("Add", ["u", "t"], ["y"])

ELUS: dict[str, list[onnx.NodeProto]] = {
    "Where": [ABOVE, EXP, SUB, node("Where", ["m", "x", "s"], ["y"])],
    "Where of a scaled branch": [
        ABOVE,
        EXP,
        SUB,
        node("Mul", ["s", "a"], ["t"]),
        node("Where", ["m", "x", "t"], ["y"]),
    ],
    "Where behind Div": [
        ABOVE,
        EXP,
        node("Div", ["e", "two"], ["d"]),
        node("Sub", ["d", "half"], ["t"]),
        node("Where", ["m", "x", "t"], ["y"]),
    ],
    "Where behind Reshape": [
        ABOVE,
        EXP,
        node("Reshape", ["e", "rows"], ["r"]),
        node("Sub", ["r", "one"], ["s"]),
        node("Reshape", ["s", "back"], ["t"]),
        node("Where", ["m", "x", "t"], ["y"]),
    ],
    "masks of 0 and 1": [
        ABOVE,
        EXP,
        SUB,
        node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
        node("Sub", ["one", "f"], ["g"]),
        node("Mul", ["s", "g"], ["t"]),
        node("Mul", ["x", "f"], ["u"]),
        SUM,
    ],
    "Min": [EXP, SUB, node("Min", ["s", "zero"], ["t"]), node("Relu", ["x"], ["u"]), SUM],
    "Clip": [EXP, SUB, node("Clip", ["s", "", "zero"], ["t"]), node("Relu", ["x"], ["u"]), SUM],
    "Relu": [
        EXP,
        node("Sub", ["one", "e"], ["s"]),
        node("Relu", ["s"], ["n"]),
        node("Neg", ["n"], ["t"]),
        node("Relu", ["x"], ["u"]),
        SUM,
    ],
}


@pytest.fixture(params=ELUS)
def elu(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return model(ELUS[request.param], {"x": SHAPE}, ["y"], CONSTS)


SAMPLES = [{"x": 2 * numbers(SHAPE, seed)} for seed in range(2)]


@pytest.mark.parametrize("level", ["none", "default"])
def test_exp_has_the_range_that_an_elu_written_out_needs(elu: onnx.ModelProto, level: str) -> None:
    """exp(x) reaches 500 where x is taken."""
    assert decibels(elu, SAMPLES, optimize=level) > 35.0


def test_the_estimate_of_8_bits_has_it_too(elu: onnx.ModelProto) -> None:
    ideal = EightBits(load(elu), SAMPLES)
    sums = metrics.Totals("y")
    for sample in SAMPLES:
        sums.add(float_outputs(elu, sample)[0], ideal.run(sample)["y"])
    found = sums.result()
    assert found is not None and found.sqnr > 33.0


@pytest.mark.parametrize("reader", ["output", "node"])
def test_what_is_needed_in_full_keeps_its_range(reader: str) -> None:
    last = node("Identity" if reader == "output" else "Neg", ["e"], ["z"])
    names = ["y", "e" if reader == "output" else "z"]
    proto = model([*ELUS["Where"], last], {"x": SHAPE}, names, CONSTS)
    converted = hexconv.convert(proto, samples=SAMPLES)
    largest = float(np.abs(float_outputs(proto, SAMPLES[0])[1]).max())
    returned = hexconv.simulate(converted, SAMPLES[0])[names[1]]
    assert np.abs(returned).max() == pytest.approx(largest, rel=0.02)


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("level", ["none", "default"])
def test_small_results_of_functions_with_a_fixed_range_have_their_own(op: str, level: str) -> None:
    x = numbers(SHAPE) - 11 if op == "Sigmoid" else 1e-3 * numbers(SHAPE)
    proto = model([node(op, ["x"], ["y"])], {"x": SHAPE}, ["y"], {})
    assert decibels(proto, [{"x": x.astype(np.float32)}], optimize=level) > 25.0


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
@pytest.mark.parametrize("number", [1e-6, -1e-6, 1e-30])
def test_zeros_are_on_the_right_side_of_numbers_next_to_zero(op: str, number: float) -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node(op, ["r", "c"], ["m"]),
        node("Cast", ["m"], ["y"], to=TensorProto.FLOAT),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"c": np.float32(number)})
    x = np.where(numbers(SHAPE) > 0, np.float32(1), np.float32(-1))
    compare = {"G": np.greater, "L": np.less}[op[0]]
    wanted = compare(np.maximum(x, 0), number).astype(np.float32)
    converted = hexconv.convert(proto, samples=[{"x": x}])
    np.testing.assert_allclose(hexconv.simulate(converted, {"x": x})["y"], wanted, atol=0.01)


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("form", ["Mul, Add", "Sub, Div", "BatchNormalization", "Mul"])
def test_of_channels_that_are_scaled_and_clipped_only_what_the_clip_lets_through_is_needed(
    form: str, level: str
) -> None:
    """The range of a join with a loud part would leave few levels of what is not clipped."""
    factor, addend = np.float32([[1.4], [0.5], [1.0], [1.3]]), np.float32([[0.1], [0.3], [0], [0]])
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    channels = {
        "Mul, Add": [node("Mul", ["j", "f"], ["s"]), node("Add", ["s", "a"], ["t"])],
        "Sub, Div": [node("Sub", ["j", "a"], ["s"]), node("Div", ["s", "f"], ["t"])],
        "BatchNormalization": [node("BatchNormalization", ["j", "g", "b", "m", "v"], ["t"])],
        "Mul": [node("Mul", ["j", "f"], ["t"])],
    }[form]
    nodes = [
        node("Concat", ["x", "z"], ["j"], axis=2),
        *channels,
        node("Clip", ["t", "low", "zero"], ["y"]),
    ]
    given = {"f": factor, "a": addend, "low": np.float32(-1), "zero": np.float32(0)}
    given |= {"g": factor.reshape(-1), "b": addend.reshape(-1), "m": zero, "v": one}
    used = {name for item in nodes for name in item.input}
    consts = {name: value for name, value in given.items() if name in used}
    proto = model(nodes, {"x": (1, 4, 30), "z": (1, 4, 30)}, ["y"], consts)
    feeds = {"x": 20 * numbers((1, 4, 30)), "z": numbers((1, 4, 30), 2)}
    assert decibels(proto, [feeds], optimize=level) > 36.0


@pytest.mark.parametrize("op", ["Erf", "Sigmoid", "Tanh", "HardSigmoid", "Elu"])
def test_where_a_function_is_constant_its_argument_needs_no_levels(op: str) -> None:
    """A join with a part 25 times as loud leaves the other part 9 levels of 8 bits."""
    nodes = [
        node("Concat", ["x", "z"], ["j"], axis=1),
        node(op, ["j"], ["y"]),
        node("Slice", ["y", "start", "end"], ["part"]),
        node("Sub", ["part", "mean"], ["quiet"]),
    ]
    mean = np.float32(0.5 if "igmoid" in op else 0)
    axes = {"mean": mean, "start": np.array([0, 3]), "end": np.array([1, 6])}
    proto = model(nodes, {"x": (1, 3, 40), "z": (1, 3, 40)}, ["quiet"], axes)
    quiet, loud = numbers((1, 3, 40)), 30 + np.abs(numbers((1, 3, 40), 1))
    sign = -1 if op == "Elu" else 1
    assert decibels(proto, [{"x": np.float32(sign * loud), "z": quiet}]) > 25.0


@pytest.mark.parametrize("level", ["none", "default"])
def test_a_chain_of_functions_needs_of_its_argument_what_it_lets_through(level: str) -> None:
    """max(-b, 0) of a BatchNorm of which one channel is far above 0."""
    channels = {"g": np.float32([0.1, 0.1, 4]), "b": np.float32([-0.1, -0.12, 1])}
    channels |= {"m": np.zeros(3, np.float32), "v": np.ones(3, np.float32)}
    nodes = [
        node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"]),
        node("Neg", ["n"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 3, 40)}, ["y"], channels)
    x = np.abs(numbers((1, 3, 40)))
    assert decibels(proto, [{"x": x}], optimize=level) > 35.0


@pytest.mark.parametrize("form", ["added", "selected"])
@pytest.mark.parametrize("op", ["Swish", "HardSwish"])
def test_a_number_that_masks_in_front_of_a_gate_takes_no_levels(op: str, form: str) -> None:
    """x times a function of x is 0 wherever x is far below 0."""
    gate = [node("Sigmoid", ["w"], ["g"]), node("Mul", ["w", "g"], ["y"])]
    nodes = [
        node("Greater", ["k", "half"], ["m"]),
        node("Where", ["m", "x", "low"], ["w"]),
        *(gate if op == "Swish" else [node("HardSwish", ["w"], ["y"])]),
    ]
    if form == "added":
        nodes[:2] = [
            node("Sub", ["one", "k"], ["n"]),
            node("Mul", ["n", "low"], ["f"]),
            node("Add", ["x", "f"], ["w"]),
        ]
    given = {"half": np.float32(0.5), "one": np.float32(1), "low": np.float32(-1e4)}
    used = {name for item in nodes for name in item.input}
    consts = {name: value for name, value in given.items() if name in used}
    proto = model(nodes, {"x": (1, 4, 40), "k": (1, 4, 40)}, ["y"], consts)
    kept = (np.arange(160).reshape(1, 4, 40) % 3 > 0).astype(np.float32)
    assert decibels(proto, [{"x": 3 * numbers((1, 4, 40)), "k": kept}]) > 35.0


@pytest.mark.parametrize("length", [2, 10, 16, 200])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_positions_that_no_sample_had_are_exact(op: str, length: int) -> None:
    nodes = [node(op, ["x"], ["p"], axis=-1), node("Cast", ["p"], ["y"], to=TensorProto.FLOAT)]
    proto = model(nodes, {"x": (1, length)}, ["y"])
    sign = np.float32(1 if op == "ArgMax" else -1)
    first = {"x": sign * np.linspace(1, 0, length, dtype=np.float32)[None]}
    last = {"x": sign * np.linspace(0, 1, length, dtype=np.float32)[None]}
    converted = hexconv.convert(proto, samples=[first])
    for feeds, wanted in ((first, 0), (last, length - 1)):
        result = hexconv.simulate(converted, feeds)["y"]
        np.testing.assert_allclose(result.ravel(), wanted, atol=1e-2)


@pytest.mark.parametrize("end", ["Sign", "Floor", "Ceil"])
@pytest.mark.parametrize("before", ["PRelu", "Mul", "Conv"])
def test_a_jump_leaves_a_range_around_it(before: str, end: str) -> None:
    """All else around 0 is needed by no reader; a range of 1e-10 overflowed the library's PRelu."""
    first = node(before, ["x", "w"], ["a"], **({"pads": [1, 1]} if before == "Conv" else {}))
    shape = (6, 6, 3) if before == "Conv" else (6, 1)
    proto = model(
        [first, node(end, ["a"], ["y"])], {"x": SHAPE}, ["y"], {"w": np.abs(numbers(shape))}
    )
    samples = [{"x": numbers(SHAPE) / (3 if end != "Sign" else 1)}]
    converted = hexconv.convert(proto, samples=samples)
    wanted = float_outputs(proto, samples[0])[0]
    same = hexconv.simulate(converted, samples[0], library="v60")["y"] - wanted
    assert np.mean(np.abs(same) < 0.1) > 0.9
    same_on_the_library(converted, samples[0])
