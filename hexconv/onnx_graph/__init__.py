"""The ONNX side: load a model, fix its shapes, bring it into one normal form."""

from hexconv.onnx_graph.graph import FloatGraph, TensorInfo
from hexconv.onnx_graph.load import load
from hexconv.onnx_graph.view import NodeView

__all__ = ["FloatGraph", "NodeView", "TensorInfo", "load"]
