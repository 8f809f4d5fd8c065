"""Channels far above the others are measured where a range shows that there may be some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from hexconv.arrays import FloatArray
from hexconv.calibrate.gelu_tails import gelu_meters
from hexconv.calibrate.outlier_channels import stream_meters
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.quantize import Bounds


class Meter(Protocol):
    """Measures the channels of tensors, which are on their last axes."""

    @property
    def tensors(self) -> list[str]:
        """Their names."""

    def take(self, name: str, array: FloatArray) -> None:
        """One of them, of a sample."""

    def entries(self) -> dict[str, Bounds]:
        """Ranges of channels (`channel_entries`), if any are large."""


def large_channels(
    graph: FloatGraph, observed: Mapping[str, Bounds], samples: Iterable[Mapping[str, Any]]
) -> dict[str, Bounds]:
    """Ranges of the channels that are large, and what is usual beside them, where any are.

    Args:
        graph: the float model; it is not changed.
        observed: (min, max) of each value.
        samples: float arrays by input name; drawn only if a range is much wider than its norm, or
            than a GELU needs.

    Returns:
        Of streams (-peak, peak) by `TENSOR/channel/NUMBER`, and by `TENSOR/channel/median`; of
        inputs of GELUs (0, peak), and by `TENSOR/channel/others` up to what the others reach.
    """
    meters: list[Meter] = [*stream_meters(graph, observed), *gelu_meters(graph, observed)]
    if not meters or graph.ranges:
        return {}
    session = FloatSession(graph, [name for meter in meters for name in meter.tensors])
    for sample in samples:
        found = session.run(sample)
        for meter in meters:
            for name in meter.tensors:
                meter.take(name, found[name])
    return {name: bounds for meter in meters for name, bounds in meter.entries().items()}
