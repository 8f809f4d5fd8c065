"""Rewrites by name: each knows at which depth it works and what its first docstring line says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., int])
Bounds = tuple[float, float]


class Stage(Enum):
    """Where in the way of the data a rewrite works."""

    FLOAT = "float graph, before calibration: what tensors hold changes"
    FUSION = "float graph, after calibration: several nodes become one of the library"
    NNLIB = "nnlib graph: only the form changes"


@dataclass(frozen=True)
class Rewrite:
    """One rewrite.

    `function` takes (FloatGraph) at the FLOAT stage, (FloatGraph, observed) at FUSION, (Graph) at
    NNLIB, changes it in place and answers how often it applied.
    """

    name: str
    stage: Stage
    function: Callable[..., int]

    @property
    def does(self) -> str:
        """One sentence."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


REWRITES: dict[str, Rewrite] = {}


def rewrite(stage: Stage) -> Callable[[F], F]:
    """Register a function as the rewrite of its name; they run in the order of registration."""

    def register(function: F) -> F:
        name = function.__name__
        if name in REWRITES:
            raise ValueError(f"two rewrites named {name}")
        REWRITES[name] = Rewrite(name, stage, function)
        return function

    return register


def apply(stage: Stage, without: tuple[str, ...], *args: Any) -> Mapping[str, int]:
    """Run every rewrite of a stage but those in `without`; answers how often each applied."""
    counts = {
        item.name: item.function(*args)
        for item in REWRITES.values()
        if item.stage is stage and item.name not in without
    }
    return {name: count for name, count in counts.items() if count}
