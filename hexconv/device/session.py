"""One graph in one process of the library: any number of runs, raw tensors in and out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hexconv.arrays import Array
from hexconv.device.elf import LibraryFile
from hexconv.device.job import NODE_BASE, Counter, JobWriter, Slot
from hexconv.device.locate import executing, first_unprepared
from hexconv.device.logs import failed_node, node_label, readable
from hexconv.device.process import Limits, ProcessOutcome, Watch, run_job
from hexconv.device.records import Progress, RunRecords, RunStage
from hexconv.errors import DeviceError
from hexconv.nnlib.graph import Graph

NO_INSTRUCTION = "unhandled CPU exception 0x15"
"""What qemu prints for a packet that it does not know (HEX_CAUSE_INVALID_PACKET)."""

Tell = Callable[[str, int, int], None]
"""Called with a stage, how much of it is done, and of how much; 0 where that is not known."""


@dataclass(frozen=True)
class Run:
    """One execution: its input tensors in the library's order, and what to count."""

    inputs: Sequence[Array]
    counter: Counter = Counter.NONE


@dataclass(frozen=True)
class Session:
    """A library that can be run, the limits of its processes, and who is told where they stand."""

    library: LibraryFile
    limits: Limits
    progress: Tell | None = None

    def execute(
        self,
        graph: Graph,
        runs: Iterable[Run],
        slots: Sequence[Slot],
        *,
        list_nodes: bool = False,
    ) -> RunRecords:
        """Prepare `graph` and execute `runs` one after another, in one process.

        Args:
            graph: what to append, as it is.
            runs: the executions; may be empty, to test whether the library prepares the graph.
            slots: the outputs of each run.
            list_nodes: also return the nodes before and after prepare.

        Raises:
            DeviceError: if the library rejects the graph, crashes, or does not end in time.
        """

        asked = 0

        def write(job: JobWriter) -> None:
            nonlocal asked
            job.graph(graph)
            job.prepare(list_before=list_nodes, list_after=list_nodes)
            for slot in slots:
                job.output(slot)
            for run in runs:
                for tensor in run.inputs:
                    job.input(tensor)
                job.run(run.counter)
                asked += 1

        tell, nodes = self.progress, len(graph.nodes)
        watch: Watch | None = (lambda at: tell_progress(tell, at, asked, nodes)) if tell else None
        outcome = run_job(self.library, write, slots, self.limits, watch)
        if not outcome.records.done:
            raise failure(graph, outcome, self.limits, self._culprit(graph, outcome))
        if len(outcome.records.outputs) != asked:
            raise DeviceError(f"{len(outcome.records.outputs)} of {asked} runs returned")
        return outcome.records

    def _culprit(self, graph: Graph, outcome: ProcessOutcome) -> str:
        """The node that failed, found by preparing once or a few times more."""
        failed, stage = outcome.records.failure, outcome.progress.stage
        if failed and failed.node:
            return node_label(graph, failed.node - NODE_BASE)
        named = failed_node(failed.log) if failed else None
        if named is not None:
            return node_label(graph, named)
        if stage in (RunStage.CONST, RunStage.NODE):
            return node_label(graph, outcome.progress.node - NODE_BASE)
        if stage == RunStage.EXECUTE:
            return executing(graph, outcome.progress, self._try(graph).records.after)
        if stage == RunStage.PREPARE and outcome.code is not None:
            return first_unprepared(graph, lambda part: self._try(part).records.done)
        return ""

    def _try(self, graph: Graph) -> ProcessOutcome:
        """Prepare a graph, whether or not that succeeds."""

        def write(job: JobWriter) -> None:
            job.graph(graph)
            job.prepare(list_after=True)

        return run_job(self.library, write, (), self.limits)

    def ask(self, write: Callable[[JobWriter], None]) -> ProcessOutcome:
        """Run a job that has no graph.

        Raises:
            DeviceError: if the library cannot be loaded or does not respond.
        """
        outcome = run_job(self.library, write, (), self.limits)
        if not outcome.records.done:
            raise failure(Graph(), outcome, self.limits, "")
        return outcome


def tell_progress(progress: Tell, found: Progress, runs: int, nodes: int) -> None:
    """Where a process stands, in nodes of the graph: those that prepare adds are not counted.

    The library reads its clock before and after each node.
    """
    if found.stage < RunStage.EXECUTE:
        progress("prepare", 0, 0)
    elif found.stage == RunStage.EXECUTE:
        executed = min(found.clock_reads // 2, nodes)
        progress("run", (found.runs - 1) * nodes + executed, runs * nodes)


def failure(graph: Graph, outcome: ProcessOutcome, limits: Limits, where: str) -> DeviceError:
    """The error: what went wrong, where, and the library's own message."""
    failed, stage = outcome.records.failure, outcome.progress.stage
    if failed:
        return DeviceError(
            f"the library failed while {failed.stage.doing}",
            where=where,
            why=readable(graph, failed.log) or f"it returned {failed.code} and logged nothing",
        )
    if outcome.code is None:
        return DeviceError(
            f"the library did not finish within {limits.seconds:g} s while {stage.doing}",
            where=where,
            hint="allow more time, or give a smaller graph",
        )
    if NO_INSTRUCTION in outcome.stderr:
        return DeviceError(
            f"the emulator rejected an instruction of the library while {stage.doing}",
            where=where,
            why="qemu 7.2 runs what hexconv replaces in the v65 and v66 libraries; 10.0 does not",
            hint="take Debian 12's qemu-user-static: HEXCONV_QEMU=.../qemu-hexagon-static",
        )
    return DeviceError(
        f"the emulated process ended ({_how(outcome.code)}) while {stage.doing}",
        where=where,
        why=readable(graph, outcome.stderr),
    )


def _how(code: int) -> str:
    """An exit code, or the name of the signal that ended the process."""
    if code <= 128:
        return f"exit code {code}"
    number = code - 128
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
