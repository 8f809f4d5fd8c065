"""What shape inference and folding need of nodes: static sizes, and errors in one line."""

from __future__ import annotations

import onnx
import onnx_ir as ir


def static_sizes(found: onnx.TypeProto) -> list[int] | None:
    """The sizes of a tensor type; None if one is not known."""
    tensor = found.tensor_type
    if not tensor.HasField("shape"):
        return None
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    return None if -1 in sizes else sizes


def node_label(node: ir.Node) -> str:
    """The node, as errors name it."""
    return f"node '{node.name}' ({node.op_type})"


def one_line(error: Exception) -> str:
    """An error's text without line breaks."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
