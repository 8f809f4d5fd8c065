"""Remove unsupported nodes from a graph, so that all the others can still be checked."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.errors import UnsupportedOpError


class CutNodes:
    """The unsupported nodes of one graph, and the nodes that cannot be checked because of them.

    The result of an unsupported node becomes an input of the graph, if the file declares it and it
    could be an input; otherwise the nodes after it are removed too, and listed. The inputs of an
    unsupported node become outputs, so that nothing before it is dead.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.unsupported: list[UnsupportedOpError] = []
        self.unjudged: list[UnsupportedOpError] = []
        self._unknown: dict[ir.Value, str] = {}

    def behind(self, node: ir.Node) -> bool:
        """Whether a node reads a value of unknown shape; it is then removed as well."""
        for value in node.inputs:
            if value is not None and value in self._unknown:
                culprit = self._unknown[value]
                why = f"it reads the output of the unsupported node '{culprit}'"
                name, op = str(node.name), node.op_type
                self.unjudged.append(
                    UnsupportedOpError("cannot be checked", node=name, op=op, why=why)
                )
                self._take(node, culprit)
                return True
        return False

    def out(self, node: ir.Node, unsupported_op: UnsupportedOpError) -> None:
        """Remove an unsupported node."""
        self.unsupported.append(unsupported_op)
        self._take(node, str(node.name))

    def _take(self, node: ir.Node, culprit: str) -> None:
        inputs = [value for value in node.inputs if value is not None]
        for value in node.outputs:
            self._release(value, culprit)
        self.graph.remove(node)
        for position in range(len(node.inputs)):
            node.replace_input_with(position, None)
        for value in inputs:
            producer = value.producer()
            stays = producer is not None and producer.graph is self.graph
            if stays and not value.is_graph_output():
                self.graph.outputs.append(value)

    def _release(self, value: ir.Value, culprit: str) -> None:
        if value.is_graph_output():
            for item in [item for item in self.graph.outputs if item is value]:
                self.graph.outputs.remove(item)
        if not value.uses():
            return
        if not _can_be_input(value):
            self._unknown[value] = culprit
            return
        stand_in = ir.Value(name=value.name, shape=value.shape, type=value.type)
        ir.convenience.replace_all_uses_with(value, stand_in)
        self.graph.inputs.append(stand_in)


def _can_be_input(value: ir.Value) -> bool:
    """Whether the DSP can receive a value: floats, all sizes known."""
    return (
        value.shape is not None
        and value.shape.is_static()
        and value.dtype is not None
        and value.dtype.is_floating_point()
    )
