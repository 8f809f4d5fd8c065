"""Models of one op, and the proof that a conversion of them is right.

Inputs are exact in a range with an integer zero point, so that quantizing them loses
nothing: what only moves data must return exactly what ONNX Runtime does, and any difference
elsewhere comes from the op itself. With HEXCONV_LIBRARY set, the real library must return the
simulator's very bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import hexconv
from hexconv.compare import metrics
from hexconv.device import Library
from hexconv.errors import HexconvError
from hexconv.model import Model
from hexconv.simulator import Simulator

Array = npt.NDArray[Any]
EXACT = 1e-4
STEP = 1 / 32


def on_codes(shape: Sequence[int], seed: int = 0, *, zero: int = 128) -> Array:
    """float32 whose quantized values fill 0..255 at the scale 1/32, with the zero point `zero`."""
    codes = np.random.default_rng(seed).integers(0, 256, prod(shape))
    codes[0], codes[-1] = 0, 255
    return ((codes.reshape(shape) - zero) * STEP).astype(np.float32)


def numbers(shape: Sequence[int], seed: int = 1) -> Array:
    """Normal random float32, for parameters."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: Any) -> Array:
    """An int64 constant."""
    return np.array(values, np.int64)


def one(
    op: str,
    shape: Sequence[int],
    *consts: Array | None,
    opset: int = 19,
    outputs: int = 1,
    **attrs: Any,
) -> onnx.ModelProto:
    """A model of one node: `x` and constants in (None for an absent one), `y0`, `y1`... out."""
    names = ["" if value is None else f"c{i}" for i, value in enumerate(consts)]
    made = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, ["x", *names], made, name="node", **attrs)
    given = {name: value for name, value in zip(names, consts, strict=True) if value is not None}
    return model([node], {"x": shape}, made, given, opset)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    consts: Mapping[str, Array] | None = None,
    opset: int = 19,
) -> onnx.ModelProto:
    """A model of float inputs."""
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, floats, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (consts or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def of_two(op: str, left: Sequence[int], right: Sequence[int], **attrs: Any) -> onnx.ModelProto:
    """A model of one node of two inputs, `a` and `b`, which are fed flat: of any rank."""
    nodes = [
        helper.make_node("Reshape", ["a", "a_shape"], ["a_full"]),
        helper.make_node("Reshape", ["b", "b_shape"], ["b_full"]),
        helper.make_node(op, ["a_full", "b_full"], ["y_full"], name="node", **attrs),
        helper.make_node("Reshape", ["y_full", "flat"], ["y"]),
    ]
    shapes = {"a_shape": ints(*left), "b_shape": ints(*right), "flat": ints(-1)}
    return model(nodes, {"a": (prod(left),), "b": (prod(right),)}, ["y"], shapes)


def float_outputs(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """ONNX Runtime's outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(feeds)))


def matches(
    proto: onnx.ModelProto,
    steps: float = EXACT,
    feeds: Mapping[str, Array] | None = None,
    expected: Sequence[Array] | None = None,
) -> Model:
    """Convert, simulate, and hold every output to ONNX Runtime's.

    Args:
        proto: the model.
        steps: the largest error of an element, in LSB of its output.
        feeds: inputs; exactly representable by default.
        expected: what to compare with where ONNX Runtime lacks the op.
    """
    if feeds is None:
        feeds = {
            value.name: on_codes([d.dim_value for d in value.type.tensor_type.shape.dim], seed)
            for seed, value in enumerate(proto.graph.input)
        }
    wanted = float_outputs(proto, feeds) if expected is None else expected
    converted = hexconv.convert(proto, samples=[feeds], optimize="none")
    results = hexconv.simulate(converted, feeds, library="v60")
    for output, reference in zip(converted.graph.outputs, wanted, strict=True):
        result = results[output.name]
        assert result.shape == reference.shape
        step = (output.range[1] - output.range[0]) / 255
        worst = float(np.abs(result - reference).max()) / step
        assert worst <= steps, f"{output.name} has an error of {worst:.2f} LSB"
    same_on_the_library(converted, feeds)
    return converted


def same_on_the_library(model: Model, feeds: Mapping[str, Array]) -> None:
    """With HEXCONV_LIBRARY set: the real library gives the bits of the simulator of its version."""
    if not os.environ.get("HEXCONV_LIBRARY"):
        return
    library = Library()
    simulated = hexconv.simulate(model, feeds, library=library.version)
    for name, real in library.run(model, feeds).items():
        np.testing.assert_array_equal(real, simulated[name])


def decibels(
    proto: onnx.ModelProto, samples: Sequence[Mapping[str, Array]], **settings: Any
) -> float:
    """SQNR of the worst output over all samples, on which it is calibrated too.

    The real library, where HEXCONV_LIBRARY names it, gives the simulator's bits on the first.
    """
    converted = hexconv.convert(proto, samples=samples, **settings)
    simulator = Simulator(converted, "v60")
    results = [simulator.run(sample) for sample in samples]
    same_on_the_library(converted, samples[0])
    wanted = [float_outputs(proto, sample) for sample in samples]
    found = []
    for index, output in enumerate(converted.graph.outputs):
        signal = sum(float((np.float64(want[index]) ** 2).sum()) for want in wanted)
        noise = sum(
            float(((np.float64(want[index]) - result[output.name]) ** 2).sum())
            for want, result in zip(wanted, results, strict=True)
        )
        found.append(metrics.decibels(signal, noise))
    return min(found)


def unsupported_op(proto: onnx.ModelProto, feeds: Mapping[str, Array] | None = None) -> str:
    """The message of the error for a model."""
    with pytest.raises(HexconvError) as caught:
        matches(proto, feeds=feeds, expected=[])
    return str(caught.value)


def emitted(converted: Model) -> dict[str, int]:
    """nnlib ops but those of the interface and of the floors of quiet inputs, and how often."""
    ops = [n.op for n in converted.graph.nodes if not n.name.endswith("/loud_enough")]
    counts = {op: ops.count(op) for op in sorted(set(ops))}
    return {op: n for op, n in counts.items() if not op.startswith(("QuantizeINPUT", "Dequant"))}
