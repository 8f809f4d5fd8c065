"""The job file: the graph that the runner is to build, prepare and execute.

Records of a tag, a length and a payload, as csrc/records.h describes them. They are written as
written as they arrive, so a large graph is never held twice.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Const, Graph, Node

NODE_BASE = 0x5000000
"""Added to a graph's ids, so that an id in the library's log cannot be another number."""


class Counter(IntEnum):
    """What the library's per-node report counts in one run (csrc/counters.h)."""

    NONE = 0
    PACKETS = 1
    INSTRUCTIONS = 2
    HVX_INSTRUCTIONS = 3
    MAIN_PACKETS = 4


@dataclass(frozen=True)
class Slot:
    """Space for one output tensor of a run: its bytes, element type, and initial content."""

    nbytes: int
    dtype: str
    initial: bytes = b""


def _padded(payload: bytes) -> bytes:
    return payload + bytes(-len(payload) % 4)


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _four(shape: Sequence[int]) -> tuple[int, ...]:
    return (1,) * (4 - len(shape)) + tuple(shape)


class JobWriter:
    """Writes the records of one job to an open file.

    `counts` says whether one of the runs written so far counts what it executes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.counts = False

    def _record(self, tag: bytes, *parts: bytes) -> None:
        self._file.write(struct.pack("<4sI", tag, sum(map(len, parts))))
        self._file.write(_padded(b"".join(parts)))

    def list_ops(self) -> None:
        """Request the library's version and ops."""
        self._record(b"OPS ")

    def option(self, name: str, value: int) -> None:
        """Set an option of the graph (before prepare)."""
        self._record(b"OPTN", struct.pack("<i", value), _string(name))

    def graph(self, graph: Graph) -> None:
        """Append every const, then every node, in order."""
        for const in graph.consts:
            self._const(const)
        for node in graph.nodes:
            self._node(b"NODE", node)

    def try_node(self, node: Node) -> None:
        """Ask whether the library accepts a node; the result is stored by the node's id."""
        self._node(b"TRY ", node)

    def _const(self, const: Const) -> None:
        data = b"" if const.shape_only else np.ascontiguousarray(const.array).tobytes()
        head = (const.id + NODE_BASE, *_four(const.array.shape), len(data))
        self._record(b"CNST", struct.pack("<6I", *head), data)

    def _node(self, tag: bytes, node: Node) -> None:
        head = (node.id + NODE_BASE, node.padding.code, len(node.inputs), len(node.outputs))
        inputs = [struct.pack("<2I", ref.node + NODE_BASE, ref.port) for ref in node.inputs]
        outputs = [
            struct.pack("<I8IIif", 4, *output.shape, 0, 0, 0, 0, output.elsize, 0, 0.0)
            for output in node.outputs
        ]
        self._record(tag, struct.pack("<4I", *head), *inputs, *outputs, _string(node.op))

    def prepare(self, *, list_before: bool = False, list_after: bool = False) -> None:
        """Prepare the graph; request its nodes before and after."""
        self._record(b"PREP", struct.pack("<I", list_before + 2 * list_after))

    def output(self, slot: Slot) -> None:
        """Declare the next output tensor of every run."""
        self._record(b"OUTP", struct.pack("<2I", slot.nbytes, len(slot.initial)), slot.initial)

    def input(self, array: Array) -> None:
        """Give the next input tensor of the next run, (B,H,W,D)."""
        data = np.ascontiguousarray(array).tobytes()
        self._record(b"INPT", struct.pack("<5I", *_four(array.shape), len(data)), data)

    def run(self, counter: Counter = Counter.NONE) -> None:
        """Execute once with the inputs given since the last run."""
        self.counts |= counter != Counter.NONE
        self._record(b"RUN ", struct.pack("<I", counter))
