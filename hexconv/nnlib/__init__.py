"""The nnlib graph, the catalogue of its ops, and what the library makes of a graph."""

from hexconv.nnlib.graph import Const, Graph, Interface, Node, Origin, Output, Padding, Ref
from hexconv.nnlib.layout import Layout

__all__ = [
    "Const",
    "Graph",
    "Interface",
    "Layout",
    "Node",
    "Origin",
    "Output",
    "Padding",
    "Ref",
]
