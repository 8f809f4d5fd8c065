"""The model's inputs and outputs as MACE's application passes them, and the node at the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hexconv.lowering.context import Context
from hexconv.lowering.floats import dequantized, returned
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.graph import FLOAT_OUTPUT_OP, OUTPUT_OP, Interface, Ref
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import FloatGraph, TensorInfo
from hexconv.quantize import Range
from hexconv.raw_tensors import DataFormat
from hexconv.slices import Slices


def in_format(info: TensorInfo, form: DataFormat, value_range: Range) -> Interface:
    """An input or output as MACE's application passes it: at rank 4 the format counts."""
    bounds = value_range.min, value_range.max
    nhwc = form == "NHWC" and len(info.shape) == 4
    return Interface(info.name, info.shape, _layout(info.shape, form), bounds, nhwc)


def bind_outputs(
    graph: FloatGraph,
    ctx: Context,
    formats: Mapping[str, DataFormat],
    slices: Mapping[str, tuple[TensorInfo, Slices]],
    *,
    in_float: Collection[str],
) -> None:
    """Return the outputs: all of 8 bits, or, where one is in float, all in float.

    Args:
        graph: whose outputs are returned.
        ctx: the conversion.
        formats: how 4-D outputs are passed, by name.
        slices: by output of the graph: the model's output, whose slices it holds.
        in_float: outputs that are computed in float, and returned as they are.
    """
    tensors: dict[str, Tensor] = {}
    floats: dict[str, Ref] = {}
    for info in graph.outputs:
        whole, parts = slices.get(info.name, (info, None))
        form = formats.get(whole.name) or _output_format(info.name, ctx)
        layout = _layout(info.shape, form)
        if info.name in in_float:
            floats[info.name] = returned(ctx, info.name, layout).ref
        tensor = tensors[info.name] = ctx.take(info.name, layout)
        made = in_format(whole, form, tensor.range)
        if parts is not None:
            made = replace(made, range=(parts.ends[0], parts.ends[-1]), slices=parts)
        ctx.builder.graph.outputs.append(made)
    if floats:
        _return_floats(ctx, tensors, floats)
    else:
        refs = [ref for tensor in tensors.values() for ref in tensor.data_min_max]
        ctx.builder.node(OUTPUT_OP, refs, [], name="dequantize_output")


def _return_floats(ctx: Context, tensors: Mapping[str, Tensor], floats: Mapping[str, Ref]) -> None:
    """The outputs that are computed in float; those of 8 bits are dequantized beside them."""
    refs: list[Ref] = []
    flag = ctx.builder.ints("output/flag", [1])
    for name, tensor in tensors.items():
        real = floats.get(name) or dequantized(ctx, tensor, name).ref
        refs += [real, *ctx.builder.minmax(f"{name}/returned", tensor.range), flag]
    ctx.builder.node(FLOAT_OUTPUT_OP, refs, [], name="output")


def _layout(shape: Sequence[int], form: DataFormat) -> Layout:
    if len(shape) == 4 and form != "NONE":
        return Layout.channels_last(4)
    return Layout.plain(len(shape))


def _output_format(name: str, ctx: Context) -> DataFormat:
    """4-D: NCHW if channels are laid out last (MACE transposes it); else the ONNX order of axes."""
    shape = ctx.shape(name)
    if len(shape) != 4 or ctx.const(name) is not None:
        return "NONE"
    kept_axes = [a for a in ctx.form(name).layout.order if shape[a] != 1]
    last = [a for a in Layout.channels_last(4).order if shape[a] != 1]
    return "NCHW" if kept_axes == last else "NONE"
