"""How far simulator and library agree, op by op and version by version, and the page on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hexconv.arrays import Array
from hexconv.device import Library
from hexconv.errors import HexconvError
from hexconv.nnlib.check import problems
from hexconv.nnlib.graph import OUTPUT_OP, Graph
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator.executor import Executor

FLAG = 3
"""Position of the flag among the four tensors that DequantizeOUTPUT_8tof writes for an output."""


@dataclass(frozen=True)
class Trial:
    """One graph and its raw inputs.

    Args:
        name: its name on the page.
        group: the row of the page that it counts in.
        graph: the graph that both sides run.
        sources: the raw inputs.
        recorded: the outputs of nnlib built from its open source, where they are known.
        cause: why the two sides are known to differ.
    """

    name: str
    group: str
    graph: Graph
    sources: Sequence[Array]
    recorded: Sequence[Array] = ()
    cause: str = ""


@dataclass(frozen=True)
class Agreement:
    """One trial: how many elements differ and by how much (LSB, or the value of floats).

    `note` says whether a side failed; an error on both sides is agreement. `cause` is why they
    differ, where that is known.
    """

    trial: str
    group: str
    different: int = 0
    elements: int = 0
    largest: float = 0.0
    note: str = ""
    failed: bool = False
    cause: str = ""

    @property
    def exact(self) -> bool:
        """Bit for bit the same."""
        return not self.different and not self.failed


def agree(library: Library, trial: Trial) -> Agreement:
    """Run a trial on both sides, and compare every output."""
    real, real_error = _real(library, trial)
    ours, our_error = _simulated(library.version, trial)
    if real is None or ours is None:
        both = real is None and ours is None
        note = f"library: {real_error or 'runs'}; simulator: {our_error or 'runs'}"
        cause = trial.cause or _refused_anyway(trial.graph, library.version)
        return Agreement(trial.name, trial.group, note=note, failed=not both, cause=cause)
    result = _compared(trial, real, ours)
    if result.exact:
        return result
    cause = _open_source(trial, ours) or _refused_anyway(trial.graph, library.version)
    return replace(result, cause=trial.cause or cause)


def _open_source(trial: Trial, ours: Sequence[Array]) -> str:
    """The cause, if the simulator returns what the open source was recorded to return."""
    pairs = zip(trial.recorded, ours, strict=False)
    if trial.recorded and all(old.tobytes() == mine.tobytes() for old, mine in pairs):
        return "the open source returns what the simulator does; the shipped library does not"
    return ""


def _refused_anyway(graph: Graph, version: LibraryVersion) -> str:
    """The cause, if no model with such a node passes the checks of a conversion."""
    bare = [f"({op}, " for op in ("INPUT", "OUTPUT")]  # ends of a graph that has no model
    found = [text for text in problems(graph, version) if not any(end in text for end in bare)]
    return f"a conversion rejects {found[0]}" if found else ""


def _real(library: Library, trial: Trial) -> tuple[list[Array] | None, str]:
    try:
        tensors = library.run_raw(trial.graph, trial.sources)
    except HexconvError as error:
        return None, error.why or error.what
    if any(node.op == OUTPUT_OP for node in trial.graph.nodes):
        tensors = [tensor for i, tensor in enumerate(tensors) if i % 4 != FLAG]
    return tensors, ""


def _simulated(version: LibraryVersion, trial: Trial) -> tuple[list[Array] | None, str]:
    try:
        return Executor(prepare(trial.graph, version), version).run(trial.sources), ""
    except HexconvError as error:
        return None, error.what


def _compared(trial: Trial, real: Sequence[Array], ours: Sequence[Array]) -> Agreement:
    different = elements = 0
    largest = 0.0
    for theirs, mine in zip(real, ours, strict=True):
        elements += theirs.size
        if theirs.shape != mine.shape or theirs.dtype != mine.dtype:
            note = f"{theirs.dtype}{theirs.shape} against {mine.dtype}{mine.shape}"
            return Agreement(trial.name, trial.group, note=note, failed=True)
        unequal = theirs.view(_bits(theirs)) != np.ascontiguousarray(mine).view(_bits(mine))
        different += int(np.count_nonzero(unequal))
        apart = np.abs(theirs.astype(np.float64) - mine.astype(np.float64))
        largest = max(largest, float(np.nanmax(apart)) if apart.size else 0.0)
    return Agreement(trial.name, trial.group, different, elements, largest)


def _bits(array: Array) -> np.dtype[np.unsignedinteger]:
    """The unsigned type of the same width: floats are compared by their bits."""
    return np.dtype(f"u{array.itemsize}")


def page(found: Mapping[LibraryVersion, Sequence[Agreement]], release: str, command: str) -> str:
    """The page as Markdown: one row per group, then every trial that is not exact.

    Args:
        found: the same trials on each version of the library.
        release: the library's own version number.
        command: that writes the page.
    """
    heads = " | ".join(f"{version} exact | largest difference" for version in found)
    lines = [
        "# Agreement of the simulator with the real library",
        "",
        f"Generated by `{command}`; do not edit. Library: Hexagon NN {release}, in qemu-hexagon.",
        "",
        "Each trial runs the same graph in both and compares every output bit for bit (quantized"
        " values and ranges).",
        "",
        *(f"- {version}: {_exact(items)} trials are exact." for version, items in found.items()),
        "",
        f"| op or kind of graph | trials | {heads} |",
        "|---|---:|" + "---:|---:|" * len(found),
        *_rows(found),
    ]
    for version, items in found.items():
        unequal = [f"- {_sentence(item)}" for item in items if not item.exact]
        lines += ["", f"## Differences on {version}", "", *(unequal or ["None."])]
    return "\n".join(lines) + "\n"


def _exact(items: Sequence[Agreement]) -> str:
    return f"{sum(item.exact for item in items)} of {len(items)}"


def _rows(found: Mapping[LibraryVersion, Iterable[Agreement]]) -> list[str]:
    """A row for each group, with its figures on each version."""
    groups: dict[str, dict[LibraryVersion, list[Agreement]]] = {}
    for version, items in found.items():
        for item in items:
            groups.setdefault(item.group, {}).setdefault(version, []).append(item)
    lines = []
    for name in sorted(groups):
        figures = [groups[name].get(version, []) for version in found]
        cells = [
            f"{sum(item.exact for item in part)} | {max((i.largest for i in part), default=0):g}"
            for part in figures
        ]
        lines.append(f"| {name} | {max(map(len, figures))} | {' | '.join(cells)} |")
    return lines


def _sentence(item: Agreement) -> str:
    counts = f"{item.different} of {item.elements} differ, max difference {item.largest:g}"
    cause = f" ({item.cause})" if item.cause else " (cause not known)"
    return f"{item.trial}: {' '.join(item.note.split()) or counts}{cause}"
