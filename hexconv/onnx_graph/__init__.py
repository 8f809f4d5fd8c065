"""The ONNX side: load a model, fix its shapes, bring it into one canonical form."""

import hexconv.onnx_ir_without_sympy  # noqa: F401  (before anything imports onnx-ir)
from hexconv.onnx_graph.graph import FloatGraph, TensorInfo
from hexconv.onnx_graph.load import load
from hexconv.onnx_graph.node_view import NodeView

__all__ = ["FloatGraph", "NodeView", "TensorInfo", "load"]
