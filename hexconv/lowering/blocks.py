"""DepthToSpace and SpaceToDepth."""

from __future__ import annotations

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView

IMAGE = Layout.channels_last(4)


@lowers("DepthToSpace", tie=Tie.COPY)
def depth_to_space(node: NodeView, ctx: Context) -> None:
    """DepthToSpace_8 has the block outermost in the depth (DCR); CRD is transposed to it first."""
    source, output = node.input(0), node.outputs[0]
    size = _block(node)
    tensor = ctx.take(source, IMAGE)
    if str(node.attr("mode", "DCR")) == "CRD":
        tensor = _blocks_outermost(ctx, tensor, size, output)
    _move(ctx, "DepthToSpace_8", tensor, size, output)


@lowers("SpaceToDepth", tie=Tie.COPY)
def space_to_depth(node: NodeView, ctx: Context) -> None:
    """SpaceToDepth_8: the order in the depth is ONNX's."""
    size = _block(node)
    _move(ctx, "SpaceToDepth_8", ctx.take(node.input(0), IMAGE), size, node.outputs[0])


def _block(node: NodeView) -> int:
    size = int(node.attr("blocksize", 0))
    if size < 1:
        raise UnsupportedOpError(f"a blocksize of {size}", hint="it must be 1 or more")
    return size


def _blocks_outermost(ctx: Context, tensor: Tensor, size: int, name: str) -> Tensor:
    """Depth (channel, row, column) as (row, column, channel)."""
    b, h, w, d = tensor.shape
    block = size * size
    apart = ctx.reshaped(tensor, (1, b * h * w, d // block, block), f"{name}/apart")
    turned = ctx.transposed(apart, (0, 1, 3, 2), f"{name}/turned")
    return ctx.reshaped(turned, tensor.shape, f"{name}/dcr")


def _move(ctx: Context, op: str, tensor: Tensor, size: int, output: str) -> None:
    block = ctx.builder.ints(f"{output}_block", [size, size])
    shape = IMAGE.shape(ctx.shape(output))
    inputs = [tensor.data, block, tensor.min, tensor.max]
    ctx.bind(output, IMAGE, ctx.copied(op, inputs, tensor, shape, output))
