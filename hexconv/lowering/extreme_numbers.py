"""Numbers too large for the library: errors that name a node and the tensors that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hexconv.arrays import Array
from hexconv.errors import NodeRangeError, RangeError, UnsupportedOpError
from hexconv.lowering.context import OVERFLOWS, SCALE_DOWN, Context
from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.quantize import LARGEST_NUMBER, Bounds, Range

MULTIPLYING = frozenset(
    (
        *("Affine", "BatchNormalization", "ChannelSum", "Conv", "ConvTranspose", "Gemm"),
        *("MatMul", "PRelu", "Pow"),
    )
)
"""Ops that multiply with their constants, or add them to products."""
SCALING = {"Elu": ("alpha",), "LeakyRelu": ("alpha",), "Selu": ("alpha", "gamma")}
"""Attributes that are factors, by op."""
LARGEST_END = LARGEST_NUMBER * 1.01
"""Of a range: it ends up to a level beyond what was observed."""


def check_factors(node: NodeView, ctx: Context) -> None:
    """Check the factors of a node, whatever the values are that they meet.

    Raises:
        UnsupportedOpError: a constant or an attribute is beyond what the library computes with.
    """
    found = _constants(node, ctx) if node.op in MULTIPLYING else ()
    factors = [(f"the constant '{name}'", largest(array)) for name, array in found]
    attributes = (node.node.attributes.get(name) for name in SCALING.get(node.op, ()))
    factors += [(f"the attribute {item.name}", abs(item.as_float())) for item in attributes if item]
    for told, size in factors:
        if size > LARGEST_NUMBER:
            raise UnsupportedOpError(
                f"{told} holds numbers up to {size:.3g}", why=OVERFLOWS, hint="scale it down"
            )


def check_ranges(
    graph: FloatGraph, ranges: Mapping[str, Range], observed: Mapping[str, Bounds]
) -> None:
    """Check the tensors whose numbers overflow float32 in the library once they are multiplied.

    Args:
        graph: whose tensors they are.
        ranges: that they will have, at most a level wider than what is needed of them.
        observed: (min, max) of each, for the error.

    Raises:
        RangeError: naming the tensor, and the node that computes it.
    """
    for value in graph.values().values():
        known, name = ranges.get(str(value.name)), str(value.name)
        if known is None or value.is_initializer() or max(-known.min, known.max) <= LARGEST_END:
            continue
        low, high = observed[name]
        told = f"the tensor '{name}' holds numbers from {low:.3g} to {high:.3g}"
        node = value.producer()
        if node is None:
            raise RangeError(told, where="an input", why=OVERFLOWS, hint=SCALE_DOWN)
        raise NodeRangeError(
            told, node=str(node.name), op=node.op_type, why=OVERFLOWS, hint=SCALE_DOWN
        )


def overflow(node: NodeView, ctx: Context) -> NodeRangeError:
    """The error of a node whose products are past float32: what it multiplies, and how large."""
    constants = dict(_constants(node, ctx))
    sizes = {name: largest(array) for name, array in constants.items()}
    for name in node.inputs:
        if name in ctx.ranges:
            sizes[name] = max(-ctx.ranges[name].min, ctx.ranges[name].max)
    told = ", ".join(f"'{name}' up to {size:.3g}" for name, size in sizes.items())
    return NodeRangeError(
        f"the products of {told} are past the largest float32",
        node=node.name,
        op=node.op,
        why="the library sums them in 32 bits, whose range is a float32",
        hint="scale the weights down, or the inputs",
    )


def largest(array: Array) -> float:
    """The largest number without its sign; 0 of an empty array."""
    return max(float(array.max()), -float(array.min())) if array.size else 0.0


def _constants(node: NodeView, ctx: Context) -> Iterator[tuple[str, Array]]:
    for name in node.inputs:
        array = ctx.const(name) if name else None
        if array is not None and array.dtype.kind == "f":
            yield name, array
