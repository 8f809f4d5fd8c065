"""The cost of each node: packets that the emulator counts, in the steady state.

The library's own per-node report gives what its clock counted between the start and the end of a
node; here the clock counts packets (csrc/counters.c), summed over the main thread and the vector
workers, without the packets spent waiting. These are packets, not cycles: no stalls, no cache
misses, no overlap of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexconv.arrays import Array
from hexconv.device.job import NODE_BASE, Counter, Slot
from hexconv.device.listing import Listed, listing_name, parse_listing
from hexconv.device.memory import DeviceMemory
from hexconv.device.records import Count
from hexconv.device.session import Run, Session
from hexconv.nnlib.graph import Graph

COUNTERS = (
    Counter.PACKETS,
    Counter.INSTRUCTIONS,
    Counter.HVX_INSTRUCTIONS,
    Counter.MAIN_PACKETS,
)
WARM_UP = 2
"""Runs before counting: the first packs weights and selects strategies and ranges."""

REPEATS = 4
"""Runs per counter; the minimum is used: noise (a worker's wake-up) can only add packets."""


@dataclass(frozen=True)
class MeasuredNode:
    """The cost of one executed node in one run.

    Args:
        name: the node's name; for a node that prepare inserted, its op.
        op: as it was executed.
        packets: of all threads.
        instructions: in those packets.
        hvx_instructions: vector instructions among them.
        main_packets: packets of the main thread alone.
    """

    name: str
    op: str
    packets: int
    instructions: int
    hvx_instructions: int
    main_packets: int


@dataclass(frozen=True)
class Profile:
    """The executed nodes of a graph in order, the cost of each, and the memory that they need."""

    nodes: tuple[MeasuredNode, ...]
    memory: DeviceMemory

    @property
    def packets(self) -> int:
        """Packets of one execution."""
        return sum(node.packets for node in self.nodes)

    def by_op(self) -> dict[str, tuple[int, int]]:
        """(number of nodes, packets) for each executed op, most expensive first."""
        sums: dict[str, tuple[int, int]] = {}
        for node in self.nodes:
            count, packets = sums.get(node.op, (0, 0))
            sums[node.op] = (count + 1, packets + node.packets)
        return dict(sorted(sums.items(), key=lambda item: -item[1][1]))


def profile(
    session: Session,
    graph: Graph,
    inputs: Sequence[Array],
    slots: Sequence[Slot],
    repeats: int = REPEATS,
) -> Profile:
    """Count one execution of `graph`, node by node.

    Args:
        session: the library.
        graph: what to run.
        inputs: the input tensors, in the library's order.
        slots: the outputs.
        repeats: executions for each counter, of which the minimum is used.

    Raises:
        DeviceError: if the library cannot run the graph.
    """
    counted = [counter for counter in COUNTERS for _ in range(repeats)]
    runs = [Run(inputs, counter) for counter in [*[Counter.PACKETS] * WARM_UP, *counted]]
    records = session.execute(graph, runs, slots, list_nodes=True)
    reports = records.counts[WARM_UP:]
    least = [_least(reports[i * repeats : (i + 1) * repeats]) for i in range(len(COUNTERS))]
    nodes = parse_listing(records.after)
    rows = tuple(_cost(graph, node, least) for node in nodes)
    return Profile(rows, DeviceMemory.of(records))


def _least(reports: Sequence[Sequence[Count]]) -> dict[int, int]:
    """From each node id in the library to its minimum count."""
    counts: dict[int, int] = {}
    for report in reports:
        for row in report:
            counts[row.node] = min(row.count, counts.get(row.node, row.count))
    return counts


def _cost(graph: Graph, node: Listed, least: Sequence[dict[int, int]]) -> MeasuredNode:
    number = node.id + (1 << 32 if node.made_by_prepare else NODE_BASE)
    packets, instructions, hvx, main = (counts.get(number, 0) for counts in least)
    return MeasuredNode(listing_name(graph, node), node.op, packets, instructions, hvx, main)
