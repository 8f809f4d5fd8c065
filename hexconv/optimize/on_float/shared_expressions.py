"""Common subexpression elimination."""

from __future__ import annotations

from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.registry import Stage, rewrite


@rewrite(Stage.FLOAT)
def shared_expressions(graph: FloatGraph) -> int:
    """Nodes of equal op, attributes and inputs become one: LeakyReLU before three blocks."""
    before = len(graph.nodes)
    CommonSubexpressionEliminationPass()(graph.model)
    remove_dead(graph.graph)
    return before - len(graph.nodes)
