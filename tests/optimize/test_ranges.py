"""Rewrites that are about ranges: PRelu's own, tanh's real one, requantize once."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.graph import INPUT_OP, Interface, Output, Ref
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.optimize.on_nnlib.requantize_once import requantize_once
from hexconv.quantize import cover
from tests.lowering.proof import decibels, model, numbers
from tests.optimize.proof import applied, better, converted, ops


def leaky() -> ModelProto:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["a"], alpha=0.1),
        helper.make_node("Sigmoid", ["a"], ["y"]),
    ]
    return model(nodes, {"x": (1, 32, 16)}, ["y"])


def test_leaky_relu_takes_its_range_from_its_input() -> None:
    """PRelu_8 has an error of 0.7 LSB of its input, sigmoid of half an LSB of its output."""
    on, off = better(leaky(), "prelu_own_range", {"x": numbers((1, 32, 16))}, 2.0)
    assert "QuantizedPRelu_8" in ops(on) and "QuantizedPRelu_8_V2" in ops(off)


def test_a_small_tanh_at_the_output_is_a_table() -> None:
    proto = model([helper.make_node("Tanh", ["x"], ["y"])], {"x": (1, 4, 8)}, ["y"])
    small, large = (numbers((1, 4, 8)) * scale for scale in (0.01, 1.0))
    assert "Table_8" in ops(converted(proto, {"x": small}))
    assert "tanh_in_range" not in applied(converted(proto, {"x": large}))


def chain(readers: int) -> Builder:
    """x + x, requantized, read by the output; `readers` nodes read the sum."""
    builder = Builder("chain")
    data = builder.const("x", np.zeros((1, 1, 4, 32), np.uint8))
    low, high = builder.minmax("x", cover(-1, 1))
    wide, narrow = cover(-2, 2), cover(-1.5, 1.5)
    inputs = [data, data, low, high, low, high, *builder.minmax("sum", wide)]
    total = builder.quantized("QuantizedAdd_8p8to8", inputs, (1, 1, 4, 32), wide, name="sum")
    again = [*total.data_min_max, *builder.minmax("again", narrow)]
    result = builder.quantized("Requantize_8to8", again, (1, 1, 4, 32), narrow, name="again")
    refs = [*result.data_min_max, *(total.data_min_max if readers > 1 else ())]
    builder.node("DequantizeOUTPUT_8tof", refs, [], name="out")
    return builder


def test_a_requantize_after_its_only_source_is_removed() -> None:
    graph = chain(readers=1).finish()
    limits = graph.nodes[1].inputs[-2:]
    assert requantize_once(graph) == 1
    assert [node.op for node in graph.nodes] == ["QuantizedAdd_8p8to8", "DequantizeOUTPUT_8tof"]
    assert graph.nodes[0].inputs[-2:] == limits
    assert graph.nodes[1].inputs == tuple(Ref(graph.nodes[0].id, port) for port in range(3))


def test_a_requantize_of_a_value_that_others_read_stays() -> None:
    assert requantize_once(chain(readers=2).finish()) == 0


def scaled(low: float, factor: float = 0.25, then: str = "Where") -> ModelProto:
    """Scores q k' times a constant, masked, or joined with the keys."""
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Mul", ["a", "factor"], ["s"]),
    ]
    if then == "Where":
        nodes.append(helper.make_node("Where", ["mask", "s", "low"], ["y"]))
    else:
        nodes += [helper.make_node(then, ["s", "k"], ["y"], axis=1)]
    mask = np.random.default_rng(3).random((1, 24, 24)) > 0.4
    consts = {"factor": np.float32(factor), "low": np.float32(low), "mask": mask}
    return model(nodes, {"q": (1, 24, 16), "k": (1, 16, 24)}, ["y"], consts)


@pytest.mark.parametrize("factor", [0.125, 0.25, 3.0])
@pytest.mark.parametrize("then", ["Where", "Concat"])
def test_a_scaled_product_is_asked_for_a_range_without_the_scale(then: str, factor: float) -> None:
    """Where or Concat requantize it; asked at once, the product would lose the factor."""
    feeds = [{"q": numbers((1, 24, 16), i), "k": numbers((1, 16, 24), 9 + i)} for i in range(2)]
    proto = scaled(-8.0 * factor, factor, then)
    plain = decibels(proto, feeds, optimize="none")
    assert plain > 30.0 and decibels(proto, feeds) > plain - 1.0


def test_a_scaled_requantize_goes_and_its_reader_keeps_the_scale() -> None:
    builder = Builder("scaled")
    data = builder.const("x", np.zeros((1, 1, 4, 32), np.uint8))
    low, high = builder.minmax("x", cover(-1, 1))
    own, wanted = cover(-2, 2), cover(-0.25, 0.5)
    inputs = [data, data, low, high, low, high, *builder.minmax("sum", own)]
    total = builder.quantized("QuantizedAdd_8p8to8", inputs, (1, 1, 4, 32), own, name="sum")
    read = builder.minmax("quarter", own.scaled(0.25))
    refs = [total.data, *read, *builder.minmax("again", wanted)]
    result = builder.quantized("Requantize_8to8", refs, (1, 1, 4, 32), wanted, name="again")
    builder.node("DequantizeOUTPUT_8tof", result.data_min_max, [], name="out")
    graph = builder.finish()
    assert requantize_once(graph) == 1
    found = FoundRanges.of(graph)
    total_node, out = graph.nodes
    assert found.ends[Ref(total_node.id)] == pytest.approx((4 * wanted.min, 4 * wanted.max))
    assert [found.scalars[ref] for ref in out.inputs[1:]] == [wanted.min, wanted.max]


@pytest.mark.parametrize(("asked", "merged"), [(0.005, 1), (0.001, 0)])
def test_a_range_too_fine_for_a_loud_run_is_not_asked_at_once(asked: float, merged: int) -> None:
    """An input of 0..3.3 fits 0..0.001, and ten times as loud it does not: a gain of 2^15."""
    builder, shape = Builder("loud"), (1, 1, 4, 32)
    outputs = [Output(shape, "uint8"), *RANGE_OUTPUTS]
    node = builder.node(INPUT_OP, [], outputs, name="quantize_input")
    builder.graph.inputs.append(Interface("x", shape, Layout.plain(4), (0.0, 3.3)))
    refs = [Ref(node, port) for port in range(3)]
    for top in (0.01, asked):
        values = cover(0.0, top)
        limits = builder.minmax(f"{top}", values)
        result = builder.quantized("Requantize_8to8", [*refs, *limits], shape, values, name="r")
        refs = [*result.data_min_max]
    builder.node("DequantizeOUTPUT_8tof", refs, [], name="out")
    assert requantize_once(builder.finish()) == merged


def test_a_mean_is_not_asked_for_a_range_that_it_cannot_answer_in() -> None:
    builder = Builder("mean")
    data = builder.const("x", np.zeros((1, 2, 3, 32), np.uint8))
    wide, narrow = cover(-8, 8), cover(0, 1)
    refs = [data, *builder.minmax("x", cover(-8, 8)), builder.ints("axes", [1, 2])]
    refs += builder.minmax("wide", wide)
    mean = builder.quantized("QuantizedMean_8", refs, (1, 1, 1, 32), wide, name="mean")
    again = [*mean.data_min_max, *builder.minmax("again", narrow)]
    result = builder.quantized("Requantize_8to8", again, (1, 1, 1, 32), narrow, name="again")
    builder.node("DequantizeOUTPUT_8tof", result.data_min_max, [], name="out")
    assert requantize_once(builder.finish()) == 0


@pytest.mark.parametrize("slope", [0.05, 0.1])
@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
def test_what_is_negative_keeps_its_codes_behind_a_slope(op: str, slope: float) -> None:
    """The range that PRelu_8 derives is the input's; a tenth of it would be used."""
    clip = helper.make_node("Clip", ["x", "low", "high"], ["c"])
    consts = {"low": np.float32(-2), "high": np.float32(-0.1)}
    if op == "LeakyRelu":
        last = helper.make_node(op, ["c"], ["y"], alpha=slope)
    else:
        last = helper.make_node(op, ["c", "slope"], ["y"])
        consts["slope"] = np.full((8, 1), slope, np.float32)
    proto = model([clip, last], {"x": (1, 8, 20)}, ["y"], consts)
    assert decibels(proto, [{"x": numbers((1, 8, 20), i)} for i in range(3)]) > 38.0
