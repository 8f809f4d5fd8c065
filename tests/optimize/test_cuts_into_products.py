"""Parts of a product become separate products, where that moves less data."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from tests.lowering.proof import decibels, ints, model, numbers
from tests.optimize.proof import better, ops, rewritten

NAME = "cuts_into_products"
CONV = {"x": numbers((1, 16, 10))}
LINEAR = {"x": numbers((1, 10, 16))}


def glu(cuts: list[NodeProto], *, conv: bool, bias: bool = True, also: str = "") -> ModelProto:
    """A projection to 128 channels, the first half times the sigmoid of the second."""
    consts = {"b": numbers((128,), 3), "sizes": ints(64, 64), "axis": ints(1 if conv else 2)}
    consts |= {"n0": ints(0), "n64": ints(64), "n128": ints(128), "n96": ints(96)}
    if conv:
        consts["w"] = 0.3 * numbers((128, 16, 1), 2)
        nodes = [helper.make_node("Conv", ["x", "w", *(["b"] if bias else [])], ["p"])]
    else:
        consts["w"] = 0.3 * numbers((16, 128), 2)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["m" if bias else "p"])]
        nodes += [helper.make_node("Add", ["m", "b"], ["p"])] if bias else []
    nodes += [*cuts, helper.make_node("Sigmoid", ["q"], ["s"])]
    nodes.append(helper.make_node("Mul", ["a", "s"], ["y"]))
    shape = (1, 16, 10) if conv else (1, 10, 16)
    return model(nodes, {"x": shape}, ["y", *([also] if also else [])], consts)


def split(axis: int) -> list[NodeProto]:
    return [helper.make_node("Split", ["p", "sizes"], ["a", "q"], axis=axis)]


def slices(first: str = "n64", second: str = "n64") -> list[NodeProto]:
    return [
        helper.make_node("Slice", ["p", "n0", first, "axis"], ["a"]),
        helper.make_node("Slice", ["p", second, "n128", "axis"], ["q"]),
    ]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cutting", ["split", "slices"])
@pytest.mark.parametrize("conv", [True, False])
def test_halves_are_two_products(bias: bool, cutting: str, conv: bool) -> None:
    cuts = slices() if cutting == "slices" else split(1 if conv else 2)
    proto, feeds = glu(cuts, conv=conv, bias=bias), CONV if conv else LINEAR
    graph, count = rewritten(proto, NAME, feeds)
    kinds = [node.op_type for node in graph.nodes]
    assert count == 1 and "Split" not in kinds and "Slice" not in kinds
    assert kinds.count("Conv" if conv else "MatMul") == 2
    assert {"a", "q"} <= {v.name for node in graph.nodes for v in node.outputs}


def test_parts_that_overlap_are_left_alone() -> None:
    proto = glu([*slices("n64", "n64")[:1], *slices(second="n64")[1:]], conv=False)
    assert rewritten(proto, NAME, LINEAR)[1] == 1
    nodes = [n for n in proto.graph.node if n.output[0] != "q"]
    nodes.insert(2, helper.make_node("Slice", ["p", "n0", "n64", "axis"], ["q"]))
    consts = {"w": numbers((16, 128)), "b": numbers((128,)), "n0": ints(0), "n64": ints(64)}
    overlapping = model(nodes, {"x": (1, 10, 16)}, ["y"], {**consts, "axis": ints(2)})
    assert rewritten(overlapping, NAME, LINEAR)[1] == 0


def test_a_model_output_stays_whole() -> None:
    assert rewritten(glu(split(2), conv=False, also="p"), NAME, LINEAR)[1] == 0


def test_cuts_of_another_axis_stay() -> None:
    consts = {"w": numbers((16, 128)), "sizes": ints(5, 5)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"])]
    nodes += [helper.make_node("Split", ["p", "sizes"], ["a", "q"], axis=1)]
    nodes += [helper.make_node("Mul", ["a", "q"], ["y"])]
    assert rewritten(model(nodes, {"x": (1, 10, 16)}, ["y"], consts), NAME, LINEAR)[1] == 0


def test_slivers_are_not_worth_a_product_each() -> None:
    consts = {"w": numbers((16, 32)), "sizes": np.full(8, 4, np.int64)}
    names = [f"p{i}" for i in range(8)]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Split", ["p", "sizes"], names, axis=2),
        helper.make_node("Sum", names, ["y"]),
    ]
    assert rewritten(model(nodes, {"x": (1, 10, 16)}, ["y"], consts), NAME, LINEAR)[1] == 0


def test_nothing_is_sliced_on_the_dsp() -> None:
    on, off = better(glu(slices(), conv=False), NAME, LINEAR, 4.0)
    assert "QuantizedSlice_8" in ops(off) and "QuantizedSlice_8" not in ops(on)


@pytest.mark.parametrize("shape", [(1, 8, 12), (4, 12), (1, 160)])
@pytest.mark.parametrize("columns", [5, 1])
def test_a_linear_with_one_number_as_its_bias(shape: tuple[int, ...], columns: int) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    consts = {"w": 0.3 * numbers((shape[-1], columns)), "b": np.float32(0.7)}
    assert decibels(model(nodes, {"x": shape}, ["y"], consts), [{"x": numbers(shape)}]) > 35.0
