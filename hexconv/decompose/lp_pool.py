"""Lp pools by powers, windowed sums and roots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.average_pool import pool_windows, windowed_sum
from hexconv.decompose.registry import decomposes
from hexconv.onnx_graph.build import Builder, shape_of


@decomposes("LpPool")
def lp_pool(node: ir.Node, builder: Builder) -> Sequence[ir.Value] | None:
    """(sum |x|^p)^(1/p); undilated with p = 2 the library has it."""
    source, order = node.inputs[0], _order(node)
    axes, counts = pool_windows(node)
    assert source is not None
    if order == 2 and all(axis.dilation == 1 for axis in axes):
        return None
    sums = windowed_sum(builder, _powers(builder, source, order), axes, counts, 1.0)
    return [_root(builder, sums, order, str(node.name))]


@decomposes("GlobalLpPool")
def global_lp_pool(node: ir.Node, builder: Builder) -> Sequence[ir.Value]:
    """As ReduceL1 or ReduceL2 over space, or by powers."""
    source, order = node.inputs[0], _order(node)
    assert source is not None
    spatial = np.arange(2, len(shape_of(source)), dtype=np.int64)
    attrs, name = {"keepdims": 1}, str(node.name)
    if order in (1, 2):
        return [builder.op(f"ReduceL{order}", [source, spatial], attrs, name=name)]
    sums = builder.op("ReduceSum", [_powers(builder, source, order), spatial], attrs)
    return [_root(builder, sums, order, name)]


def _order(node: ir.Node) -> int:
    attr = node.attributes.get("p")
    return 2 if attr is None else int(attr.as_int())


def _powers(builder: Builder, source: ir.Value, order: int) -> ir.Value:
    if order == 2:
        return builder.op("Mul", [source, source])
    magnitude = builder.op("Abs", [source])
    return magnitude if order == 1 else builder.op("Pow", [magnitude, np.float32(order)])


def _root(builder: Builder, sums: ir.Value, order: int, name: str) -> ir.Value:
    if order == 1:
        return sums
    if order == 2:
        return builder.op("Sqrt", [sums], name=name)
    return builder.op("Pow", [sums, np.float32(1.0 / order)], name=name)
