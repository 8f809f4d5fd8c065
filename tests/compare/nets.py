"""Small seeded models for tests of the comparison."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 8, 12, 12)


def samples(count: int, seed: int = 0, scale: float = 1.0) -> list[dict[str, np.ndarray]]:
    """Normal images for `convolutions`."""
    draw = np.random.default_rng(seed)
    return [{"x": (scale * draw.standard_normal(SHAPE)).astype(np.float32)} for _ in range(count)]


def convolutions() -> onnx.ModelProto:
    """x -> first -> relu -> second -> added to the relu -> pooled -> scores (1,10)."""
    draw = np.random.default_rng(1)
    weights = {
        name: (draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in {"w1": (16, 8, 3, 3), "w2": (16, 16, 3, 3), "w3": (10, 16)}.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["first"], pads=[1] * 4),
        helper.make_node("Relu", ["first"], ["relu"]),
        helper.make_node("Conv", ["relu", "w2"], ["second"], pads=[1] * 4),
        helper.make_node("Add", ["second", "relu"], ["added"]),
        helper.make_node("GlobalAveragePool", ["added"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3"], ["scores"], transB=1),
    ]
    return _model(nodes, weights, SHAPE, "scores", (1, 10))


def softmax_of_many(classes: int = 512) -> onnx.ModelProto:
    """x (1,4,32) -> Linear -> softmax over many classes: what 8 bits cannot hold."""
    draw = np.random.default_rng(2)
    weights = {"w": (draw.standard_normal((32, classes)) / 30).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["odds"], axis=-1),
    ]
    return _model(nodes, weights, (1, 4, 32), "odds", (1, 4, classes))


def _model(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    shape: tuple[int, ...],
    output: str,
    result: tuple[int, ...],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, result)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
