"""What a graph needs of the DSP's heap: to prepare it, and to execute it.

The library holds every constant, one block for all tensors (arena.py), weights packed for the
vector units, and what each node and the library itself need (op_tables/cost/memory.yml, measured
with `hexconv device profile`). Nothing of that is given back before the graph is freed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from hexconv import resources
from hexconv.cost.arena import arena_bytes
from hexconv.cost.table import MeasuredLibrary
from hexconv.nnlib.convolution_code import CONVOLUTION, STRIDE, weight_slice_bytes
from hexconv.nnlib.graph import Const, Graph, Node
from hexconv.nnlib.layout import Shape4

BLOCK = 32
SCRATCH_BYTES = 8 << 20
MINMAX_BYTES = 2 * BLOCK * 4
"""Of one thread, a minimum and a maximum for each of 32 channels."""
BYTES_A_CHANNEL = 5 * 4
"""Sums of weights, biases and scales of a convolution, five words for each channel."""


@dataclass(frozen=True)
class MemoryCost:
    """Bytes, at most.

    Attributes:
        prepare: of heap, while the graph is prepared.
        execute: of heap, while it is executed.
        vtcm: of fast memory.
        weights: of constants, as the model's .data file holds them.
    """

    prepare: int
    execute: int
    vtcm: int
    weights: int


def predict_memory(graph: Graph, library: MeasuredLibrary) -> MemoryCost:
    """Predict the memory of a graph.

    Args:
        graph: as it is executed (`hexconv.nnlib.prepare`).
        library: "open" needs what v60 does.
    """
    per = _table()[library]
    weights = sum(const.array.nbytes for const in graph.consts if not const.shape_only)
    consts = graph.const_by_id()
    buffers = [_buffer(node, consts, library, per) for node in graph.nodes]
    convolutions = sum("upernode" in node.op for node in graph.nodes)
    items = len(graph.consts) + len(graph.nodes)
    held = per["library"] + items * per["item"] + weights + sum(buffers) + arena_bytes(graph)
    run = held + per["execution"] + convolutions * per["strategy"]
    growing, scratch = _scratch(graph, consts, per["threads"])
    return MemoryCost(round(held + growing), round(run + scratch), per["vtcm"], weights)


def _scratch(graph: Graph, consts: Mapping[int, Const], threads: int) -> tuple[int, int]:
    """Work memory that all nodes share, beyond its first size: while it grows, and at the end.

    Each convolution asks for rows of its input for every thread; the former block is held until
    the larger one is there.

    Source: src/op_supernode_new.c, supernode_check; src/scratch.c.
    """
    size = peak = SCRATCH_BYTES
    for node in graph.nodes:
        if node.op == CONVOLUTION:
            kh, _, depth, _ = consts[node.inputs[1].node].array.shape
            _, down, across, _ = consts[node.inputs[STRIDE].node].array.shape
            row = depth * (node.outputs[0].shape[1] * across + 8)
            needed = _up(2 * threads * (kh + down) * row, 128)
            if needed > size:
                size, peak = needed, max(peak, size + needed)
    return peak - SCRATCH_BYTES, size - SCRATCH_BYTES


def _buffer(
    node: Node, consts: Mapping[int, Const], library: MeasuredLibrary, per: Mapping[str, int]
) -> int:
    """What a node keeps for itself: packed weights, and a work area."""
    const = consts.get(node.inputs[1].node) if len(node.inputs) > 1 else None
    if const is None:
        return 0
    kh, kw, depth, count = map(int, const.array.shape)
    wide = _up(count, BLOCK)
    if node.op.startswith("Supernode"):
        return _convolution((kh, kw, depth, wide), library, per) + wide * BYTES_A_CHANNEL
    if node.op.startswith("InputSupernode"):
        return kh * _up(4 * kw, BLOCK) * wide + wide * BYTES_A_CHANNEL
    if node.op.startswith("SuperFC"):
        return _up(depth, BLOCK) * wide + wide * BYTES_A_CHANNEL + per["linear"]
    return _up(depth, BLOCK) * wide if node.op.startswith("QuantizedMatMul") else 0


def _convolution(weights: Shape4, library: MeasuredLibrary, per: Mapping[str, int]) -> int:
    """Packed weights, on v66 up to a power of two, and minima and maxima of every slice in VTCM.

    Source: src/op_supernode_new.c, supernode_check.
    """
    one = weight_slice_bytes(weights)
    packed = one * (weights[3] // BLOCK)
    if library == "v66":
        packed = 1 << (packed - 1).bit_length()
    return packed + per["threads"] * MINMAX_BYTES * max(1, per["vtcm"] // one)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


@functools.cache
def _table() -> Mapping[str, Mapping[str, int]]:
    entries = resources.Entries(resources.folder("op_tables") / "cost")
    table: Mapping[str, Mapping[str, int]] = entries["memory"]
    return table
