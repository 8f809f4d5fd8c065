"""Masks of rows and keys, added to scores or chosen by a minimum, cost them no levels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.calibrate.test_masks import FRAMES, WIDTH, decibels, feeds
from tests.lowering.proof import Array, model, numbers


def two_attentions(
    op: str, bias: list[onnx.NodeProto] | Array, consts: dict[str, Array], *, negated: bool = False
) -> onnx.ModelProto:
    """Two attentions in a row, between whose scores and softmax a bias is put by `op`.

    Args:
        op: of two operands.
        bias: the nodes that compute it of the mask `m`, (1, 1, FRAMES); or a constant.
        consts: that these read.
        negated: whether the negative of the result is what softmax reads.
    """
    inputs: dict[str, tuple[int, ...]] = {"x": (1, FRAMES, WIDTH)}
    if isinstance(bias, list):
        nodes, consts, inputs["m"] = list(bias), dict(consts), (1, 1, FRAMES)
    else:
        nodes, consts = [], {"bias": bias}
    last = "x"
    for layer in ("a", "b"):
        outs = {name: f"{layer}/{name}" for name in ("k", "scores", "s", "n", "p", "y")}
        consts[f"{layer}/w"] = numbers((WIDTH, WIDTH), seed=7) * (0.2 if layer == "a" else 0.4)
        nodes += [
            helper.make_node("Transpose", ["x"], [outs["k"]], perm=[0, 2, 1]),
            helper.make_node("MatMul", [last, f"{layer}/w"], [f"{layer}/q"]),
            helper.make_node("MatMul", [f"{layer}/q", outs["k"]], [outs["scores"]]),
            helper.make_node(op, [outs["scores"], "bias"], [outs["s"]]),
        ]
        scores = outs["s"]
        if negated:
            nodes.append(helper.make_node("Neg", [scores], [outs["n"]]))
            scores = outs["n"]
        nodes.append(helper.make_node("Softmax", [scores], [outs["p"]], axis=-1))
        last = "y" if layer == "b" else outs["y"]
        nodes.append(helper.make_node("MatMul", [outs["p"], "x"], [last]))
    return model(nodes, inputs, ["y"], consts)


def chosen(op: str, mask: Array | None, kind: int = onnx.TensorProto.FLOAT) -> onnx.ModelProto:
    """Two attentions whose scores are the least of them and of +-1e4; Max: before a negation."""
    sign = 1.0 if op == "Min" else -1.0
    if mask is not None:
        constant = np.float32(sign) * (mask.astype(np.float32) * 2e4 - 1e4)
        return two_attentions(op, constant, {}, negated=op == "Max")
    consts: dict[str, Array] = {"two": np.float32(sign * 2e4), "one": np.float32(sign * 1e4)}
    nodes = [
        helper.make_node("Cast", ["m"], ["kept"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["kept", "two"], ["wide"]),
        helper.make_node("Sub", ["wide", "one"], ["bias"]),
    ]
    proto = two_attentions(op, nodes, consts, negated=op == "Max")
    proto.graph.input[1].type.tensor_type.elem_type = kind
    return proto


@pytest.mark.parametrize("op", ["Min", "Max"])
@pytest.mark.parametrize(
    "kind", [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL]
)
def test_a_mask_that_a_minimum_chooses_is_as_good_as_an_added_one(op: str, kind: int) -> None:
    assert decibels(chosen(op, None, kind), 4) > 26.0


@pytest.mark.parametrize("op", ["Min", "Max"])
def test_a_constant_that_a_minimum_chooses_ends_where_each_of_the_scores_does(op: str) -> None:
    assert decibels(chosen(op, feeds(4)["m"]), 4) > 26.0


def both_axes(op: str, far: float, mask: Array | None = None) -> onnx.ModelProto:
    """Two attentions to whose scores a mask of padded queries and keys is added, or subtracted.

    Args:
        op: "Add" or "Sub".
        far: what hides.
        mask: 1 for what counts, (1, 1, FRAMES); None: an input.
    """
    sign = np.float32(far if op == "Add" else -far)
    if mask is not None:
        return two_attentions(op, np.asarray(sign * (1 - mask * mask.transpose(0, 2, 1))), {})
    nodes = [
        helper.make_node("Transpose", ["m"], ["of_rows"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["m", "of_rows"], ["kept"]),
        helper.make_node("Sub", ["one", "kept"], ["hidden"]),
        helper.make_node("Mul", ["hidden", "far"], ["bias"]),
    ]
    return two_attentions(op, nodes, {"far": np.asarray(sign), "one": np.float32(1)})


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize("far", [-1e4, -1e9])
@pytest.mark.parametrize("computed", [False, True])
def test_rows_that_a_mask_hides_throughout_keep_their_scores(
    op: str, far: float, computed: bool
) -> None:
    # Of -1e9 float32 keeps no score beside it: the row is even.
    mask = None if computed else feeds(4)["m"]
    assert decibels(both_axes(op, far, mask), 4) > 26.0
