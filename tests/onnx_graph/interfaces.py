"""Models with inputs of integers and booleans, and with inner tensors to begin at."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.lowering.proof import numbers
from tests.onnx_graph.models import node

FRAMES = 6
Inputs = dict[str, tuple[int, list[Any] | None]]


def proto(
    nodes: list[onnx.NodeProto], inputs: Inputs, outputs: str = "y", **consts: Any
) -> onnx.ModelProto:
    """A model whose inputs have types of their own."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def masked(shape: list[Any]) -> onnx.ModelProto:
    """y = relu(x) times a mask of the first `lengths` frames."""
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes one", "count"),
        node("Range", "zero count step", "frames"),
        node("Unsqueeze", "lengths axis", "column")
        if shape
        else node("Identity", "lengths", "column"),
        node("Less", "frames column", "mask"),
        node("Cast", "mask", "weights", to=1),
        node("Unsqueeze", "weights axis", "broad"),
        node("Relu", "x", "r"),
        node("Mul", "r broad" if not shape else "r turned", "y"),
    ]
    if shape:
        nodes[-1:-1] = [node("Transpose", "broad", "turned", perm=[0, 2, 1])]
    return proto(
        nodes,
        {"x": (1, ["batch", FRAMES, 4]), "lengths": (TensorProto.INT64, shape)},
        one=np.int64(1),
        zero=np.int64(0),
        step=np.int64(1),
        axis=np.array([1]),
    )


def outputs_of(model: onnx.ModelProto, **feeds: Any) -> list[Any]:
    return list(onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds))


def gated(kind: int, shape: list[Any] | None) -> onnx.ModelProto:
    """y = x where `on`, else -x."""
    reads = [] if kind == TensorProto.BOOL else [node("Cast", "on", "truth", to=TensorProto.BOOL)]
    name = "truth" if reads else "on"
    nodes = [
        *reads,
        node("Neg", "x", "n"),
        node("Where", f"{name} x n", "w"),
        node("Relu", "w", "y"),
    ]
    return proto(nodes, {"x": (1, [2, 3]), "on": (kind, shape)})


def embedded() -> onnx.ModelProto:
    """Token ids through a table and two products."""
    nodes = [
        node("Gather", "table ids", "e"),
        node("MatMul", "e a", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r b", "y"),
        node("ArgMax", "y", "top", axis=-1, keepdims=0),
        node("Shape", "ids", "sizes"),
    ]
    made = proto(
        nodes,
        {"ids": (TensorProto.INT64, ["batch", "t"])},
        "y top sizes",
        table=numbers((20, 8)),
        a=numbers((8, 8), 2),
        b=numbers((8, 5), 3),
    )
    for value, kind in zip(made.graph.output, (1, 7, 7), strict=True):
        value.type.tensor_type.elem_type = kind
    return made
