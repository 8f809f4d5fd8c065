"""Batch normalization after a matrix product, which layout ops may stand between.

PyTorch exports a BatchNorm1d of a sequence so: `bn(linear(x).flatten(0, 1))` (LeViT),
`bn(linear(x).transpose(1, 2))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import OPSET, FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.evaluate import evaluate
from hexconv.onnx_graph.rewrites.batch_norm import Normalization, normalization
from hexconv.onnx_graph.rewrites.match import made_by, name_of, read_once
from hexconv.onnx_graph.rules import SIMPLIFICATIONS
from hexconv.onnx_graph.selections import LAYOUT

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Product:
    """A MatMul by constant weights, with what is added to it.

    Attributes:
        node: the MatMul.
        side: which of its inputs the weights are.
        weights: (K, C) where they are the second input, (C, K) where they are the first.
        bias: (C,) or one number.
    """

    node: ir.Node
    side: int
    weights: Floats
    bias: Floats

    @property
    def axis(self) -> int:
        """The channels' axis, of the weights and of the result."""
        return -self.side or -2

    def along(self, channels: Floats) -> Floats:
        """(C,) to be broadcast against the result."""
        return channels if self.axis == -1 else channels[:, None]

    def normalized(self, channels: Normalization, builder: FloatBuilder) -> ir.Value:
        """The normalized product, with its bias."""
        factor = channels.factor.astype(np.float32)
        name = name_of(self.node.inputs[self.side])
        operands = list(self.node.inputs)
        operands[self.side] = builder.const(
            self.weights * self.along(factor), f"{name}_with_batch_norm"
        )
        result = builder.op("MatMul", operands, name=str(self.node.name))
        return builder.op("Add", [result, self.along(channels.of(self.bias))])


@SIMPLIFICATIONS.rule("BatchNormalization")
def batch_norm_into_product(node: ir.Node, builder: FloatBuilder) -> bool:
    """BatchNormalization(moved(x W + b)) is moved(x W s + (b - mean) s + beta)."""
    channels = normalization(node)
    moves = _moves_before(node)
    source = moves[-1].inputs[0] if moves else node.inputs[0]
    product = _product(source)
    if channels is None or product is None or not _are_channels(product, moves, node):
        return False
    value = product.normalized(channels, builder)
    for move in reversed(moves):
        attrs = {key: attr.value for key, attr in move.attributes.items()}
        value = builder.op(move.op_type, [value, *move.inputs[1:]], attrs, name=str(move.name))
    builder.replace(node, [value])
    return True


def _moves_before(node: ir.Node) -> list[ir.Node]:
    """The layout ops in front of a node, the last one first."""
    moves: list[ir.Node] = []
    value = node.inputs[0]
    while (move := made_by(value, *LAYOUT)) is not None and read_once(move.outputs[0]):
        moves.append(move)
        value = move.inputs[0]
    return moves


def _product(value: ir.Value | None) -> _Product | None:
    """The product that a value is, if nothing else reads it."""
    add = made_by(value, "Add")
    if add is None:
        return _by_constant(value, np.zeros(1, np.float32))
    for position in (0, 1):
        bias, product = array_of(add.inputs[1 - position]), add.inputs[position]
        if bias is None or product is None or not read_once(add.outputs[0]):
            continue
        if shape_of(product) == shape_of(add.outputs[0]):
            return _by_constant(product, bias)
    return None


def _by_constant(value: ir.Value | None, added: Floats) -> _Product | None:
    node = made_by(value, "MatMul")
    if node is None or not read_once(node.outputs[0]) or len(shape_of(node.outputs[0])) < 2:
        return None
    for side in (0, 1):
        weights = array_of(node.inputs[side])
        if weights is not None and weights.ndim == 2:
            bias = _by_channel(added, weights.shape[side], 1 - side)
            return None if bias is None else _Product(node, side, weights, bias)
    return None


def _by_channel(added: Floats, channels: int, behind: int) -> Floats | None:
    """(C,) of what is added to a result with `behind` axes behind the channels' one."""
    flat = added.reshape(-1)
    alike = added.size == 1 or (added.size == channels and _sizes(added, behind) == channels)
    return flat if alike else None


def _sizes(added: Floats, behind: int) -> int:
    """The size of the axis that has `behind` axes behind it."""
    return added.shape[-1 - behind] if added.ndim > behind else 0


def _are_channels(product: _Product, moves: Sequence[ir.Node], node: ir.Node) -> bool:
    """Whether the channels of a product are those of the node behind the moves."""
    shape, (count,) = shape_of(product.node.outputs[0]), shape_of(node.inputs[1])
    if shape[product.axis] != count:
        return False
    along = np.arange(count, dtype=np.int32)
    numbers = np.broadcast_to(along if product.axis == -1 else along[:, None], shape)
    for move in reversed(moves):
        others = [array_of(value) for value in move.inputs[1:]]
        if any(other is None for other in others):
            return False
        (numbers,) = evaluate(move, [numbers, *others], OPSET)
    return bool((np.moveaxis(numbers, 1, -1) == along).all())
