"""Observe every float value of a graph while samples run through it in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.calibrate.derive import Derived, derivations
from hexconv.calibrate.histogram import Histogram
from hexconv.calibrate.parallel import run_all
from hexconv.errors import RangeError
from hexconv.onnx_graph import FloatGraph
from hexconv.settings import Observer

Ranges = dict[str, tuple[float, float]]
Feeds = Mapping[str, npt.NDArray[Any]]
Progress = Callable[[int], None]


def observe(
    graph: FloatGraph,
    samples: Iterable[Feeds],
    observer: Observer = "minmax",
    percentile: float = 99.99,
    progress: Progress | None = None,
) -> Ranges:
    """The range of every float value of a graph over the samples, by name.

    Each sample's tensors are reduced in ONNX Runtime's own buffers and released with the
    sample: memory holds the activations of the samples in flight, whatever their number. Values
    whose range follows from another's (`derive`) are not observed; initializers have the range of
    their values.

    Args:
        graph: what to run.
        samples: {input: float32 array} each, checked (`read_samples`); drawn one by one.
        observer: "minmax", or "percentile".
        percentile: share of the values below the maximum (and above the minimum), in %.
        progress: called with the number of samples done, after each.

    Raises:
        RangeError: there are no samples, or a value becomes NaN or infinite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    if observer == "percentile" and not 50.0 < percentile <= 100.0:
        raise RangeError(f"percentile {percentile} is not above 50 and at most 100")
    known = _given(graph)
    derived = derivations(graph.nodes)
    values = [name for name in _floats(graph) if name not in known]
    watched = [name for name in values if name not in derived]
    if observer == "minmax":
        measured = _minmax(watched, run_all(graph, watched, samples, _ends_only, progress))
    else:
        runs = run_all(graph, watched, samples, _arrays_only, progress)
        measured = _percentiles(watched, runs, percentile)
    return _all_ranges(values, known, measured, derived)


def _ends_only(arrays: list[Array], ends: Array) -> Array:
    return ends


def _arrays_only(arrays: list[Array], ends: Array) -> list[Array]:
    return arrays


def _minmax(watched: list[str], runs: Iterable[Array]) -> Ranges:
    low = np.full(len(watched), np.inf, np.float32)
    high = np.full(len(watched), -np.inf, np.float32)
    for ends in runs:
        np.minimum(low, ends[0], out=low)
        np.maximum(high, ends[1], out=high)
    return {n: (float(a), float(b)) for n, a, b in zip(watched, low, high, strict=True)}


def _percentiles(watched: list[str], runs: Iterable[list[Array]], percentile: float) -> Ranges:
    histograms = [Histogram() for _ in watched]
    for arrays in runs:
        for histogram, array in zip(histograms, arrays, strict=True):
            histogram.add(array)
    return {
        name: histogram.bounds(percentile)
        for name, histogram in zip(watched, histograms, strict=True)
    }


def _all_ranges(
    values: list[str], known: Ranges, measured: Ranges, derived: Mapping[str, Derived]
) -> Ranges:
    """Every range in the order of the graph; derived ones follow what they derive from."""
    ranges = dict(known)
    for name in values:
        source = derived.get(name)
        ranges[name] = source.bounds(ranges[source.source]) if source else measured[name]
    return ranges


def _given(graph: FloatGraph) -> Ranges:
    """The ranges of float initializers."""
    ranges: Ranges = {}
    for name, value in graph.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype == ir.DataType.FLOAT and tensor.size:
            array = tensor.numpy()
            ranges[name] = (float(array.min()), float(array.max()))
    return ranges


def _floats(graph: FloatGraph) -> list[str]:
    values = [*graph.graph.inputs, *(v for node in graph.graph for v in node.outputs)]
    return [str(v.name) for v in values if v.name and v.dtype == ir.DataType.FLOAT]
