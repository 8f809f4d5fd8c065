"""What a graph needs of the DSP's memory, as the library asks for it in the emulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexconv.arrays import Array
from hexconv.device.job import Slot
from hexconv.device.records import RunRecords, RunStage
from hexconv.device.session import Run, Session
from hexconv.nnlib.graph import Graph

RUNS = 2
"""The first execution allocates what later ones use again."""


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes that the library holds at most.

    Allocations are counted as they are asked for: the DSP's allocator adds a little to each.

    Args:
        prepare: of heap, up to the end of prepare: constants, packed weights, room for tensors.
        execute: of heap, while the graph is executed.
        vtcm: of fast memory.
    """

    prepare: int
    execute: int
    vtcm: int

    @classmethod
    def of(cls, records: RunRecords) -> DeviceMemory:
        """What a process needed that prepared and executed a graph."""
        prepare, execute = (
            max((use.peak for use in records.heap if use.stage == stage), default=0)
            for stage in (RunStage.PREPARE, RunStage.EXECUTE)
        )
        return cls(prepare, execute, max((use.vtcm for use in records.heap), default=0))


def memory(
    session: Session, graph: Graph, inputs: Sequence[Array], slots: Sequence[Slot]
) -> DeviceMemory:
    """Prepare and execute `graph`, and say what that needed.

    Raises:
        DeviceError: if the library does not run the graph.
    """
    return DeviceMemory.of(session.execute(graph, [Run(inputs)] * RUNS, slots))
