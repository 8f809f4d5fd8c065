"""Small ONNX models, and a comparison of the canonical form with the original model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.session import FloatSession

Array = npt.NDArray[Any]
Shape = Sequence[int | str | None]


def node(op_type: str, inputs: str, outputs: str, **attrs: Any) -> onnx.NodeProto:
    """A node whose inputs and outputs are written with spaces between; `_` is an absent one."""
    read = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op_type, read, outputs.split(), name=f"n_{outputs.split()[0]}", **attrs)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str] = ("y",),
    consts: Mapping[str, npt.ArrayLike] | None = None,
    opset: int = 17,
    dtype: int = onnx.TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A checked model; floats among `consts` are float32."""
    tensors = []
    for name, value in (consts or {}).items():
        array = np.asarray(value)
        tensors.append(
            numpy_helper.from_array(
                array.astype(np.float32) if array.dtype == np.float64 else array, name
            )
        )
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def feeds_of(graph: FloatGraph, seed: int = 0) -> dict[str, Array]:
    """Normal random inputs."""
    generator = np.random.default_rng(seed)
    return {i.name: generator.standard_normal(i.shape).astype(np.float32) for i in graph.inputs}


def original_outputs(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """ONNX Runtime's outputs for the original model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = {i.name: feeds[i.name].astype(_numpy(i.type)) for i in session.get_inputs()}
    return list(session.run(None, wanted))


def _numpy(name: str) -> str:
    return {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8"}[name]


def same_outputs(
    proto: onnx.ModelProto, *, recognize: bool = True, tolerance: float = 1e-5, **shapes: Any
) -> FloatGraph:
    """Load a model and check that the canonical form returns what the model does."""
    graph = load(proto, shapes or None, recognize=recognize)
    feeds = feeds_of(graph)
    ours = FloatSession(graph).run(feeds)
    assert list(ours) == [value.name for value in proto.graph.output]
    for mine, theirs in zip(ours.values(), original_outputs(proto, feeds), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    return graph


def ops(graph: FloatGraph) -> list[str]:
    """Op types in order."""
    return [item.op_type for item in graph.nodes]
