"""Many samples through one graph, here or distributed over worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.cluster import Cluster, Done, Failed, Shard
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, HasGraph, Node, graph_of
from hexconv.nnlib.ops import catalogue, spec
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.simulator.run import Feeds, Simulator

Outputs = dict[str, Array]
REMEMBERING = ("Supernode", "SuperFC")
"""Ops that widen an output range of their own for good."""


@dataclass(frozen=True)
class SimulationJob:
    """Outputs of each sample of a shard.

    Args:
        graph: to run.
        library: whose arithmetic.
    """

    graph: Graph
    library: LibraryVersion

    def open(self) -> Callable[[Shard], list[Outputs]]:
        """Prepare the graph once."""
        simulator = Simulator(self.graph, self.library)
        return lambda shard: [simulator.run(sample) for sample in shard.samples]


def simulate_on(
    cluster: Cluster,
    model: HasGraph | Graph,
    samples: Iterable[Feeds],
    library: LibraryVersion = DEFAULT_LIBRARY,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Done[list[Outputs]] | Failed]:
    """The DSP's outputs of each sample, by shard, as they come.

    Raises:
        GraphError: an output depends on the samples before.
        ClusterError: the scheduler or all workers are gone.
    """
    graph = graph_of(model)
    require_independent(graph)
    yield from cluster.run(SimulationJob(graph, library), samples, progress)


def require_independent(graph: Graph) -> None:
    """Raise for a graph whose outputs depend on earlier inputs: those cannot be distributed.

    Raises:
        GraphError: a node keeps the widest range that it has seen.
    """
    for node in remembering(graph):
        raise GraphError(
            "the outputs depend on the samples before, which other workers have",
            where=f"node '{node.name}' ({node.op})",
            why="it has no requested output range, and keeps the widest that it has seen",
            hint="run it without --cluster",
        )


def remembering(graph: Graph) -> list[Node]:
    """The nodes whose outputs depend on earlier inputs."""
    consts = {const.id: const.array for const in graph.consts}
    return [
        node
        for node in graph.nodes
        if any(word in node.op for word in REMEMBERING) and _finds_range(node, consts)
    ]


def _finds_range(node: Node, consts: dict[int, Array]) -> bool:
    if node.op not in catalogue():
        return False
    places = [spec(node.op).position(role, len(node.inputs)) for role in ("out_min", "out_max")]
    ends = [consts.get(node.inputs[place].node) for place in places if place is not None]
    return any(end is not None and not np.isfinite(end).all() for end in ends)
