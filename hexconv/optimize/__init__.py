"""Rewrites, each at its depth and in a file of its own.

`on_float` changes the values of tensors, before calibration; `fusions` merge several float nodes
into one node of the library, after calibration; `on_nnlib` changes only the form in which the DSP
computes the same values.
"""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.errors import ConfigError
from hexconv.names import did_you_mean
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.ranges.rewritten import check_scales, scales_of
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize import fusions, on_float, on_nnlib  # noqa: F401  (they register themselves)
from hexconv.optimize.on_nnlib.tidy import tidied
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import REWRITES, Stage, apply
from hexconv.quantize import Bounds
from hexconv.settings import Settings


def check_settings(settings: Settings) -> None:
    """Check the names of rewrites.

    Raises:
        ConfigError: an unknown name; the error suggests the nearest.
    """
    for name in (*settings.without, *settings.also):
        if name not in REWRITES:
            raise ConfigError(
                f"there is no rewrite '{name}'",
                hint=did_you_mean(name, REWRITES) or f"there are {', '.join(REWRITES)}",
            )


def float_graph(graph: FloatGraph, settings: Settings) -> Mapping[str, int]:
    """Rewrites that change the values of tensors, before calibration."""
    return _stage(Stage.FLOAT, settings, graph)


def fuse(
    graph: FloatGraph, observed: Mapping[str, Bounds], settings: Settings
) -> Mapping[str, int]:
    """Rewrites that merge several float nodes into one node of the library, after calibration."""
    return _stage(Stage.FUSION, settings, graph, observed)


def nnlib(graph: Graph, settings: Settings) -> tuple[Graph, Mapping[str, int]]:
    """Rewrites that change only the form in which the DSP computes the same values.

    Raises:
        GraphError: one of them lost a factor, which is a fault of hexconv.
    """
    if settings.optimize == "none":
        return graph, {}
    before = scales_of(graph)
    counts = _stage(Stage.NNLIB, settings, graph)
    check_scales(before, graph)
    return (tidied(graph) if counts else graph), counts


def _stage(stage: Stage, settings: Settings, *args: object) -> Mapping[str, int]:
    if settings.optimize == "none":
        return {}
    without = set(settings.without)
    if settings.accuracy == "minmax":
        without |= {name for name, item in REWRITES.items() if item.accuracy}
    return apply(stage, without, settings.also, Prices(settings.library), *args)
