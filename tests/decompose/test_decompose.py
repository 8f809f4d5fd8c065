"""Every decomposition is exact in real numbers, and leaves only ops that are lowered."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.decompose import decompose
from hexconv.lowering import LOWERINGS
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.rules import DECOMPOSITIONS
from tests.lowering.proof import Array, float_outputs, ints, model, numbers, one

VECTOR, IMAGE = (3, 16), (1, 4, 9, 10)
W = 0.3 * numbers((16, 8), 2)


def recurrent(op: str, gates: int) -> onnx.ModelProto:
    consts = (0.3 * numbers((1, gates * 5, 4), 2), 0.3 * numbers((1, gates * 5, 5), 3))
    return one(op, (3, 1, 4), *consts, hidden_size=5)


MODELS: dict[str, onnx.ModelProto] = {
    "AveragePool": one("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "CenterCropPad": one("CenterCropPad", IMAGE, ints(6, 12), axes=[2, 3]),
    "Conv": one(
        "Conv", (1, 2, 40, 48), numbers((3, 2, 36, 36)) / 36, numbers((3,)), strides=[2, 4]
    ),
    "Col2Im": one("Col2Im", (1, 24, 30), ints(6, 7), ints(2, 3), pads=[0, 1, 0, 0]),
    "CumSum": one("CumSum", VECTOR, np.array(1)),
    "Gemm": one("Gemm", VECTOR, np.ascontiguousarray(W.T), numbers((8,)), transB=1, alpha=0.5),
    "GroupNormalization": one(
        "GroupNormalization", IMAGE, numbers((4,), 2), numbers((4,), 3), opset=21, num_groups=2
    ),
    "GRU": recurrent("GRU", 3),
    "InstanceNormalization": one(
        "InstanceNormalization", IMAGE, numbers((4,), 2), numbers((4,), 3)
    ),
    "LayerNormalization": one("LayerNormalization", VECTOR, numbers((16,), 2), numbers((16,), 3)),
    "LogSoftmax": one("LogSoftmax", VECTOR, axis=-1),
    "LpNormalization": one("LpNormalization", VECTOR, axis=-1, p=2),
    "LpPool": one("LpPool", IMAGE, kernel_shape=[2, 2], p=1),
    "LRN": one("LRN", IMAGE, size=3),
    "LSTM": recurrent("LSTM", 4),
    "Pad": one("Pad", VECTOR, ints(0, 2, 0, 3), mode="edge"),
    "ReduceSumSquare": one("ReduceSumSquare", VECTOR, ints(1)),
    "RMSNormalization": one("RMSNormalization", VECTOR, numbers((16,), 2), opset=23),
    "Resize": one(
        "Resize",
        IMAGE,
        None,
        np.array([1, 1, 1.5, 2], np.float32),
        mode="cubic",
        coordinate_transformation_mode="half_pixel",
    ),
    "RNN": recurrent("RNN", 1),
    "Trilu": one("Trilu", (6, 6), upper=0),
}


def decomposed(proto: onnx.ModelProto) -> tuple[FloatGraph, dict[str, int]]:
    graph = load(proto, recognize=False)
    counts = decompose(graph)
    return graph, counts


@pytest.mark.parametrize("op", MODELS)
def test_the_output_stays_the_same(op: str) -> None:
    proto = MODELS[op]
    value = proto.graph.input[0].type.tensor_type.shape.dim
    feeds = {"x": numbers([dim.dim_value for dim in value], 7)}
    graph, counts = decomposed(proto)
    assert counts.get(op), "the rule applied"
    before, after = float_outputs(proto, feeds), float_outputs(graph.to_proto(), feeds)
    for old, new in zip(before, after, strict=True):
        assert old.shape == new.shape
        # float32 sums in another order.
        np.testing.assert_allclose(new, old, atol=2e-5 * float(np.abs(old).max()))


@pytest.mark.parametrize("op", MODELS)
def test_what_is_left_is_lowered(op: str) -> None:
    graph, _ = decomposed(MODELS[op])
    assert {node.op_type for node in graph.nodes} <= set(LOWERINGS)


@pytest.mark.parametrize("op", MODELS)
def test_outputs_keep_their_names(op: str) -> None:
    graph, _ = decomposed(MODELS[op])
    assert [info.name for info in graph.outputs] == [v.name for v in MODELS[op].graph.output]


def test_doing_it_twice_changes_nothing_more() -> None:
    graph, _ = decomposed(MODELS["LayerNormalization"])
    assert decompose(graph) == {}


def division(numerator: Any, divisor: Any) -> FloatGraph:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"])]
    consts: dict[str, Array] = {}
    names = []
    for place, value in enumerate((numerator, divisor)):
        if value is None:
            names.append("s" if place else "x")
        else:
            consts[f"c{place}"] = np.asarray(value, np.float32)
            names.append(f"c{place}")
    nodes.append(helper.make_node("Div", names, ["y"]))
    return decomposed(model(nodes, {"x": VECTOR}, ["y"], consts))[0]


@pytest.mark.parametrize(
    ("numerator", "divisor", "left"),
    [
        (None, None, ["Sigmoid", "Reciprocal", "Mul"]),
        (1.0, None, ["Sigmoid", "Reciprocal"]),
        (2.0, None, ["Sigmoid", "Reciprocal", "Mul"]),
        (None, 2.0, ["Div"]),
    ],
)
def test_only_computed_divisors_become_reciprocals(
    numerator: float | None, divisor: float | None, left: list[str]
) -> None:
    ops = [node.op_type for node in division(numerator, divisor).nodes]
    assert [op for op in ops if op in (*left, "Div", "Mul", "Reciprocal")] == left


def test_a_swish_of_slope_one_uses_the_sigmoid_that_the_library_has() -> None:
    plain, _ = decomposed(one("Swish", VECTOR, opset=24))
    steep, _ = decomposed(one("Swish", VECTOR, opset=24, alpha=2.0))
    assert [node.op_type for node in plain.nodes] == ["Sigmoid", "Mul"]
    assert [node.op_type for node in steep.nodes] == ["Swish"]


def test_a_pool_whose_windows_are_inside_stays_one() -> None:
    graph, counts = decomposed(one("AveragePool", IMAGE, kernel_shape=[3, 3]))
    assert counts == {} and [node.op_type for node in graph.nodes] == ["AveragePool"]


def test_one_op_has_one_rule() -> None:
    op = next(iter(DECOMPOSITIONS))
    with pytest.raises(ValueError, match=f"two decompositions of {op}"):
        DECOMPOSITIONS.rule(op)(lambda node, builder: None)
