"""Means in calibration's range, or in a wider one in runs whose means leave it.

Means lie closer together than what they are means of, so that calibration's range of them is
narrow; but an input of one number everywhere, or around another one than the samples, has means as
far out as itself. Sums in int32 are exact: the range that they fill decides, widened to
calibration's, in which other runs have all of its levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.lowering.context import Context
from hexconv.lowering.matmul import product_with_constant
from hexconv.nnlib.builder import RangeSource, Tensor, ranges_of
from hexconv.nnlib.layout import Shape4
from hexconv.onnx_graph.rewrites.match import made_by
from hexconv.onnx_graph.selections import LAYOUT, moved_from
from hexconv.quantize import Range

NARROWER = 1.5
"""Of the range of what is averaged, calibration's range of the means is a part as small as this."""
LINEAR = frozenset({"Sub", "Add", "Linear", "MatMul", "Gemm", "Conv", "LinearOverHeads"})
"""Readers that take a range that each run decides; the others would cut it to calibration's."""
DEPTH = 3


def leaves_its_range(node: ir.Node, tensor: Tensor, value_range: Range, factor: int) -> bool:
    """Whether means of a run may leave calibration's range, and readers have a use for them.

    Means in a norm keep calibration's range.

    Args:
        node: the mean.
        tensor: what is averaged.
        value_range: of the results in calibration.
        factor: 1, or the number of values in each mean, for their sum.
    """
    by_run = tensor.source is RangeSource.RUN_TIME
    if notes_of(node).saturates is not None or (not by_run and _in_norm(node)):
        return False
    wide = tensor.range.step * factor
    return value_range.step * NARROWER < wide and _wanted(node.outputs[0])


def _in_norm(node: ir.Node) -> bool:
    """Whether a mean is one of squares, or of what a norm centers: those have ranges of their own.

    A norm divides what is left of x - mean(x) by its size, whatever the mean is.
    """
    source = node.inputs[0]
    if source is None or _squares(source.producer()):
        return True
    centered = [use.node for use in source.uses() if use.node.op_type == "Sub"]
    return any(
        is_mean_of(reader.inputs[1], source) and _squares(square.node)
        for reader in centered
        for square in reader.outputs[0].uses()
    )


def _squares(node: ir.Node | None) -> bool:
    if node is None:
        return False
    return node.op_type == "Pow" or (node.op_type == "Mul" and node.inputs[0] is node.inputs[1])


def _wanted(value: ir.Value) -> bool:
    uses = value.uses()
    return value.is_graph_output() or any(
        use.node.op_type in LINEAR or (use.node.op_type in LAYOUT and _wanted(use.node.outputs[0]))
        for use in uses
    )


def is_mean_of(value: ir.Value | None, source: ir.Value | None) -> bool:
    """Whether a value is the mean over some axes of another, in whatever shape."""
    *_, mean = (None, *moved_from(value))
    node = made_by(mean, "ReduceMean")
    return node is not None and node.inputs[0] is source


def finest_step(tensor: Tensor, count: int) -> float:
    """The step below which a range of means of `count` values holds nothing more."""
    return tensor.range.step / count * (1.0 + 2.0**-12)


def mean_of_run(
    ctx: Context, tensor: Tensor, places: Sequence[int], value_range: Range, name: str, factor: int
) -> Tensor:
    """The mean over some of B, H, W, D, times a factor.

    Args:
        ctx: the conversion.
        tensor: what is averaged.
        places: of the axes, not `needs_separate_reductions`.
        value_range: the least range of the result.
        name: the tensor that it computes.
        factor: 1, or the number of values in each mean, for their sum.
    """
    builder = ctx.builder
    count = prod(tensor.shape[place] for place in places)
    finest = factor * finest_step(tensor, count)
    value_range = value_range.scaled(max(finest / value_range.step, 1.0))
    total = _sums(ctx, tensor, places, name)
    if factor != count:
        part = builder.scalar(f"{name}/part", factor / count)
        low = builder.number("Mul_f", total.min, part, f"{name}/acc_min")
        high = builder.number("Mul_f", total.max, part, f"{name}/acc_max")
        total = replace(total, min=low, max=high)
    found = _filled(ctx, total, name)
    least = builder.minmax(name, value_range)
    asked = [
        builder.number(op, mine, end, f"{name}/{what}")
        for op, mine, end, what in (
            ("Minimum_f", found.min, least[0], "lowest"),
            ("Maximum_f", found.max, least[1], "highest"),
        )
    ]
    result = builder.quantized(
        "Requantize_32to8",
        [*total.data_min_max, *asked],
        total.shape,
        value_range,
        name=name,
        source=RangeSource.RUN_TIME,
    )
    for made in (found, result):
        builder.mark_by_levels(made)
    loudest = max(ranges_of(tensor), key=lambda came: came.step).scaled(factor)
    result = replace(result, widest=loudest)
    b, h, w, d = (1 if place in places else size for place, size in enumerate(tensor.shape))
    return result if result.shape == (b, h, w, d) else ctx.reshaped(result, (b, h, w, d), name)


def _sums(ctx: Context, tensor: Tensor, places: Sequence[int], name: str) -> Tensor:
    """int32 sums; those over the depth as a product with ones, which takes vectors."""
    b, h, w, d = (1 if place in places else size for place, size in enumerate(tensor.shape))
    shape: Shape4 = (b, h, w, d)
    if list(places) == [DEPTH] and prod(shape) > 1:
        ones = np.ones((tensor.shape[DEPTH], 1), np.float32)
        return product_with_constant(ctx, tensor, ones, f"{name}/ones", name)
    inputs = [*tensor.data_min_max, ctx.builder.ints(f"{name}_axes", list(places))]
    source = tensor.source
    return ctx.builder.quantized(
        "QuantizedSum_8to32",
        inputs,
        shape,
        Range(tensor.range.step * 2.0**24, 128),
        name=f"{name}/acc",
        dtype="int32",
        source=source,
    )


def _filled(ctx: Context, total: Tensor, name: str) -> Tensor:
    """Sums in the range that they fill in a run: zero, and all that they hold."""
    return ctx.builder.quantized(
        "QuantizeDownAndShrinkRange_32to8",
        total.data_min_max,
        total.shape,
        total.range,
        name=f"{name}/filled",
        source=RangeSource.RUN_TIME,
    )
