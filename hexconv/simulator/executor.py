"""Runs a prepared graph: one kernel call per node, tensors dropped after their last reader."""

from __future__ import annotations

import copy
import functools
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError, HexconvError
from hexconv.nnlib.graph import (
    FLOAT_OUTPUT_OP,
    INPUT_OP,
    OUTPUT_OP,
    OUTPUT_PORTS,
    Graph,
    Node,
    Ref,
)
from hexconv.nnlib.versions import LibraryVersion, check_library
from hexconv.simulator import kernels
from hexconv.simulator.registry import KERNELS, Kernel, KernelCall
from hexconv.threads import ARITHMETIC

SAME_DATA = frozenset(
    ("Convert_to_d32", "Convert_from_d32", "Convert_to_d32_16b", "Convert_from_d32_16b", "Nop")
)
"""Nodes that only change how data is laid out in memory: here all data is laid out as BHWD."""

SOURCES = frozenset(("INPUT", INPUT_OP))
SILENT = frozenset(("Sink",))
PER_INPUT = 4

Watch = Callable[[Node, list[Array]], list[Array]]
"""Receives the outputs of each node when it is executed, and returns those for its readers."""


@functools.cache
def load_kernels() -> None:
    """Import every module of kernels; they register themselves."""
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")


@dataclass(slots=True)
class Step:
    """One kernel call: the slots of its inputs and outputs, and those to drop after it."""

    node: Node
    kernel: Kernel
    call: KernelCall
    reads: list[int]
    writes: list[int]
    drops: list[int]


class Executor:
    """A prepared graph, ready to run any number of times.

    Args:
        graph: as `hexconv.nnlib.prepare.prepare` returns it.
        library: "v60", "v65" or "v66".
        keep: tensors that must outlive a run, for `value`.

    Raises:
        GraphError: a node has no kernel.
    """

    def __init__(self, graph: Graph, library: LibraryVersion, keep: Iterable[Ref] = ()) -> None:
        check_library(library)
        load_kernels()
        self.library = library
        self._slots: dict[Ref, int] = {}
        self._values: list[Array | None] = []
        for const in graph.consts:
            self._place(Ref(const.id), const.array)
        self._consts = {const.id for const in graph.consts}
        self.steps: list[Step] = []
        self._sources: list[int] = []
        self._sinks: list[int] = []
        self._quantizer: Step | None = None
        self._dequantizers: list[Step] = []
        _need_kernels(graph.nodes)
        for node in graph.nodes:
            self._plan(node)
        self._plan_drops(keep)

    def twin(self) -> Executor:
        """Another one of this graph, to run at the same time in another thread.

        What kernels compute from constants is shared: packed weights exist once.
        """
        twin = copy.copy(self)
        consts = {self._slots[Ref(const)] for const in self._consts}
        twin._values = [v if slot in consts else None for slot, v in enumerate(self._values)]
        twin.steps = [_copied(step) for step in self.steps]
        twin._quantizer = None if self._quantizer is None else _copied(self._quantizer)
        twin._dequantizers = [_copied(step) for step in self._dequantizers]
        return twin

    def _place(self, ref: Ref, value: Array | None = None) -> int:
        self._slots[ref] = len(self._values)
        self._values.append(value)
        return self._slots[ref]

    def _plan(self, node: Node) -> None:
        if node.op in SILENT:
            return
        if node.op in SAME_DATA:
            self._slots[Ref(node.id)] = self._slots[node.inputs[0]]
            return
        reads = [self._slots[ref] for ref in node.inputs]
        if node.op in SOURCES:
            self._sources += [self._place(Ref(node.id, p)) for p in range(len(node.outputs))]
            if node.op == INPUT_OP:
                self._quantizer = self._step(node, [], [])
        elif node.op == FLOAT_OUTPUT_OP:
            self._sinks += reads
        elif node.op == OUTPUT_OP:
            self._sinks += reads
            ports = OUTPUT_PORTS[node.op]
            for first in range(0, len(reads), ports):
                self._dequantizers.append(self._step(node, reads[first : first + ports], []))
        else:
            writes = [self._place(Ref(node.id, p)) for p in range(len(node.outputs))]
            self.steps.append(self._step(node, reads, writes))

    def _step(self, node: Node, reads: list[int], writes: list[int]) -> Step:
        call = KernelCall(
            node.op,
            [],
            node.padding,
            node.outputs,
            self.library,
            tuple(ref.node in self._consts for ref in node.inputs),
        )
        return Step(node, KERNELS[node.op], call, reads, writes, [])

    def _plan_drops(self, keep: Iterable[Ref]) -> None:
        """The step after which each slot is no longer read; outputs and kept tensors stay."""
        stay = {*self._sinks, *(self._slots[ref] for ref in keep if ref in self._slots)}
        stay.update(slot for slot, value in enumerate(self._values) if value is not None)
        seen: set[int] = set()
        for step in reversed(self.steps):
            for slot in (*step.reads, *step.writes):
                if slot not in seen and slot not in stay:
                    step.drops.append(slot)
                seen.add(slot)

    def run(self, sources: Sequence[Array], watch: Watch | None = None) -> list[Array]:
        """Run once.

        Args:
            sources: one array per output of the INPUT node; for MACE's quantizing input four per
                input: data, min, max, flag.
            watch: receives every computed tensor, those of MACE's quantizing input included.

        Returns:
            One array per input of the OUTPUT node; for MACE's dequantizing output three per output:
            float32 data, min, max.
        """
        start = time.perf_counter()
        with np.errstate(**ARITHMETIC):
            results = self._run(sources, watch)
        native.spent(time.perf_counter() - start)
        return results

    def _run(self, sources: Sequence[Array], watch: Watch | None) -> list[Array]:
        values = self._values
        entering = self._quantized(sources)
        if watch is not None and self._quantizer is not None:
            entering = watch(self._quantizer.node, list(entering))
        for slot, array in zip(self._sources, entering, strict=True):
            values[slot] = array
        for step in self.steps:
            results = run_step(step, [values[slot] for slot in step.reads])
            if watch is not None:
                results = watch(step.node, results)
            assert len(results) == len(step.writes), step.node.op
            for slot, array in zip(step.writes, results):  # noqa: B905  (the time counts here)
                values[slot] = array
            for slot in step.drops:
                values[slot] = None
        if not self._dequantizers:
            return [_present(values[slot]) for slot in self._sinks]
        returned: list[Array] = []
        for step in self._dequantizers:
            returned += run_step(step, [values[slot] for slot in step.reads])
        return returned

    def _quantized(self, sources: Sequence[Array]) -> Sequence[Array]:
        """What the nodes read of the sources; nothing where none reads an input."""
        if not self._sources:
            return []
        if self._quantizer is None:
            return sources
        codes: list[Array] = []
        for first in range(0, len(sources), PER_INPUT):
            codes += run_step(self._quantizer, list(sources[first : first + PER_INPUT]))
        return codes

    def value(self, ref: Ref) -> Array | None:
        """A tensor of the last run that was listed in `keep`; None if it is not in the graph."""
        slot = self._slots.get(ref)
        return None if slot is None else self._values[slot]


def _copied(step: Step) -> Step:
    """The same step with inputs of its own, and a common cache."""
    return replace(step, call=replace(step.call, inputs=[]))


def run_step(step: Step, inputs: Sequence[Array | None]) -> list[Array]:
    call = step.call
    call.inputs = inputs  # type: ignore[assignment]  # every input was written by an earlier step
    try:
        results = step.kernel(call)
    except (HexconvError, FloatingPointError, MemoryError) as error:
        raise located(error, step.node) from error
    call.inputs = _NONE
    return results


_NONE: list[Array] = []


def _present(value: Array | None) -> Array:
    assert value is not None, "an output that no node has written"
    return value


def located(error: HexconvError | FloatingPointError | MemoryError, node: Node) -> HexconvError:
    """The same error, naming the node, if it does not name one yet."""
    where = f"node {node.id} '{node.name}' ({node.op})"
    if isinstance(error, FloatingPointError):
        return GraphError(
            "a node computes with numbers that float32 cannot hold",
            where=where,
            why=f"{error}: a range or a constant that it reads is too large, or too small",
        )
    if isinstance(error, MemoryError):
        return GraphError("there is not enough memory to run a node", where=where, why=str(error))
    if error.where:
        return error
    return GraphError(error.what, where=where, why=error.why, hint=error.hint)


def _need_kernels(nodes: Iterable[Node]) -> None:
    silent = SAME_DATA | SILENT | {"INPUT", FLOAT_OUTPUT_OP}
    missing = sorted({node.op for node in nodes if node.op not in KERNELS} - silent)
    if missing:
        raise GraphError(
            f"the simulator has no kernel for {', '.join(missing)}",
            hint="run the graph on the real library: hexconv device",
        )


def scalar(value: float, dtype: str = "float32") -> Array:
    """A 1x1x1x1 array."""
    return np.full((1, 1, 1, 1), value, dtype)
