"""Transposes, reshapes and the space/batch/depth moves (op_transpose.c, op_reshape.c,
op_batchspace.c, op_depthspace.c, op_depthspace_d32.c), and conversions to and from depth-32."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.slice_pad import integers
from hexconv.simulator.numerics.fixed_point import ZERO, quantize_code
from hexconv.simulator.numerics.window import bordered
from hexconv.simulator.registry import KernelCall, kernel


@kernel(
    "Transpose_8",
    "Transpose_16",
    "Transpose_int32",
    "Transpose_f",
    "QuantizedPermute_8",
    "Permute_f",
)
def transpose(call: KernelCall) -> list[Array]:
    """`transpose_execute`: a permutation of all four axes, or of the last n among themselves."""
    permutation = integers(call.inputs[1])
    fixed = 4 - len(permutation)
    if sorted(permutation) != list(range(len(permutation))) or fixed < 0:
        raise GraphError(f"{permutation} is no permutation of axes", where=call.op)
    order = [*range(fixed), *(fixed + axis for axis in permutation)]
    data = np.ascontiguousarray(call.inputs[0].transpose(order))
    return [data, *call.inputs[2:4]]


@kernel("QuantizedReshape", "Reshape")
def reshape(call: KernelCall) -> list[Array]:
    """`reshape_execute`: row-major; one size may be -1; missing ones on the left are 1."""
    data, sizes = call.inputs[0], integers(call.inputs[1])
    known = int(np.prod([size for size in sizes if size >= 0], dtype=np.int64))
    unknown = sum(size < 0 for size in sizes)
    fits = known > 0 and (data.size % known == 0 if unknown == 1 else data.size == known)
    if not 1 <= len(sizes) <= 4 or unknown > 1 or not fits:
        raise GraphError(f"{data.shape} cannot be reshaped to {sizes}", where=call.op)
    sizes = [data.size // known if size < 0 else size for size in sizes]
    return [data.reshape([1] * (4 - len(sizes)) + sizes), *call.inputs[2:4]]


def _blocks_and_edges(call: KernelCall) -> tuple[int, int, list[int]]:
    """Block height and width, and top, bottom, left, right, of a space/batch op."""
    blocks, edges = integers(call.inputs[1]), integers(call.inputs[2])
    if len(blocks) not in (1, 2) or len(edges) != 2 * len(blocks) or min(edges) < 0:
        raise GraphError("one or two block sizes and their rows of two pads", where=call.op)
    if len(blocks) == 1:
        return blocks[0], 1, [*edges, 0, 0]
    return blocks[0], blocks[1], edges


@kernel("SpaceToBatchND_8", "SpaceToBatchND_8_d32")
def space_to_batch(call: KernelCall) -> list[Array]:
    """`batchspace_s2b_execute`: pads with the zero point, then splits into block offsets."""
    block_h, block_w, (top, bottom, left, right) = _blocks_and_edges(call)
    zero = quantize_code(ZERO, call.scalar(3), call.scalar(4))
    border = ((0, 0), (top, bottom), (left, right), (0, 0))
    data = bordered(call.inputs[0], border, zero)
    batches, height, width, depth = data.shape
    if height % block_h or width % block_w:
        raise GraphError(
            f"padded {height}x{width} is no multiple of the block {block_h}x{block_w}",
            where=call.op,
        )
    rows, columns = height // block_h, width // block_w
    spread = data.reshape(batches, rows, block_h, columns, block_w, depth)
    moved = spread.transpose(2, 4, 0, 1, 3, 5)
    return [moved.reshape(-1, rows, columns, depth), *call.inputs[3:5]]


@kernel("BatchToSpaceND_8", "BatchToSpaceND_8_d32")
def batch_to_space(call: KernelCall) -> list[Array]:
    """`batchspace_b2s_execute`: the reverse, then the crop."""
    block_h, block_w, (top, bottom, left, right) = _blocks_and_edges(call)
    batches, rows, columns, depth = call.inputs[0].shape
    if batches % (block_h * block_w):
        raise GraphError(
            f"{batches} batches are no multiple of the block {block_h}x{block_w}", where=call.op
        )
    spread = call.inputs[0].reshape(block_h, block_w, -1, rows, columns, depth)
    data = spread.transpose(2, 3, 0, 4, 1, 5).reshape(-1, rows * block_h, columns * block_w, depth)
    return [_cropped(data, top, bottom, left, right, call.op), *call.inputs[3:5]]


def _cropped(data: Array, top: int, bottom: int, left: int, right: int, op: str) -> Array:
    _, height, width, _ = data.shape
    if top + bottom >= height or left + right >= width:
        raise GraphError("cropping leaves no output", where=op)
    return np.ascontiguousarray(data[:, top : height - bottom, left : width - right])


def _block_sizes(call: KernelCall) -> tuple[int, int]:
    """One block size for both axes, or height and width."""
    blocks = integers(call.inputs[1])
    if len(blocks) not in (1, 2) or min(blocks) < 1:
        raise GraphError("a block size is one or two positive numbers", where=call.op)
    return blocks[0], blocks[-1]


@kernel("SpaceToDepth_8")
def space_to_depth(call: KernelCall) -> list[Array]:
    """`depthspace_s2d_execute`: depth becomes (block row, block column, depth)."""
    block_h, block_w = _block_sizes(call)
    batches, height, width, depth = call.inputs[0].shape
    if height % block_h or width % block_w:
        raise GraphError(
            f"{height}x{width} is no multiple of the block {block_h}x{block_w}", where=call.op
        )
    rows, columns = height // block_h, width // block_w
    spread = call.inputs[0].reshape(batches, rows, block_h, columns, block_w, depth)
    data = spread.transpose(0, 1, 3, 2, 4, 5).reshape(batches, rows, columns, -1)
    return [data, *call.inputs[2:4]]


@kernel("DepthToSpace_8", "DepthToSpace_8_d32")
def depth_to_space(call: KernelCall) -> list[Array]:
    """`depthspace_d2s_execute`: the reverse; input 4, if given, is the crop of the four edges.

    A fifth crop value is the depth to keep (only the d32 form reads it).
    """
    block_h, block_w = _block_sizes(call)
    batches, rows, columns, depth = call.inputs[0].shape
    if depth % (block_h * block_w):
        raise GraphError(
            f"depth {depth} is no multiple of the block {block_h}x{block_w}", where=call.op
        )
    spread = call.inputs[0].reshape(batches, rows, columns, block_h, block_w, -1)
    data = spread.transpose(0, 1, 3, 2, 4, 5).reshape(
        batches, rows * block_h, columns * block_w, -1
    )
    if len(call.inputs) > 4:
        top, bottom, left, right, *keep = integers(call.inputs[4])
        data = _cropped(data, top, bottom, left, right, call.op)
        if keep and keep[0] > 0:
            data = np.ascontiguousarray(data[..., : keep[0]])
    return [data, *call.inputs[2:4]]


@kernel(
    "Convert_to_d32",
    "Convert_from_d32",
    "Convert_to_d32_16b",
    "Convert_from_d32_16b",
)
def convert_d32(call: KernelCall) -> list[Array]:
    """The data as it is: the simulator keeps every tensor as plain BHWD."""
    return [call.inputs[0]]
