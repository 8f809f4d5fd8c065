"""Rewrites that are about ranges: PRelu's own, tanh's real one, requantize once."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper

from hexconv.nnlib.builder import Builder
from hexconv.nnlib.graph import Ref
from hexconv.optimize.on_nnlib.requantize_once import requantize_once
from hexconv.quantize import cover
from tests.lowering.proof import model, numbers
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
