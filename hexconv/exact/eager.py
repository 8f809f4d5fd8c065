"""ONNX ops on NumPy arrays: what a body knows when it is written is computed then.

Only what the functions of this package use, on finite numbers. Rounding is that of the arrays' own
type, as in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hexconv.arrays import Array

Op = Callable[..., Any]


def evaluate(kind: str, arrays: list[Array], dtype: str, given: Mapping[str, Any]) -> Array:
    """The output of one op.

    Args:
        kind: of the op, one of `EAGER`.
        arrays: its inputs.
        dtype: of the output.
        given: its attributes.
    """
    with np.errstate(all="ignore"):
        result: Array = np.asarray(EAGER[kind](*arrays, **given))
    return result.astype(dtype, copy=False)


def _divide(a: Array, b: Array) -> Array:
    """Of integers: cut towards zero."""
    if a.dtype.kind == "f":
        quotient: Array = a / b
        return quotient
    whole: Array = np.abs(a) // np.abs(b)
    cut: Array = np.where((a < 0) ^ (b < 0), -whole, whole)
    return cut


def _cast(x: Array, to: int) -> Array:
    from onnx import helper

    kind = helper.tensor_dtype_to_np_dtype(to)
    cut = np.trunc(x) if x.dtype.kind == "f" and kind.kind in "iu" else x
    return cut.astype(kind)


def _slice(x: Array, starts: Array, ends: Array, axes: Array, steps: Array | None = None) -> Array:
    index: list[slice] = [slice(None)] * x.ndim
    every = steps if steps is not None else np.ones_like(axes)
    for start, end, axis, step in zip(starts, ends, axes, every, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _reduce(function: Op) -> Op:
    def run(x: Array, *inputs: Array, axes: Any = None, keepdims: int = 1) -> Any:
        over = inputs[0].tolist() if inputs else axes
        along = None if over is None else tuple(over)
        return function(x, axis=along, keepdims=bool(keepdims))

    return run


def _pad(x: Array, pads: Array, value: Array) -> Array:
    """Negative widths cut off."""
    before, behind = np.split(pads, 2)
    kept = [
        slice(max(0, -first), size - max(0, -last))
        for size, first, last in zip(x.shape, before, behind, strict=True)
    ]
    border = [(max(0, a), max(0, b)) for a, b in zip(before, behind, strict=True)]
    return np.pad(x[tuple(kept)], border, constant_values=value.item())


def _reshape(x: Array, shape: Array) -> Array:
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape.tolist())])


def _squeeze(x: Array, axes: Array) -> Array:
    return np.squeeze(x, tuple(axes.tolist()))


EAGER: dict[str, Op] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Cast": _cast,
    "Ceil": np.ceil,
    "Clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "Div": _divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Expand": lambda x, shape: x * np.ones(shape.tolist(), x.dtype),
    "Floor": np.floor,
    "Gather": lambda x, index, axis=0: np.take(x, index, axis),
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": lambda x: x,
    "IsInf": np.isinf,
    "IsNaN": np.isnan,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": lambda *parts: np.maximum(*parts) if len(parts) == 2 else np.maximum.reduce(parts),
    "Min": lambda *parts: np.minimum(*parts) if len(parts) == 2 else np.minimum.reduce(parts),
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pad": _pad,
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "Round": np.rint,
    "Shape": lambda x: np.array(x.shape, np.int64),
    "Size": lambda x: np.array(x.size, np.int64),
    "Slice": _slice,
    "Sqrt": np.sqrt,
    "Squeeze": _squeeze,
    "Sub": np.subtract,
    "Transpose": lambda x, perm: np.ascontiguousarray(x.transpose(perm)),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes.tolist())),
    "Where": np.where,
}
