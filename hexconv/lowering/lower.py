"""Lower a float graph: inputs, every node in order, outputs; all unsupported nodes collected."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.errors import ModelError, PastFloat32Error, UnsupportedOpError
from hexconv.lowering.context import Context, TransposeCount
from hexconv.lowering.extreme_numbers import check_factors, overflow
from hexconv.lowering.floats import FORMS, op_of
from hexconv.lowering.interface import bind_outputs, in_format
from hexconv.lowering.mask import MASK
from hexconv.lowering.range_groups import clipped_to
from hexconv.lowering.registry import LOWERINGS
from hexconv.lowering.relayout import gather_axes
from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder, RangeSource, Tensor
from hexconv.nnlib.graph import INPUT_OP, Graph, Interface, Output, Ref
from hexconv.onnx_graph import FloatGraph, NodeView, TensorInfo
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.malformed import MALFORMED, innermost
from hexconv.quantize import Range, cover
from hexconv.raw_tensors import DataFormat
from hexconv.slices import Slices

# Ops that work on images: where one is present, 4-D inputs are channels last, as MACE's
# runtime passes NCHW tensors (mace/flows/hexagon/hexagon_ref_flow.cc GetInputTransposeDims).
IMAGE_OPS = {
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LpPool",
    "BatchNormalization",
    "Resize",
    "DepthToSpace",
    "SpaceToDepth",
}


@dataclass
class Lowered:
    """The nnlib graph, and how it was lowered.

    Attributes:
        graph: numbered as MACE numbers it; unfinished if there are unsupported nodes.
        unsupported: every node that cannot run on the DSP.
        made: names of the nnlib nodes that each ONNX node became, by ONNX node name.
        transposes: data movements that the model requires, and those left in the graph.
        floats: why a node is computed in float, by ONNX node name.
        copied_inputs: convolutions whose input is given several times.
    """

    graph: Graph
    unsupported: list[UnsupportedOpError] = field(default_factory=list)
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)
    transposes: TransposeCount = field(default_factory=TransposeCount)
    floats: dict[str, str] = field(default_factory=dict)
    copied_inputs: int = 0


def lower(
    graph: FloatGraph,
    ranges: Mapping[str, Range],
    name: str = "model",
    *,
    float_fallback: bool = False,
    data_formats: Mapping[str, DataFormat] | None = None,
    channel_scales: bool = True,
    exact_weights: bool = False,
    copies: int = 1,
    slices: Mapping[str, tuple[TensorInfo, Slices]] | None = None,
    in_float: Collection[str] = (),
) -> Lowered:
    """Lower every node of a float graph.

    Args:
        graph: in canonical form, decomposed.
        ranges: static ranges of all computed values.
        name: of the nnlib graph.
        float_fallback: compute in float what int8 does not support, where the library can.
        data_formats: how 4-D inputs and outputs are passed: `hexconv.Settings`.
        channel_scales: quantize the weights of convolutions by output channel.
        exact_weights: let the consts of weights have what they were rounded from.
        copies: how often a convolution may be given an input of few channels, for finer weights.
        slices: by output of the graph: the model's output, whose slices it holds.
        in_float: outputs that are computed in float, and returned as they are.

    Raises:
        RangeError: a value has no range.
    """
    builder = Builder(name, graph.original)
    nodes = [NodeView(node) for node in graph.nodes]
    values = graph.values()
    shapes = {key: shape_of(value) for key, value in values.items()}
    masks = [key for key, value in values.items() if value.dtype == ir.DataType.BOOL]
    ranges = {**ranges, **dict.fromkeys(masks, MASK)}
    ctx = Context(
        builder,
        shapes,
        _Consts(graph),
        ranges,
        channel_scales=channel_scales,
        exact_weights=exact_weights,
        copies=copies,
    )
    result = Lowered(builder.graph, transposes=ctx.transposes)
    formats = data_formats or {}
    result.unsupported += _bind_inputs(graph, nodes, ctx, formats)
    result.unsupported += _constant_integers(graph)
    for node in nodes:
        builder.onnx_node = node.name
        if node.op in IMAGE_OPS:
            # Channels last in and out again: what a converter without layouts would insert.
            ctx.transposes.wanted += 2
        start = len(builder.graph.nodes)
        try:
            _lower_checked(node, ctx)
            if reason := notes_of(node.node).float_reason:
                result.floats[node.name] = reason
        except UnsupportedOpError as unsupported_op:
            if float_fallback and _in_float(node.node, ctx):
                result.floats[node.name] = unsupported_op.what
            else:
                result.unsupported.append(_named(unsupported_op, node))
                for name in node.outputs:
                    _stand_in(name, ctx)
        result.made[node.name] = tuple(n.op for n in builder.graph.nodes[start:])
    builder.onnx_node = ""
    if not result.unsupported:
        bind_outputs(graph, ctx, formats, slices or {}, in_float=in_float)
        result.graph = builder.finish()
    result.copied_inputs = ctx.copied_inputs
    return result


def dry_run(graph: FloatGraph, *, float_fallback: bool = False) -> Lowered:
    """Lower with placeholder ranges: which nodes are unsupported, and what the others become.

    Args:
        graph: in canonical form, decomposed.
        float_fallback: as for `lower`.
    """
    ranges = dict.fromkeys(graph.computed_values(), cover(-1.0, 1.0))
    try:
        return lower(graph, ranges, float_fallback=float_fallback)
    except UnsupportedOpError as unsupported_op:
        return Lowered(Graph(), [unsupported_op])


class _Consts(Mapping[str, Array]):
    """The float graph's initializers, read on demand: weights are not copied twice."""

    def __init__(self, graph: FloatGraph) -> None:
        self._graph = graph

    def __getitem__(self, name: str) -> Array:
        array = self._graph.const(name)
        if array is None:
            raise KeyError(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.graph.initializers)

    def __len__(self) -> int:
        return len(self._graph.graph.initializers)


def _lower_checked(node: NodeView, ctx: Context) -> None:
    """Lower a node; where its operands are not what its op takes, say so of the node."""
    check_factors(node, ctx)
    try:
        with np.errstate(over="raise"):
            _lower_node(node, ctx)
    except (PastFloat32Error, FloatingPointError) as error:
        raise overflow(node, ctx) from error
    except MALFORMED as error:
        raise ModelError(
            "the operands or attributes of a node are not those that its op has",
            where=f"node '{node.name}' ({node.op})",
            why=innermost(error),
        ) from error


def _lower_node(node: NodeView, ctx: Context) -> None:
    if notes_of(node.node).float_reason:
        FORMS[op_of(node)](node, ctx)
        _check_read(node)
        return
    lowering = LOWERINGS.get(node.op)
    if lowering is None:
        raise UnsupportedOpError(
            f"no lowering for the op {node.op}",
            hint="cut the model before this node and compute it on the CPU (--split auto); "
            f"`python -m hexconv ops {node.op}` has details",
        )
    for value in node.outputs:
        dtype = node.node.outputs[node.outputs.index(value)].dtype
        if (
            value
            and dtype is not None
            and not (dtype.is_floating_point() or dtype == ir.DataType.BOOL or lowering.integers)
        ):
            raise UnsupportedOpError(
                f"'{value}' is of type {dtype.name.lower()}",
                why="the DSP's data path is 8-bit quantized floats",
                hint="cut the model before this node and compute it on the CPU (--split); if "
                "nobody needs the output, name the others with --outputs",
            )
    lowering.function(node, ctx)
    limits = clipped_to(node)
    if limits is not None:
        ctx.builder.mark_saturating(ctx.forms(node.outputs[0])[0].tensor, limits)
    _check_read(node)


def _in_float(node: ir.Node, ctx: Context) -> bool:
    """Whether the library computes in float what int8 does not support; it is then in the graph."""
    view = NodeView(node)
    tried = view.domain or notes_of(node).float_reason
    form = None if tried else FORMS.get(view.op)
    if form is None or not all(
        value is None or value.dtype is None or value.dtype == ir.DataType.FLOAT
        for value in (*node.inputs, *node.outputs)
    ):
        return False
    for name in view.outputs:
        ctx.forget(name)
    try:
        form(view, ctx)
        _check_read(view)
    except UnsupportedOpError:
        return False
    return True


def _check_read(node: NodeView) -> None:
    unread = node.unread()
    if unread:
        raise UnsupportedOpError(
            f"{', '.join(unread)} would be dropped",
            why="the lowering does not support it",
            hint="export the model without it",
        )


def _named(unsupported_op: UnsupportedOpError, node: NodeView) -> UnsupportedOpError:
    return UnsupportedOpError(
        unsupported_op.what,
        node=node.name,
        op=op_of(node),
        why=unsupported_op.why,
        hint=unsupported_op.hint,
    )


def _stand_in(name: str, ctx: Context) -> None:
    """A placeholder for a value that cannot be computed, so that its readers can be checked too."""
    if not name or ctx.forms(name):
        return
    shape = ctx.shape(name)
    layout = gather_axes(shape, [a for a in range(len(shape)) if shape[a] != 1])
    nowhere = Ref(0)
    value_range = ctx.ranges.get(name, Range(1.0 / 128.0, 128))
    ctx.bind(name, layout, Tensor(nowhere, nowhere, nowhere, layout.shape(shape), value_range))


def _bind_inputs(
    graph: FloatGraph, nodes: list[NodeView], ctx: Context, formats: Mapping[str, DataFormat]
) -> list[UnsupportedOpError]:
    """The one input node; returns the unsupported inputs."""
    usual: DataFormat = "NCHW" if any(node.op in IMAGE_OPS for node in nodes) else "NONE"
    interfaces, unsupported = [], []
    for info in graph.inputs:
        try:
            interfaces.append(_interface(info, formats.get(info.name, usual), ctx))
        except UnsupportedOpError as unsupported_op:
            unsupported.append(unsupported_op)
            _stand_in(info.name, ctx)
    outputs = [port for item in interfaces for port in (Output(item.bhwd, "uint8"), *RANGE_OUTPUTS)]
    node = ctx.builder.node(INPUT_OP, [], outputs, name="quantize_input")
    ctx.builder.graph.inputs += interfaces
    for index, item in enumerate(interfaces):
        data, low, high = (Ref(node, 3 * index + port) for port in range(3))
        tensor = Tensor(data, low, high, item.bhwd, ctx.range(item.name), RangeSource.RUN_TIME)
        ctx.bind(item.name, item.layout, tensor)
    return unsupported


def _constant_integers(graph: FloatGraph) -> list[UnsupportedOpError]:
    """The outputs that are constants and no floats; `_lower_node` finds those that are computed."""
    return [
        UnsupportedOpError(
            f"the output '{info.name}' is of type {info.dtype}",
            node=info.name,
            op="output",
            why="the DSP returns floats; this one is a constant",
            hint="leave it out of the model's outputs, and add it on the CPU",
        )
        for info in graph.outputs
        if info.dtype not in ("float32", "bool") and graph.const(info.name) is not None
    ]


def _interface(info: TensorInfo, form: DataFormat, ctx: Context) -> Interface:
    if info.dtype != "float32":
        raise UnsupportedOpError(
            f"the input '{info.name}' is of type {info.dtype}",
            node=info.name,
            op="input",
            why="MACE's DSP runtime accepts only float inputs",
            hint="compute its readers on the CPU and cut the model there",
        )
    return in_format(info, form, ctx.range(info.name))
