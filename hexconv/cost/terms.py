"""The terms of time: nodes, bytes and packets (op_tables/cost/soc.yml)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hexconv import resources


@dataclass(frozen=True)
class Terms:
    """Time per unit.

    Attributes:
        node_us: microseconds a node.
        streamed_ns: nanoseconds a byte that is read or written in order.
        reordered_ns: nanoseconds a byte of a node that reorders.
        packet_ns: nanoseconds a packet, of all threads.
    """

    node_us: float
    streamed_ns: float
    reordered_ns: float
    packet_ns: float

    def milliseconds(self, op: str, packets: float, moved: int) -> float:
        """Time of one node."""
        a_byte = self.reordered_ns if reorders(op) else self.streamed_ns
        return self.node_us / 1e3 + (moved * a_byte + packets * self.packet_ns) / 1e6

    def scaled(self, memory: float, packets: float) -> Terms:
        """The terms with nodes and bytes, and packets, multiplied by factors."""
        return Terms(
            self.node_us * memory,
            self.streamed_ns * memory,
            self.reordered_ns * memory,
            self.packet_ns * packets,
        )


def reorders(op: str) -> bool:
    """Whether an op reads in scattered order, which is slower than streaming."""
    return op in time_model()["reorders"]


@functools.cache
def time_model() -> Mapping[str, Any]:
    """The fitted terms, and the meaning of the ends of a range."""
    entries = resources.Entries(resources.folder("op_tables") / "cost")
    model: Mapping[str, Any] = entries["time_model"]
    return model
