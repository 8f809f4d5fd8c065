"""Rewrites by name: each has a stage, and a description from its docstring's first line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from hexconv.optimize.price import Prices
from hexconv.registry import Registry

LOG = logging.getLogger("hexconv.optimize")

F = TypeVar("F", bound=Callable[..., int])


class Stage(Enum):
    """The stage of the conversion at which a rewrite runs."""

    FLOAT = "float graph, before calibration: the values of tensors change"
    FUSION = "float graph, after calibration: several nodes become one of the library"
    NNLIB = "nnlib graph: only the form changes"


@dataclass(frozen=True)
class Rewrite:
    """One rewrite.

    `function` takes (FloatGraph) at the FLOAT stage, (FloatGraph, observed) at FUSION, (Graph) at
    NNLIB, changes it in place and returns how often it applied. One that is `priced` takes the
    Prices of the target library as well. One that is not `default` is an alternative that only the
    search tries; one for `accuracy` adds nodes for fewer roundings, and is left out at
    accuracy="minmax".
    """

    name: str
    stage: Stage
    function: Callable[..., int]
    default: bool = True
    accuracy: bool = False
    priced: bool = False

    def run(self, prices: Prices, *args: Any) -> int:
        """Apply it; returns how often it applied."""
        return self.function(*args, prices) if self.priced else self.function(*args)

    @property
    def does(self) -> str:
        """One sentence."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


REWRITES: Registry[Rewrite] = Registry("rewrite")


def rewrite(
    stage: Stage, *, default: bool = True, accuracy: bool = False, priced: bool = False
) -> Callable[[F], F]:
    """Register a function as the rewrite of its name; they run in the order of registration."""

    def register(function: F) -> F:
        name = function.__name__
        REWRITES.add(name, Rewrite(name, stage, function, default, accuracy, priced))
        return function

    return register


def apply(
    stage: Stage, without: Collection[str], also: Collection[str], prices: Prices, *args: Any
) -> Mapping[str, int]:
    """Run the rewrites of a stage; returns how often each applied.

    Args:
        stage: the stage to run.
        without: defaults to leave out.
        also: alternatives to enable.
        prices: of the library that the model is optimized for.
        *args: arguments of the rewrites of the stage.
    """
    counts: dict[str, int] = {}
    for item in REWRITES.values():
        if item.stage is not stage:
            continue
        if item.name in without if item.default else item.name not in also:
            LOG.debug("%s: left out", item.name)
        elif times := item.run(prices, *args):
            LOG.debug("%s: applied %d times", item.name, times)
            counts[item.name] = times
    return counts


def declined(name: str, node: object, reason: str) -> None:
    """Note why a rewrite does not apply at a node (logger `hexconv.optimize`, level DEBUG)."""
    LOG.debug("%s: not at %s: %s", name, node, reason)
