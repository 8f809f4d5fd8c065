"""Rewrites, each at its depth: on the float graph, on fused groups of it, on the nnlib graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import FloatGraph

LEVELS = ("none", "default", "all")


class Settings(Protocol):
    """What of a conversion's settings concerns rewrites."""

    @property
    def optimize(self) -> str:
        """One of LEVELS."""

    @property
    def without(self) -> tuple[str, ...]:
        """Names of rewrites to leave out."""


def check_settings(settings: Settings) -> None:
    """Refuse unknown levels and rewrites by name."""
    if settings.optimize not in LEVELS:
        raise ConfigError(
            f"'{settings.optimize}' is no level of optimization", todo=f"use {', '.join(LEVELS)}"
        )


def float_graph(graph: FloatGraph, settings: Settings) -> dict[str, int]:
    """Rewrites that change what tensors hold, before calibration."""
    return {}


def fuse(
    graph: FloatGraph, observed: Mapping[str, tuple[float, float]], settings: Settings
) -> dict[str, int]:
    """Rewrites that put several float nodes into one node of the library, after calibration."""
    return {}


def nnlib(graph: Graph, settings: Settings) -> dict[str, int]:
    """Rewrites that change only the form in which the DSP computes the same."""
    return {}
