"""Observe every float value of a graph while samples run through it in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.derive import derivations
from hexconv.calibrate.leaky_inputs import slopes_behind
from hexconv.calibrate.parallel import gather
from hexconv.calibrate.statistics import Ranges, Statistics, Watched
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.quantize.fixed_ranges import least_width
from hexconv.settings import PERCENTILE, Observer, check_percentile

Feeds = Mapping[str, npt.NDArray[Any]]
Progress = Callable[[int], None]


def observe(
    graph: FloatGraph,
    samples: Iterable[Feeds],
    observer: Observer = "minmax",
    percentile: float = PERCENTILE,
    progress: Progress | None = None,
    optional: Set[str] = frozenset(),
) -> Ranges:
    """The range of every float value of a graph over the samples, by name.

    Args:
        graph: what to run.
        samples: {input: float32 array} each, checked (`read_samples`); drawn one by one.
        observer: "minmax"; "mse" for the range of the least squared error; "entropy" for that of
            the least Kullback-Leibler divergence; or "percentile".
        percentile: share of the values below the maximum (and above the minimum), in %.
        progress: called with the number of samples done, after each.
        optional: values that are left out where they become NaN or infinite.

    Raises:
        ConfigError: a percentile that is none, or that another observer would ignore.
        RangeError: there are no samples.
        NotFiniteError: a value that is not optional becomes NaN or infinite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    check_percentile(observer, percentile)
    return measure(graph, samples, observer, progress, optional).ranges(percentile)


def measure(
    graph: FloatGraph,
    samples: Iterable[Feeds],
    observer: Observer = "minmax",
    progress: Progress | None = None,
    optional: Set[str] = frozenset(),
    only: Collection[str] | None = None,
) -> Statistics:
    """As `observe`, before ranges are made of it: what can be merged with that of other samples.

    Each sample's tensors are reduced in ONNX Runtime's own buffers and released with the
    sample: memory holds the activations of the samples in flight, whatever their number. Values
    whose range follows from another's (`derive`) are not observed; initializers have the range of
    their values. `only`: names of the values that are wanted, if not all are.
    """
    watched = replace(watch(graph), optional=optional)
    if only is not None:
        watched = watched.only(only)

    def opened(threads: int) -> FloatSession:
        return FloatSession(graph, watched.observed, threads=threads)

    return gather(opened, lambda: Statistics(watched, observer), samples, progress)


def watch(graph: FloatGraph) -> Watched:
    """What to observe of a graph."""
    known = _given(graph)
    values = dict.fromkeys(name for name in _floats(graph) if name not in known)
    derived = {name: item for name, item in derivations(graph.nodes).items() if name in values}
    shapes = {info.name: info.shape for info in graph.inputs}
    slopes = slopes_behind(graph.nodes)
    least = least_widths(graph.nodes)
    return Watched(shapes, tuple(values), known, derived, slopes=slopes, least=least)


def least_widths(nodes: Iterable[ir.Node]) -> dict[str, float]:
    """By result, the width of its range from which on the library has an op for it.

    A Tanh that is an output has a table from larger values on (`tanh_in_range`).
    """
    found = {}
    for node in nodes:
        width, result = least_width(node.op_type), node.outputs[0]
        is_wave = node.op_type == "Tanh" and result.is_graph_output()
        if width is not None and not node.domain and not is_wave:
            found[str(result.name)] = width
    return found


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
