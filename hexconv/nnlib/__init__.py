"""The nnlib graph, the catalogue of its ops, and the library's prepare."""

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
