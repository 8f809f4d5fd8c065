"""Any function of one variable through a table of 256 codes.

CastUInt8ToInt32 makes indices of the codes, Table_8 looks them up: exact on every library, the
output range static, the input range baked into the table (facts/shipped-library.md a).
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


def table(function: Function, source: Range, target: Range) -> npt.NDArray[np.uint8]:
    """The code in `target` of function(value) for each code in `source`, clipped: (256,) uint8."""
    values = np.asarray((CODES - source.zero) * source.step, np.float64)
    with np.errstate(all="ignore"):
        results = function(values)
    # A pole (1/0, log 0) takes the nearest end of the range, as the codes beside it do.
    results = np.nan_to_num(results, nan=0.0, posinf=target.max, neginf=target.min)
    results = np.clip(results, target.min, target.max)
    return encode(results.astype(np.float32), target)


def emit_table(
    ctx: Context, tensor: Tensor, codes: npt.NDArray[np.uint8], value_range: Range, name: str
) -> Tensor:
    """Look `tensor`'s codes up in `codes` (256,) uint8; the answer's range is `span`."""
    builder = ctx.builder
    index = builder.node(
        "CastUInt8ToInt32", [tensor.data], [Output(tensor.shape, "int32")], name=f"{name}/index"
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
    tensor = form.tensor if form.tensor.static else ctx.pinned(source, form.tensor)
    value_range = ctx.range(output)
    codes = table(function, tensor.range, value_range)
    ctx.bind_order(output, form.layout.order, emit_table(ctx, tensor, codes, value_range, output))
