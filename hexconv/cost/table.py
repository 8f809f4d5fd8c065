"""The coefficients: op_tables/cost, written by benchmarks/fit_cost.py from measurements."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hexconv import resources
from hexconv.cost.facts import Facts
from hexconv.cost.features import FEATURES
from hexconv.cost.variants import kernel, variant
from hexconv.errors import ConfigError
from hexconv.names import did_you_mean
from hexconv.nnlib.convolution_code import CONVOLUTION, code_version

MeasuredLibrary = Literal["v60", "v65", "v66", "open"]
"""Whose packets: of a library that MACE ships, on 4 hardware threads (what `hexconv device profile`
counts); or of nnlib built from its open source, on one vector thread."""

LIBRARIES: tuple[MeasuredLibrary, ...] = get_args(MeasuredLibrary)

NEAREST: Mapping[MeasuredLibrary, tuple[MeasuredLibrary, ...]] = {
    "v60": ("v65", "v66", "open"),
    "v65": ("v66", "v60", "open"),
    "v66": ("v65", "v60", "open"),
    "open": ("v60", "v65", "v66"),
}
"""Whose measurements stand in for those that a library lacks, the nearest first."""

ANY = "any"
"""The variant that represents those that were not measured."""


@dataclass(frozen=True)
class Law:
    """The cost of one kernel.

    Args:
        terms: packets for each unit of a feature.
        error: median relative error on nodes held out from fitting (on all where none were).
        worst: nine of ten are within this relative error.
        nodes: distinct nodes measured.
        library: the library that was measured.
        exact: False where another variant's or library's measurements are used.
    """

    terms: tuple[tuple[str, float], ...]
    error: float
    worst: float
    nodes: int
    library: MeasuredLibrary
    exact: bool

    def packets(self, facts: Facts) -> float:
        """Packets of a node."""
        return sum(factor * FEATURES[name](facts) for name, factor in self.terms)


def law(facts: Facts, library: MeasuredLibrary) -> Law | None:
    """The law for a node, or None if no similar node was measured."""
    return _law(kernel(facts.op), variant(facts), code_of(facts, library))


def code_of(facts: Facts, library: MeasuredLibrary) -> MeasuredLibrary:
    """The library whose code computes a node in `library`."""
    if facts.op != CONVOLUTION or library == "open":
        return library
    return code_version(facts.inputs[1], facts.ints.get("stride", (1, 1, 1, 1))[2], library)


@functools.cache
def _law(op: str, kind: str, library: MeasuredLibrary) -> Law | None:
    entry: Mapping[str, Any] = _entries().get(op, {})
    several = (library, *NEAREST[library])
    for name, which in [(name, which) for name in (kind, ANY) for which in several]:
        row = entry.get(name or ANY, {}).get(which)
        if row:
            return Law(
                terms=tuple(row["terms"].items()),
                error=row["error"],
                worst=row["worst"],
                nodes=row["nodes"],
                library=which,
                exact=(name, which) == (kind, library),
            )
    return None


@functools.cache
def _entries() -> Mapping[str, Any]:
    return resources.Entries(resources.folder("op_tables") / "cost")


def check_library(library: str) -> None:
    """Check that a library was measured.

    Raises:
        ConfigError: it was not; the error lists those that were.
    """
    if library not in LIBRARIES:
        raise ConfigError(
            f"no packets were measured on '{library}'",
            hint=f"{did_you_mean(library, LIBRARIES)}use {', '.join(LIBRARIES)}",
        )
