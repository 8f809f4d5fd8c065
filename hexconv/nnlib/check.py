"""Reject a graph that the library would reject, crash on, or compute incorrectly.

One walk over the nodes in their order: linear in the size of the graph. `structure`
holds what every graph keeps to; here are the limits of the library and of its versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.site import NodeSite
from hexconv.nnlib.structure import (
    counted,
    interface,
    limit_faults,
    node_faults,
    on_lines,
    walk,
    wiring,
)
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion


def check(graph: Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> None:
    """Raise one error that lists every problem of a graph.

    Args:
        graph: any nnlib graph, converted or loaded.
        library: the library that it will run on: v60, v65, v66, or open.

    Raises:
        GraphError: with each problem on a line, the node named.
    """
    found = problems(graph, library)
    if found:
        raise GraphError(
            f"the graph '{graph.name}' cannot run on the Hexagon library: {counted(found)}",
            why=on_lines(found),
        )


def problems(graph: Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> list[str]:
    """Every problem of a graph, one line each; empty for a graph that runs."""
    found = list(wiring(graph))
    if found:  # shapes and types are meaningless before every input exists
        return found
    return [*interface(graph), *walk(graph, partial(_node, library=library))]


def _node(site: NodeSite, dtypes: Sequence[str], library: LibraryVersion) -> Iterator[str]:
    """One node: whether it exists, its inputs, its outputs, and its constraints."""
    node, known = site.node, site.spec
    if known.emit == "never":
        yield known.why
        return
    if library not in known.libraries:
        yield f"the {library} library does not have this op"
    if known.emit == "yes" and node.padding not in known.padding:
        supported = ", ".join(padding.name for padding in known.padding)
        yield f"padding {node.padding.name} is not supported, only {supported}"
    faults = list(node_faults(site, dtypes))
    yield from faults
    if known.emit == "prepare" or not known.accepts(len(node.inputs)):
        return
    for limit in known.limits:
        if not limit.operands_fit and (not limit.libraries or library in limit.libraries):
            yield from limit_faults(site, limit)
    yield from _requested(site)


def _requested(site: NodeSite) -> Iterator[str]:
    """A requested range whose ends are known must have a width."""
    out = site.range("out_")
    if out is not None and not out[0] < out[1]:
        yield f"the requested output range, {out[0]:g}..{out[1]:g}, is empty"
