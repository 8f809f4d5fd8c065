"""Sums of a residual stream from all their terms, rounded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.model import Model
from hexconv.optimize.sums_at_once import MOST_TERMS, long_sums, stream_ends
from hexconv.pipeline import prepared
from hexconv.precision import Precision
from hexconv.settings import Settings
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import feeds, precisely, sqnr


def linears(blocks: int, reach: float = 0.5, rows: int = 24, width: int = 32) -> onnx.ModelProto:
    """x0 = W x, x1 = x0 + W1 tanh(x0), ...: up to the last sum, behind a Linear."""
    consts = {"w": numbers((width, width), 99) / width**0.5, "v": numbers((width, 8), 98) / 6}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["x0"])]
    for n in range(blocks):
        consts[f"w{n}"] = numbers((width, width), n) * np.float32(reach / width**0.5)
        nodes += [
            helper.make_node("Tanh", [f"x{n}"], [f"t{n}"]),
            helper.make_node("MatMul", [f"t{n}", f"w{n}"], [f"b{n}"]),
            helper.make_node("Add", [f"x{n}", f"b{n}"], [f"x{n + 1}"]),
        ]
    nodes.append(helper.make_node("MatMul", [f"x{blocks}", "v"], ["y"]))
    return model(nodes, {"x": (1, rows, width)}, ["y"], consts)


def convolutions(shape: Sequence[int] = (1, 16, 40)) -> onnx.ModelProto:
    """Two streams from one tensor, which the sum of both has twice."""
    channels, axes = shape[1], len(shape) - 2
    consts = {"w": numbers((channels, channels, *(1,) * axes), 9) / 4}
    nodes = [helper.make_node("Conv", ["x", "w"], ["x0"])]
    for side in ("l", "r"):
        before = "x0"
        for n in range(2):
            name = f"{side}{n}"
            seed = n + 3 * (side == "l")
            consts[f"w_{name}"] = numbers((channels, channels, *(3,) * axes), seed) / 9
            pads = [1] * (2 * axes)
            nodes += [
                helper.make_node("Relu", [before], [f"a_{name}"]),
                helper.make_node("Conv", [f"a_{name}", f"w_{name}"], [f"b_{name}"], pads=pads),
                helper.make_node("Add", [before, f"b_{name}"], [name]),
            ]
            before = name
    nodes.append(helper.make_node("Add", ["l1", "r1"], ["y"]))
    return model(nodes, {"x": shape}, ["y"], consts)


def clipped() -> onnx.ModelProto:
    """Terms that end at zero: their ranges cannot be parts of one below it."""
    proto = linears(3)
    for n, node in enumerate([node for node in proto.graph.node if node.op_type == "Add"]):
        place = list(proto.graph.node).index(node)
        relu = helper.make_node("Relu", [f"b{n}"], [f"p{n}"])
        node.input[1] = f"p{n}"
        proto.graph.node.insert(place, relu)
    return proto


def made(proto: onnx.ModelProto, *sums: str) -> Model:
    return precisely(proto, Precision(sums=sums))


@pytest.mark.parametrize(
    ("proto", "last", "gain"),
    [
        (linears(8), "x8", 2.0),
        (linears(8, reach=1.0), "x8", 0.5),
        (linears(8, rows=96, width=128), "x8", 1.0),
        (convolutions(), "y", 0.5),
        (convolutions((1, 8, 6, 10)), "y", 0.5),
        (clipped(), "x3", -0.2),
    ],
    ids=["linears", "wide residuals", "by rows", "convolutions", "images", "clipped terms"],
)
def test_it_is_better_and_has_the_librarys_bits(
    proto: onnx.ModelProto, last: str, gain: float
) -> None:
    plain, at_once = made(proto), made(proto, last)
    assert at_once.graph != plain.graph
    assert sqnr(proto, at_once) > sqnr(proto, plain) + gain
    same_on_the_library(at_once, feeds(proto, 1, 50)[0])


def test_of_many_channels_no_channel_is_multiplied_with_others() -> None:
    found = made(linears(8, rows=96, width=128), "x8").graph
    (conv,) = (node for node in found.nodes if node.name == "x8")
    assert conv.op == "DepthwiseSupernode_8x8p32to8"


def test_terms_keep_their_levels() -> None:
    """Nothing rescales what is concatenated, and every weight is a whole number of levels."""
    proto = linears(5)
    graph, _ = prepared(proto, None, Settings())
    (total,) = stream_ends(graph)
    found = made(proto, "x5").graph
    assert not any(node.op.startswith("Requantize_8") for node in found.nodes)
    (conv,) = (node for node in found.nodes if node.name == "x5")
    codes = found.const_by_id()[conv.inputs[1].node].array
    observed = made(proto).ranges
    assert sorted(set(codes.reshape(-1).tolist()) - {128}) == sorted(
        {128 + level for level in total.levels(observed)}
    )


def test_streams_end_where_no_other_sum_goes_on() -> None:
    graph, _ = prepared(linears(12), None, Settings())
    last, first = stream_ends(graph)
    assert (last.tensor, len(last.terms)) == ("x12", MOST_TERMS)
    assert (first.tensor, len(first.terms)) == ("x4", 5)
    assert [str(value.name) for value in last.terms[:2]] == ["x4", "b4"]


def test_both_sums_of_a_long_stream_are_added_up_at_once() -> None:
    proto = linears(12)
    found = made(proto, "x4", "x12")
    assert sqnr(proto, found) > sqnr(proto, made(proto, "x12")) > sqnr(proto, made(proto)) + 0.5
    same_on_the_library(found, feeds(proto, 1, 50)[0])


def test_a_tensor_is_a_term_as_often_as_it_is_added() -> None:
    graph, _ = prepared(convolutions(), None, Settings())
    total = long_sums(graph)["y"]
    assert [str(value.name) for value in total.terms].count("x0") == 2
    assert len(total.terms) == 5  # the last convolutions of both are one


def test_two_terms_are_a_sum_as_it_is() -> None:
    graph, _ = prepared(linears(1), None, Settings())
    assert long_sums(graph) == {}


def test_what_no_product_makes_is_not_added_up_so() -> None:
    """Nothing tells the axis of the channels."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Add", ["x", "t"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["s"]),
        helper.make_node("Add", ["u", "s"], ["y"]),
    ]
    graph, _ = prepared(model(nodes, {"x": (1, 4, 8)}, ["y"], {}), None, Settings())
    assert long_sums(graph) == {}
