"""Layer norm's gamma and beta folded into the following Linear (docs/nnlib/costs.md#encoder)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.registry import Stage, declined, rewrite

NORMS = ("LayerNormalization", "RMSNormalization")


@rewrite(Stage.FLOAT)
def norm_affine_into_linear(graph: FloatGraph) -> int:
    """(n * gamma + beta) W + b is n (gamma W) + (beta W + b), where only such products read it."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        if node.op_type in NORMS and _fold(node, builder):
            count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _fold(node: ir.Node, builder: FloatBuilder) -> bool:
    width = shape_of(node.inputs[0])[-1]
    gamma = array_of(node.inputs[1])
    beta = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    biased = len(node.inputs) > 2 and node.inputs[2] is not None
    if gamma is None or gamma.shape != (width,) or (biased and beta is None):
        return False
    if beta is not None and not beta.any():
        node.resize_inputs(2)
        beta, biased = None, False
    plain = bool((gamma == 1.0).all()) and beta is None
    readers = [use.node for use in node.outputs[0].uses()]
    if plain or node.outputs[0].is_graph_output() or not readers:
        return False
    if not all(is_linear(reader, node.outputs[0]) for reader in readers):
        reason = f"'{node.outputs[0].name}' is read by more than products with constants"
        declined("norm_affine_into_linear", node.name, reason)
        return False
    for reader in readers:
        fold_into(reader, gamma, beta, builder)
    make_plain(node, builder)
    return True


def make_plain(node: ir.Node, builder: FloatBuilder) -> None:
    """Take gamma and beta from a norm."""
    width = shape_of(node.inputs[0])[-1]
    node.replace_input_with(1, builder.const(np.ones(width, np.float32), f"{node.name}/one"))
    if len(node.inputs) > 2:
        node.resize_inputs(2)
    # Different values under the old name would compare, and calibrate, incorrectly.
    node.outputs[0].name = builder.fresh(f"{node.outputs[0].name}/plain")


def is_linear(reader: ir.Node, value: ir.Value) -> bool:
    """Whether a node multiplies a value with constant weights (inputs, outputs)."""
    if reader.op_type != "MatMul" or reader.inputs[0] is not value:
        return False
    weights = array_of(reader.inputs[1])
    return weights is not None and weights.ndim == 2


def fold_into(
    reader: ir.Node,
    gamma: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    beta: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None,
    builder: FloatBuilder,
) -> None:
    """Let a product read a norm without its gamma and beta.

    Args:
        reader: the product.
        gamma: (inputs,).
        beta: (inputs,), if there is one.
        builder: of the graph.
    """
    weights = array_of(reader.inputs[1])
    assert weights is not None
    builder.change_const(reader, 1, np.asarray(gamma[:, None] * weights, np.float32), "/scaled")
    if beta is None or not beta.any():
        return
    shift = np.asarray(beta.astype(np.float64) @ weights.astype(np.float64), np.float32)
    _add_bias(reader, shift, builder)


def _add_bias(
    reader: ir.Node, shift: np.ndarray[tuple[int, ...], np.dtype[np.float32]], builder: FloatBuilder
) -> None:
    """Into the bias-add after the product if there is one, else as a new one."""
    product = reader.outputs[0]
    uses = list(product.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Add" and not product.is_graph_output():
        add, position = uses[0].node, 1 - uses[0].idx
        bias = array_of(add.inputs[position])
        if bias is not None and bias.shape == shift.shape:
            builder.change_const(add, position, bias + shift, "/shifted")
            product.name = builder.fresh(f"{product.name}/unbiased")
            return
    add = ir.node("Add", [product, builder.const(shift, f"{reader.name}/shift")])
    add.name = builder.fresh_node(f"{reader.name}/biased")
    old = str(product.name)
    ir.convenience.replace_all_uses_with(product, add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, product)
    product.name = builder.fresh(f"{old}/unbiased")
    add.outputs[0].name = old
    add.outputs[0].shape, add.outputs[0].type = product.shape, product.type
    builder.graph.insert_after(reader, add)
