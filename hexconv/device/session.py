"""One graph in one process of the library: any number of runs, raw tensors in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hexconv.device.answer import Answer, Stage
from hexconv.device.job import NODE_BASE, Counter, JobWriter, Slot
from hexconv.device.logs import failed_node, node_label, readable, with_names
from hexconv.device.process import Limits, Outcome, run_job
from hexconv.errors import DeviceError
from hexconv.nnlib.graph import Array, Graph


@dataclass(frozen=True)
class Run:
    """One execution: its input tensors in the library's order, and what to count."""

    inputs: Sequence[Array]
    counter: Counter = Counter.NONE


@dataclass(frozen=True)
class Session:
    """A checked library, and what its processes may use."""

    library: bytes
    limits: Limits

    def execute(
        self,
        graph: Graph,
        runs: Iterable[Run],
        slots: Sequence[Slot],
        *,
        list_nodes: bool = False,
    ) -> Answer:
        """Prepare `graph` and execute `runs` one after another, in one process.

        Args:
            graph: what to append, as it is.
            runs: the executions; may be empty, to see whether the library prepares the graph.
            slots: the outputs of each run.
            list_nodes: also ask for the nodes before and after prepare.

        Raises:
            DeviceError: if the library refuses the graph, crashes, or does not end in time.
        """

        def write(job: JobWriter) -> None:
            job.graph(graph)
            job.prepare(list_before=list_nodes, list_after=list_nodes)
            for slot in slots:
                job.output(slot)
            for run in runs:
                for tensor in run.inputs:
                    job.input(tensor)
                job.run(run.counter)

        outcome = run_job(self.library, write, slots, self.limits)
        if not outcome.answer.done:
            raise failure(graph, outcome, self.limits)
        return outcome.answer

    def ask(self, write: Callable[[JobWriter], None]) -> Outcome:
        """Run a job that has no graph.

        Raises:
            DeviceError: if the library cannot be loaded or does not answer.
        """
        outcome = run_job(self.library, write, (), self.limits)
        if not outcome.answer.done:
            raise failure(Graph(), outcome, self.limits)
        return outcome


def failure(graph: Graph, outcome: Outcome, limits: Limits) -> DeviceError:
    """The error that says what went wrong, where, and in the library's own words why."""
    refused = outcome.answer.failure
    if refused:
        node = refused.node or None
        culprit = node - NODE_BASE if node else failed_node(refused.log)
        return DeviceError(
            f"the library failed while {refused.stage.doing}",
            where=node_label(graph, culprit) if culprit is not None else "",
            why=readable(graph, refused.log) or f"it answered {refused.code} and logged nothing",
        )
    stage = outcome.progress.stage
    if outcome.code is None:
        return DeviceError(
            f"the library did not finish within {limits.seconds:g} s while {stage.doing}",
            todo="allow more time, or a smaller graph",
        )
    return DeviceError(
        f"the emulated process ended ({_how(outcome.code)}) while {stage.doing}",
        where=_where(graph, outcome),
        why=with_names(graph, outcome.stderr.strip()),
    )


def _where(graph: Graph, outcome: Outcome) -> str:
    if outcome.progress.stage in (Stage.CONST, Stage.NODE):
        return node_label(graph, outcome.progress.node - NODE_BASE)
    return ""


def _how(code: int) -> str:
    return f"signal {code - 128}" if code > 128 else f"exit code {code}"
