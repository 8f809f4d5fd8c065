"""Tensors too large for memory are one error, before memory for them is asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.argument_types import checks_types
from hexconv.errors import HexconvError

SIZES = [1, 1 << 14, 16, 1 << 10]
"""Of 2^28 elements: 1 GiB."""

MIB = 1 << 20


def network(
    nodes: list[onnx.NodeProto], sizes: list[int], out: list[int], **consts: object
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def declared() -> onnx.ModelProto:
    return network([helper.make_node("Relu", ["x"], ["y"])], SIZES, SIZES)


def averaged(node: onnx.NodeProto, *before: onnx.NodeProto, **consts: object) -> onnx.ModelProto:
    """A network in which `node` makes "e", of 2^28 elements, that nothing declares."""
    mean = helper.make_node("ReduceMean", ["e"], ["m"], axes=[0, 1, 2], keepdims=1)
    last = helper.make_node("Add", ["x", "m"], ["y"])
    shape = [1, 1, 1, SIZES[-1]]
    return network([*before, node, mean, last], shape, shape, **consts)


def expand() -> onnx.ModelProto:
    return averaged(helper.make_node("Expand", ["x", "s"], ["e"]), s=np.array(SIZES))


def expanded_constant() -> onnx.ModelProto:
    node = helper.make_node("Expand", ["k", "s"], ["e"])
    return averaged(node, s=np.array(SIZES), k=np.float32(1))


def constant_of_shape() -> onnx.ModelProto:
    return averaged(helper.make_node("ConstantOfShape", ["s"], ["e"]), s=np.array(SIZES))


def tile() -> onnx.ModelProto:
    counts = np.array([*SIZES[:-1], 1])
    return averaged(helper.make_node("Tile", ["x", "s"], ["e"]), s=counts)


def ranged() -> onnx.ModelProto:
    numbers = helper.make_node("Range", ["a", "b", "c"], ["r"])
    node = helper.make_node("Reshape", ["r", "s"], ["e"])
    ends = dict(zip("abc", np.float32([0, 1 << 28, 1]), strict=True))
    return averaged(node, numbers, s=np.array(SIZES), **ends)


def resize() -> onnx.ModelProto:
    node = helper.make_node("Resize", ["x", "", "", "s"], ["e"], mode="nearest")
    return averaged(node, s=np.array(SIZES))


def pad() -> onnx.ModelProto:
    ends = np.array([0, 0, 0, 0, 0, SIZES[1] - 1, SIZES[2] - 1, 0])
    return averaged(helper.make_node("Pad", ["x", "s"], ["e"]), s=ends)


def gather() -> onnx.ModelProto:
    node = helper.make_node("Gather", ["x", "s"], ["e"], axis=1)
    reshaped = helper.make_node("Reshape", ["g", "t"], ["e"])
    node.output[0] = "g"
    return averaged(reshaped, node, s=np.zeros(SIZES[1] * SIZES[2], np.int64), t=np.array(SIZES))


MODELS = [
    *(declared, expand, expanded_constant, constant_of_shape),
    *(tile, ranged, resize, pad, gather),
]


def check(model: onnx.ModelProto) -> object:
    """Raise what `check` finds, as `convert` raises it."""
    found = hexconv.check(model)
    if not found.ok:
        raise HexconvError("not supported")
    return found


USES: list[Callable[[onnx.ModelProto], object]] = [
    hexconv.convert,
    lambda model: hexconv.convert(model, ranges=dict.fromkeys("xyemrg", (-1.0, 1.0))),
    lambda model: hexconv.convert(model, samples=[{"x": np.ones((1, 1, 1, 1024), np.float32)}]),
    lambda model: hexconv.convert(model, float_fallback=True),
    check,
]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("use", USES)
def test_a_tensor_of_a_gibibyte_is_an_error_before_memory_is_asked_for(
    make: Callable[[], onnx.ModelProto], use: Callable[[onnx.ModelProto], object]
) -> None:
    model = make()
    tracemalloc.start()
    try:
        with pytest.raises(HexconvError):
            use(model)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_a_call_that_runs_out_of_memory_ends_in_one_error() -> None:
    @checks_types()
    def compute() -> None:
        np.empty(1 << 60, np.uint8)

    with pytest.raises(HexconvError, match="there is too little memory\n  why: Unable to allocate"):
        compute()
