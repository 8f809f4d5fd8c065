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
from hexconv.nnlib.graph import Const, Graph, Node

BLOCK = 32
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
    buffers = [_buffer(node, consts, per) for node in graph.nodes]
    convolutions = sum("upernode" in node.op for node in graph.nodes)
    items = len(graph.consts) + len(graph.nodes)
    held = per["library"] + items * per["item"] + weights + sum(buffers) + arena_bytes(graph)
    run = held + per["execution"] + convolutions * per["strategy"]
    return MemoryCost(round(held), round(run), per["vtcm"], weights)


def _buffer(node: Node, consts: Mapping[int, Const], per: Mapping[str, int]) -> int:
    """What a node keeps for itself: packed weights, and a work area."""
    const = consts.get(node.inputs[1].node) if len(node.inputs) > 1 else None
    if const is None:
        return 0
    kh, kw, depth, count = map(int, const.array.shape)
    wide = _up(count, BLOCK)
    if node.op.startswith("Supernode"):
        packed = kh * kw * _up(depth, BLOCK) * wide
        return packed + wide * BYTES_A_CHANNEL + per["convolution"]
    if node.op.startswith("InputSupernode"):
        return kh * _up(4 * kw, BLOCK) * wide + wide * BYTES_A_CHANNEL
    if node.op.startswith("SuperFC"):
        return _up(depth, BLOCK) * wide + wide * BYTES_A_CHANNEL + per["linear"]
    return _up(depth, BLOCK) * wide if node.op.startswith("QuantizedMatMul") else 0


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


@functools.cache
def _table() -> Mapping[str, Mapping[str, int]]:
    entries = resources.Entries(resources.folder("op_tables") / "cost")
    table: Mapping[str, Mapping[str, int]] = entries["memory"]
    return table
