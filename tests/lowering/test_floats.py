"""Ops between Dequantize and Quantize: their outputs, when they are used, what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import ConfigError, UnsupportedOpError, UnsupportedOpErrors
from hexconv.lowering.context import Context
from hexconv.lowering.registry import LOWERINGS
from hexconv.model import Model
from hexconv.onnx_graph import NodeView
from tests.lowering.proof import (
    float_outputs,
    model,
    numbers,
    of_two,
    on_codes,
    one,
    same_on_the_library,
)

# Half an LSB is the rounding of Quantize; it truncates values to about 20 bits before scaling.
ROUNDED = 0.55
SHAPE = (1, 5, 7, 9)


def proved(proto: onnx.ModelProto, keep: Sequence[str] = ("node",), **settings: Any) -> Model:
    """Convert with nodes in float; the simulator must be within `ROUNDED` of ONNX Runtime."""
    feeds = {
        value.name: on_codes([d.dim_value for d in value.type.tensor_type.shape.dim], seed)
        for seed, value in enumerate(proto.graph.input)
    }
    converted = hexconv.convert(proto, samples=[feeds], keep_float=tuple(keep), **settings)
    results = hexconv.simulate(converted, feeds, library="v60")
    for output, wanted in zip(converted.graph.outputs, float_outputs(proto, feeds), strict=True):
        step = (output.range[1] - output.range[0]) / 255
        assert float(np.abs(results[output.name] - wanted).max()) <= ROUNDED * step
    same_on_the_library(converted, feeds)
    return converted


def histogram(converted: Model) -> dict[str, int]:
    """Ops but those of the interface."""
    counts = converted.graph.histogram()
    return {
        op: n
        for op, n in counts.items()
        if op not in ("QuantizeINPUT_f_to_8", "DequantizeOUTPUT_8tof")
    }


@pytest.mark.parametrize(
    ("op", "emitted"),
    [
        ("Tanh", "Tanh_f"),
        ("Sigmoid", "Sigmoid_f"),
        ("Relu", "Relu_f"),
        ("Neg", "Neg_f"),
        ("Abs", "Abs_f"),
        ("Floor", "Floor_f"),
        ("Ceil", "Ceil_f"),
        ("LeakyRelu", "PRelu_f"),
        ("Softmax", "Softmax_f"),
        ("LogSoftmax", "LogSoftmax_f"),
    ],
)
def test_a_unary_op_is_one_float_op_between_two_conversions(op: str, emitted: str) -> None:
    converted = proved(one(op, SHAPE))
    assert histogram(converted) == {"Dequantize": 1, emitted: 1, "Quantize": 1}


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Max", "Min"])
@pytest.mark.parametrize("shape", [(), (9,), (7, 1), (5, 1, 1), SHAPE, (5, 1, 9), (1, 7, 9)])
def test_constants_broadcast(op: str, shape: tuple[int, ...]) -> None:
    proved(one(op, SHAPE, numbers(shape)))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Max", "Min"])
@pytest.mark.parametrize(
    ("left", "right"), [((2, 3, 4, 5), (4, 5)), ((4, 1), (2, 3, 4, 5)), ((2, 3, 1, 5), (3, 4, 1))]
)
def test_computed_operands_broadcast(
    op: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    proved(of_two(op, left, right))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_along_any_axis(op: str, axis: int) -> None:
    proved(one(op, (2, 5, 7), axis=axis))


@pytest.mark.parametrize("perm", list(permutations(range(3))))
def test_transposes(perm: tuple[int, ...]) -> None:
    proved(one("Transpose", (4, 5, 6), perm=perm))


def test_products_concatenations_and_the_rest() -> None:
    proved(one("MatMul", (2, 5, 7), numbers((7, 4))))
    proved(of_two("MatMul", (2, 5, 7), (7, 4)))
    for axis in range(4):
        proved(of_two("Concat", (2, 3, 4, 5), (2, 3, 4, 5), axis=axis))
    proved(one("Div", SHAPE, numbers((5, 1, 1))))
    proved(one("PRelu", SHAPE, numbers((5, 7, 9))))
    proved(one("Clip", SHAPE, np.float32(-1), np.float32(1)))
    proved(one("Clip", SHAPE, None, np.float32(1)))


def chain() -> onnx.ModelProto:
    """sigmoid(2 tanh(x) + tanh(x))."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"], name="tanh"),
        helper.make_node("Mul", ["t", "two"], ["m"], name="mul"),
        helper.make_node("Add", ["m", "t"], ["a"], name="add"),
        helper.make_node("Sigmoid", ["a"], ["y"], name="sig"),
    ]
    return model(nodes, {"x": (1, 5, 7)}, ["y"], {"two": np.float32(2.0)})


def test_neighbors_in_float_pass_floats_directly() -> None:
    converted = proved(chain(), ("tanh", "mul", "add", "sig"))
    counts = histogram(converted)
    assert (counts["Dequantize"], counts["Quantize"]) == (1, 1)


def test_equal_integers_of_other_ranges_are_not_the_same_floats() -> None:
    """The Mul by 2 in int8 only gives the values of tanh another range."""
    feeds = {"x": on_codes((1, 5, 7))}
    converted = hexconv.convert(chain(), samples=[feeds], keep_float=("tanh", "add"))
    result = hexconv.simulate(converted, feeds)["y"]
    assert histogram(converted)["Dequantize"] == 2
    assert float(np.abs(result - float_outputs(chain(), feeds)[0]).max()) < 1.0 / 255


def test_a_node_is_found_by_its_tensor_too() -> None:
    by_node = proved(chain(), ("sig",))
    by_tensor = proved(chain(), ("y",))
    assert histogram(by_node) == histogram(by_tensor)


def test_nothing_is_float_unless_requested() -> None:
    feeds = {"x": on_codes(SHAPE)}
    for settings in ({}, {"float_fallback": True}):
        converted = hexconv.convert(one("Tanh", SHAPE), samples=[feeds], **settings)
        assert histogram(converted) == {"QuantizedTanh_8": 1}
        assert converted.conversion is not None
        assert converted.conversion.floats == ()


def test_fallback_computes_what_int8_does_not_support(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(node: NodeView, ctx: Context) -> None:
        raise UnsupportedOpError("a slope that int8 has not")

    entry = replace(LOWERINGS["LeakyRelu"], function=refused)
    monkeypatch.setitem(LOWERINGS._entries, "LeakyRelu", entry)
    proto = one("LeakyRelu", SHAPE)
    with pytest.raises(UnsupportedOpErrors):
        proved(proto, ())
    assert not hexconv.check(proto).ok
    assert hexconv.check(proto, float_fallback=True).ok
    converted = proved(proto, (), float_fallback=True)
    assert histogram(converted) == {"Dequantize": 1, "PRelu_f": 1, "Quantize": 1}
    assert converted.conversion is not None
    (row,) = converted.conversion.floats
    assert (row.node, row.why) == ("node", "a slope that int8 has not")


def test_fallback_leaves_alone_what_int8_has() -> None:
    converted = hexconv.convert(
        one("LogSoftmax", SHAPE), samples=[{"x": on_codes(SHAPE)}], float_fallback=True
    )
    assert "LogSoftmax_f" not in histogram(converted)


def test_a_node_that_a_rewrite_took_away_is_named() -> None:
    """Two equal nodes are made one."""
    nodes = [helper.make_node("Tanh", ["x"], [name], name=name) for name in ("one", "two")]
    nodes.append(helper.make_node("Concat", ["one", "two"], ["y"], axis=1))
    proto = model(nodes, {"x": (1, 5, 7)}, ["y"])
    with pytest.raises(ConfigError, match="'two'"):
        proved(proto, ("two",))


def test_the_report_states_reason_ops_and_price() -> None:
    converted = proved(one("Tanh", SHAPE))
    (row,) = converted.report()["conversion"]["floats"]
    assert row["reason"] == "kept in float by the user"
    assert row["nnlib"] == ["Dequantize", "Tanh_f", "Quantize"]
    # 78 packets for each of the 315 elements (op_tables/cost), and the conversions.
    assert 315 * 78 < row["packets"] < 315 * 90
    assert row["milliseconds_high"] > 0
    assert row["unknown"] == []


@pytest.mark.parametrize(
    ("proto", "name", "said"),
    [
        (one("Add", SHAPE, numbers((9,))), "nodes", "did you mean 'node'"),
        (one("Exp", SHAPE), "node", "no correct float form of Exp"),
        (one("Div", SHAPE, np.float32(0.0)), "node", "without zeros"),
        (of_two("MatMul", (2, 5, 7), (2, 7, 4)), "node", "one matrix on the right"),
    ],
)
def test_what_cannot_be_float_is_said(proto: onnx.ModelProto, name: str, said: str) -> None:
    with pytest.raises((ConfigError, UnsupportedOpErrors)) as caught:
        proved(proto, (name,))
    assert said in str(caught.value)
