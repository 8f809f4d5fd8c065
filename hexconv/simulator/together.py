"""Several samples through a prepared graph, node by node: what all of them say can change a node.

A constant that is changed after a node was seen on all samples changes that node and what follows,
in one run of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Node
from hexconv.simulator.executor import Executor, Step, run_step
from hexconv.threads import ARITHMETIC

Visit = Callable[[Node, Sequence[Sequence[Array]], list[list[Array]]], Mapping[int, Array]]
"""Receives a node, its inputs and outputs of each sample; returns new constants by input."""


class Together(Executor):
    """Runs several samples side by side."""

    def run_together(self, samples: Sequence[Sequence[Array]], *visits: Visit) -> None:
        """Run every node on all samples before the next one.

        Args:
            samples: the sources of each, as for `run`.
            visits: see each node, one after the other; where one returns constants, the node runs
                again with them.
        """
        with np.errstate(**ARITHMETIC):
            tables = [self._started(sources) for sources in samples]
            for step in self.steps:
                results = [run_step(step, [table[slot] for slot in step.reads]) for table in tables]
                for visit in visits:
                    reads = [[table[slot] for slot in step.reads] for table in tables]
                    changed = visit(step.node, cast("list[list[Array]]", reads), results)
                    if changed:
                        results = self._again(step, tables, changed)
                for table, arrays in zip(tables, results, strict=True):
                    for slot, array in zip(step.writes, arrays, strict=True):
                        table[slot] = array
                    for slot in step.drops:
                        table[slot] = None

    def _started(self, sources: Sequence[Array]) -> list[Array | None]:
        """The values of one sample before the first node."""
        table = list(self._values)
        for slot, array in zip(self._sources, self._quantized(sources), strict=True):
            table[slot] = array
        return table

    def _again(
        self, step: Step, tables: list[list[Array | None]], changed: Mapping[int, Array]
    ) -> list[list[Array]]:
        """The results of a node with other constants."""
        step.call.cache.clear()
        for table in tables:
            for position, array in changed.items():
                table[step.reads[position]] = array
        return [run_step(step, [table[slot] for slot in step.reads]) for table in tables]
