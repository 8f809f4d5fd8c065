"""A maximum pool in front of a LeakyRelu, and not behind it.

max(f(x)) is f(max(x)) where f never falls. The LeakyRelu has a quarter of the elements then, or
fewer. Most maxima are positive: what it reads needs a range of few negative values, in finer steps.
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.calibrate.leaky_inputs import slopes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.registry import Stage, rewrite

POOLS = ("MaxPool", "GlobalMaxPool")


@rewrite(Stage.FLOAT)
def activation_behind_pool(graph: FloatGraph) -> int:
    """LeakyRelu and PRelu in front of a maximum pool go behind it."""
    builder, count = FloatBuilder(graph.graph), 0
    for node in filter(_never_falls, graph.nodes):
        while (pool := _pool_behind(node)) is not None:
            _swap(node, pool, builder)
            count += 1
    return count


def _never_falls(node: ir.Node) -> bool:
    """Whether a node is the same function at each position of a channel, which never falls."""
    slopes = slopes_of(node)
    if slopes is None or not slopes.size or float(slopes.min()) < 0.0:
        return False
    places = len(shape_of(node.inputs[0])) - 2
    return slopes.size == 1 or (
        slopes.ndim > places > 0 and all(size == 1 for size in slopes.shape[-places:])
    )


def _pool_behind(node: ir.Node) -> ir.Node | None:
    """The pool that alone reads a node, and returns fewer elements."""
    value = node.outputs[0]
    if not read_once(value):
        return None
    (use,) = value.uses()
    pool = use.node
    if pool.domain or pool.op_type not in POOLS or len(pool.outputs) > 1:
        return None
    if notes_of(node).float_reason or notes_of(pool).float_reason:
        return None
    return pool if prod(shape_of(pool.outputs[0])) < prod(shape_of(value)) else None


def _swap(node: ir.Node, pool: ir.Node, builder: FloatBuilder) -> None:
    """Let a pool read what an activation reads; the activation returns what the pool did."""
    value, pooled = node.outputs[0], pool.outputs[0]
    name = str(pooled.name)
    pool.replace_input_with(0, node.inputs[0])
    ir.convenience.replace_all_uses_with(pooled, value, replace_graph_outputs=True)
    node.replace_input_with(0, pooled)
    builder.graph.remove(node)
    builder.graph.insert_after(pool, node)
    pooled.name = builder.fresh(f"{name}/pooled")
    value.name, value.shape = name, pooled.shape
