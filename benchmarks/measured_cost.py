"""Measured nodes, and what laws predict of them: for fit_cost.py and cost_errors.py.

benchmarks/data/cost_nodes.csv has one row a distinct node, cost_graphs.csv whole graphs. A third of
the nodes, and of the graphs with all their nodes, is held out by a hash.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from hexconv.cost.facts import Facts, with_real_output
from hexconv.cost.features import FEATURES
from hexconv.cost.table import ANY, NEAREST, MeasuredLibrary, code_of
from hexconv.cost.variants import kernel, variant
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4

DATA = Path(__file__).resolve().parent / "data"
Laws = dict[tuple[str, str, str], dict[str, float]]
"""Coefficients by quantity, of an op, its variant and a library."""


@dataclass(frozen=True)
class Measured:
    """One distinct node, and its packets."""

    library: MeasuredLibrary
    facts: Facts
    packets: float
    row: tuple[str, ...]

    @property
    def code(self) -> MeasuredLibrary:
        """The library whose code computes it."""
        return code_of(self.facts, self.library)

    @property
    def held_out(self) -> bool:
        """Whether fitting may not see it."""
        return third("|".join(self.row[1:6]))


def third(key: str) -> bool:
    """A fixed third of all keys."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 3 == 0


def read(path: Path, skip: int = 0) -> list[tuple[Measured, str]]:
    """Nodes of a file, each with its second column if `skip`."""
    found = []
    with path.open(encoding="utf-8") as file:
        for row in list(csv.reader(file))[1:]:
            core = (row[0], *row[1 + skip : 6 + skip])
            node = Measured(row[0], facts_of(*core[1:]), float(row[6 + skip]), core)
            found.append((node, row[1]))
    return found


def facts_of(op: str, padding: str, inputs: str, outputs: str, parameters: str) -> Facts:
    """Facts from a row's columns."""
    ints = dict(part.split("=") for part in parameters.split())
    facts = Facts(
        op=op,
        inputs=_shapes(inputs),
        outputs=_shapes(outputs),
        ints={role: tuple(map(int, text.split(","))) for role, text in ints.items()},
        padding=Padding[padding],
    )
    return with_real_output(facts)


def _shapes(text: str) -> tuple[Shape4, ...]:
    shapes = []
    for part in text.split():
        b, h, w, d = map(int, part.split("x"))
        shapes.append((b, h, w, d))
    return tuple(shapes)


# ---- fitting


def predicted(laws: Laws, node: Measured) -> float | None:
    """Packets as hexconv.cost would predict them, from laws in memory."""
    others = [node.code, *NEAREST[node.code]]
    op, kind = kernel(node.facts.op), variant(node.facts) or ANY
    for which, library in [(k, name) for k in (kind, ANY) for name in others]:
        terms = laws.get((op, which, library))
        if terms:
            return sum(factor * FEATURES[name](node.facts) for name, factor in terms.items())
    return None


def off(laws: Laws, node: Measured) -> float:
    """Relative error of one node."""
    said = predicted(laws, node)
    return 1.0 if said is None else abs(said - node.packets) / node.packets
