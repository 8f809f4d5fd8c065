"""Compute a node whose inputs are all constant.

NumPy computes the ops of shape arithmetic; ONNX Runtime any other constant node, as it computes the
float model that the DSP is compared with. What it has no kernel for (float8, integers of 4 bits) is
computed by ONNX's reference, which is not used for more: it fails on GatherElements of a long axis,
ignores the sign in an L1 norm and has no GELU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from hexconv.arrays import Array
from hexconv.onnx_runtime import opened

Inputs = Sequence[Array | None]
Attrs = dict[str, Any]

SIZED_BY_VALUES = {"ConstantOfShape", "Expand", "Range", "Tile"}
"""Those of `NUMPY` whose results have the size that an input's values say."""

NATIVE = {
    *("tensor(float16)", "tensor(float)", "tensor(double)", "tensor(bool)"),
    *(f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
"""Types that NumPy has: ONNX Runtime returns others as their bytes."""

RANDOM = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


def evaluate(node: ir.Node, inputs: Inputs, opset: int) -> list[Array]:
    """The outputs of a node of opset `opset` for constant `inputs` (None where one is absent).

    Raises whatever NumPy, ONNX Runtime or the reference raises on operands that do not fit.
    """
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    function = NUMPY.get(node.op_type) if node.domain == "" else None
    if function is _cast and _is_narrow(attrs["to"]):
        function = None
    with np.errstate(all="ignore"):
        if function is not None:
            return [np.asarray(function(list(inputs), attrs))]
        proto, feeds = _alone(node, inputs)
        results = _by_runtime(proto, feeds, opset)
        return _by_reference(proto, feeds) if results is None else results


def _alone(node: ir.Node, inputs: Inputs) -> tuple[onnx.NodeProto, dict[str, Array]]:
    """The node between names of its own, and its inputs by name."""
    proto = ir.serde.serialize_node(node)
    names = [f"i{k}" if array is not None else "" for k, array in enumerate(inputs)]
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.extend(f"o{k}" for k in range(len(node.outputs)))
    return proto, {n: x for n, x in zip(names, inputs, strict=True) if x is not None}


def _by_runtime(proto: onnx.NodeProto, feeds: dict[str, Array], opset: int) -> list[Array] | None:
    """What ONNX Runtime returns; None where it has no kernel for the op or its types."""
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph, NotImplemented

    if any(array.dtype.kind not in "biuf" for array in feeds.values()):
        return None
    try:
        session = opened(_model(proto, feeds, opset).SerializeToString())
    except (InvalidGraph, NotImplemented):
        return None
    if any(item.type not in NATIVE for item in session.get_outputs()):
        return None
    return [np.asarray(result) for result in session.run(None, feeds)]


def _model(proto: onnx.NodeProto, feeds: dict[str, Array], opset: int) -> onnx.ModelProto:
    """A model of one node."""
    inputs = [
        helper.make_tensor_value_info(name, ir.DataType.from_numpy(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in proto.output]
    graph = helper.make_graph([proto], "constant", inputs, outputs)
    imports = [helper.make_opsetid("", opset)]
    if proto.domain:
        version = onnx.defs.get_schema(proto.op_type, proto.domain).since_version
        imports.append(helper.make_opsetid(proto.domain, version))
    version = helper.find_min_ir_version_for(imports)
    return helper.make_model(graph, opset_imports=imports, ir_version=version)


def _by_reference(proto: onnx.NodeProto, feeds: dict[str, Array]) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    return [np.asarray(result) for result in ReferenceEvaluator(proto).run(None, feeds)]


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[list[Any], Attrs], Any]:
    return lambda x, attrs: function(x[0], x[1])


def _unary(function: Callable[[Any], Any]) -> Callable[[list[Any], Attrs], Any]:
    return lambda x, attrs: np.asarray(function(x[0]), x[0].dtype)


def _divide(x: list[Any], attrs: Attrs) -> Any:
    a, b = x
    if a.dtype.kind in "iu":
        quotient = np.abs(a) // np.abs(b)  # ONNX truncates toward zero, NumPy floors
        return (quotient * np.sign(a) * np.sign(b)).astype(a.dtype)
    return a / b


def _cast(x: list[Any], attrs: Attrs) -> Any:
    return x[0].astype(ir.DataType(attrs["to"]).numpy())


def _is_narrow(to: int) -> bool:
    """Whether a cast is to floats of 8 bits or fewer: it saturates, which NumPy's does not."""
    target = ir.DataType(to)
    return target.is_floating_point() and target.bitwidth <= 8


def _slice(x: list[Any], attrs: Attrs) -> Any:
    data, starts, ends = x[:3]
    axes = x[3] if len(x) > 3 and x[3] is not None else np.arange(len(starts))
    steps = x[4] if len(x) > 4 and x[4] is not None else np.ones(len(starts), np.int64)
    index = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop: int | None = int(end)
        if step < 0 and end < -data.shape[axis]:
            stop = None  # "before the first element", which a NumPy stop cannot express
        index[axis] = slice(int(start), stop, int(step))
    return data[tuple(index)]


def _reshape(x: list[Any], attrs: Attrs) -> Any:
    data, shape = x
    sizes = [int(size) for size in shape]
    if not attrs.get("allowzero", 0):
        sizes = [data.shape[k] if size == 0 else size for k, size in enumerate(sizes)]
    return data.reshape(sizes)


def _squeeze(x: list[Any], attrs: Attrs) -> Any:
    axes = x[1] if len(x) > 1 else None
    return np.squeeze(x[0], None if axes is None else tuple(int(axis) for axis in axes))


def _constant_of_shape(x: list[Any], attrs: Attrs) -> Any:
    value = attrs["value"].numpy() if "value" in attrs else np.zeros(1, np.float32)
    if value.dtype in (np.float64, np.float16):
        value = value.astype(np.float32)
    return np.full([int(size) for size in x[0]], value.flat[0], value.dtype)


def _constant(x: list[Any], attrs: Attrs) -> Any:
    """The one attribute of a Constant; `value` without a copy."""
    ((name, value),) = attrs.items()
    if name == "value":
        return value.numpy()
    dtypes = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    return np.array(value, dtypes.get(name, object))


def _expand(x: list[Any], attrs: Attrs) -> Any:
    shape = np.broadcast_shapes(x[0].shape, tuple(int(size) for size in x[1]))
    return np.broadcast_to(x[0], shape)


def _reduce(function: Callable[..., Any]) -> Callable[[list[Any], Attrs], Any]:
    def run(x: list[Any], attrs: Attrs) -> Any:
        axes = x[1] if len(x) > 1 else None
        keep = bool(attrs.get("keepdims", 1))
        if axes is None or len(axes) == 0:
            if attrs.get("noop_with_empty_axes", 0):
                return x[0]
            return np.asarray(function(x[0], keepdims=keep), x[0].dtype)
        picked = tuple(int(axis) for axis in axes)
        return np.asarray(function(x[0], axis=picked, keepdims=keep), x[0].dtype)

    return run


NUMPY: dict[str, Callable[[list[Any], Attrs], Any]] = {
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _divide,
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": lambda x, attrs: np.logical_not(x[0]),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Sqrt": _unary(np.sqrt),
    "Reciprocal": _unary(np.reciprocal),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Exp": _unary(np.exp),
    "Cos": _unary(np.cos),
    "Sin": _unary(np.sin),
    "Max": lambda x, attrs: np.asarray(np.maximum.reduce(np.broadcast_arrays(*x)), x[0].dtype),
    "Min": lambda x, attrs: np.asarray(np.minimum.reduce(np.broadcast_arrays(*x)), x[0].dtype),
    "Pow": lambda x, attrs: np.asarray(np.power(x[0], x[1]), x[0].dtype),
    "Identity": lambda x, attrs: x[0],
    "Cast": _cast,
    "Shape": lambda x, attrs: np.array(
        x[0].shape[slice(attrs.get("start", 0), attrs.get("end"))], np.int64
    ),
    "Size": lambda x, attrs: np.array(x[0].size, np.int64),
    "Gather": lambda x, attrs: np.take(x[0], x[1], axis=attrs.get("axis", 0)),
    "Concat": lambda x, attrs: np.concatenate(x, axis=attrs["axis"]),
    "Slice": _slice,
    "Reshape": _reshape,
    "Transpose": lambda x, attrs: np.transpose(x[0], attrs.get("perm")),
    "Squeeze": _squeeze,
    "Unsqueeze": lambda x, attrs: np.expand_dims(x[0], tuple(int(axis) for axis in x[1])),
    "Flatten": lambda x, attrs: x[0].reshape(
        int(np.prod(x[0].shape[: attrs.get("axis", 1)], dtype=np.int64)), -1
    ),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Tile": lambda x, attrs: np.tile(x[0], [int(count) for count in x[1]]),
    "Range": lambda x, attrs: np.arange(*(edge.item() for edge in x), dtype=x[0].dtype),
    "Where": lambda x, attrs: np.where(*x),
    "MatMul": _binary(np.matmul),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceMean": _reduce(np.mean),
}
