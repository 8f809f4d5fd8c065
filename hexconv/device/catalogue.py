"""The library's ops against hexconv's catalogue: names, ids, numbers of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hexconv.device.job import NODE_BASE, JobWriter
from hexconv.device.session import Session
from hexconv.nnlib.graph import Node, Output, Ref
from hexconv.nnlib.ops import OpSpec, catalogue
from hexconv.nnlib.versions import LibraryVersion, release

MOST_INPUTS = 16
"""Variadic ops take any number of inputs; no more than these are tried."""

ANY_DTYPE = "uint8"


@dataclass(frozen=True)
class OpRow:
    """One op of the catalogue or the library, and where the two disagree.

    `library_id` is None if the library has no op of this name, `catalogue_id` if the catalogue
    does not list it. `problems` are sentences.
    """

    name: str
    library_id: int | None
    catalogue_id: int | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpReport:
    """The library's release and the DSP that it is for, and every op of either side by name.

    `mace_version` is the release as MACE's log prints it.
    """

    version: str
    mace_version: str
    library: LibraryVersion
    rows: tuple[OpRow, ...]

    @property
    def disagreements(self) -> list[OpRow]:
        """The rows with a problem."""
        return [row for row in self.rows if row.problems]


def compare_ops(session: Session) -> OpReport:
    """Compare the two sides, the catalogue's as it describes the library's version.

    Args:
        session: the library to ask.

    Raises:
        DeviceError: if the library does not respond.
    """
    records = session.ask(JobWriter.list_ops).records
    ids = {name: number for number, name in records.ops.items()}
    version = session.library.version
    specs = {name: spec for name, spec in catalogue().items() if version in spec.libraries}
    rejected = _rejected(session, [spec for spec in specs.values() if spec.name in ids])
    rows = []
    for name in sorted({*ids, *specs}):
        known = specs.get(name)
        problems = [] if known is None else _problems(known, ids.get(name), rejected.get(name, []))
        rows.append(OpRow(name, ids.get(name), known.id if known else None, tuple(problems)))
    return OpReport(release(records.version), f"{records.version:#x}", version, tuple(rows))


def _problems(known: OpSpec, library_id: int | None, rejected: list[Node]) -> Iterator[str]:
    if library_id is None:
        yield "the library has no such op"
    elif library_id != known.id:
        yield f"the catalogue gives it id {known.id}, the library {library_id}"
    for node in rejected:
        counts = f"{len(node.inputs)} inputs and {len(node.outputs)} outputs"
        yield f"the catalogue allows {counts}, the library does not"


def _attempts(specs: list[OpSpec]) -> Iterator[Node]:
    """One node for each number of inputs that the catalogue allows."""
    number = 1
    for known in specs:
        for count in range(MOST_INPUTS + 1):
            if known.accepts(count):
                yield _attempt(known, number, count)
                number += 1


def _attempt(known: OpSpec, number: int, count: int) -> Node:
    parts = sum(2 if result.variadic else not result.optional for result in known.outputs)
    results = known.results(parts)
    outputs = (Output((1, 1, 1, 1), (r.dtypes or (ANY_DTYPE,))[0]) for r in results)
    return Node(number, known.name, known.name, (Ref(0),) * count, tuple(outputs))


def _rejected(session: Session, specs: list[OpSpec]) -> dict[str, list[Node]]:
    """The attempts that the library rejects when the node is appended, by op."""
    attempts = list(_attempts(specs))

    def write(job: JobWriter) -> None:
        for node in attempts:
            job.try_node(node)

    outcome = session.ask(write)
    taken = outcome.records.taken
    rejected: dict[str, list[Node]] = {}
    for node in attempts:
        if not taken[node.id + NODE_BASE]:
            rejected.setdefault(node.op, []).append(node)
    return rejected
