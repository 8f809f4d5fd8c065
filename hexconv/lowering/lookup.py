"""Any function of one variable through a table of 256 entries.

CastUInt8ToInt32 turns the quantized values into indices, Table_8 looks them up: exact on every
library, with a static output range and the input range compiled into the table
(docs/nnlib/shipped-library.md#lookup-table).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hexconv.lowering.context import Context
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.graph import Output, Ref
from hexconv.quantize import Range, encode

Function = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
CODES = np.arange(256)


def logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow, and without cancellation far below 0."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def table(function: Function, source: Range, target: Range) -> npt.NDArray[np.uint8]:
    """function(value), quantized to `target`, for each value of `source`: (256,) uint8."""
    values = np.asarray((CODES - source.zero) * source.step, np.float64)
    with np.errstate(all="ignore"):
        results = function(values)
    # A pole (1/0, log 0) maps to the nearest end of the range, as its neighbors do.
    results = np.nan_to_num(results, nan=0.0, posinf=target.max, neginf=target.min)
    results = np.clip(results, target.min, target.max)
    return encode(results.astype(np.float32), target)


def emit_table(
    ctx: Context, tensor: Tensor, codes: npt.NDArray[np.uint8], value_range: Range, name: str
) -> Tensor:
    """Look up `tensor`'s values in `codes` (256,) uint8; the output's range is `value_range`."""
    builder = ctx.builder
    index = builder.node(
        "CastUInt8ToInt32",
        [tensor.data],
        [Output(tensor.shape, "int32")],
        name=f"{name}/index",
        made_for=tensor.range,
    )
    inputs = [
        Ref(index),
        builder.const(f"{name}/table", codes, value_range),
        *builder.minmax(name, value_range),
    ]
    return builder.quantized("Table_8", inputs, tensor.shape, value_range, name=name)


def apply(ctx: Context, source: str, function: Function, output: str) -> None:
    """Lower `output = function(source)` in whatever layout the source has."""
    form = ctx.form(source)
    tensor = ctx.pinned(source, form.tensor)
    value_range = ctx.range(output)
    codes = table(function, tensor.range, value_range)
    ctx.bind_order(output, form.layout.order, emit_table(ctx, tensor, codes, value_range, output))
