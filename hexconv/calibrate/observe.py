"""Watch every float value of a graph while samples run through it in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.derive import Derived, derivations
from hexconv.calibrate.histogram import Histogram
from hexconv.errors import RangeError
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession, copy_of

Observer = Literal["minmax", "percentile"]
Ranges = dict[str, tuple[float, float]]
Feeds = Mapping[str, npt.NDArray[Any]]
Progress = Callable[[int], None]

WATCHED = "hexconv/watched"


def observe(
    graph: FloatGraph,
    samples: Iterable[Feeds],
    observer: Observer = "minmax",
    percentile: float = 99.99,
    progress: Progress | None = None,
) -> Ranges:
    """The range of every float value of a graph over the samples, by name.

    Min-max is taken inside ONNX Runtime: each watched tensor is reduced where it lies and one
    short vector comes out, so that neither time nor memory goes into tensors. The percentile
    observer fetches the tensors and keeps a histogram of each. Values whose range follows from
    another's (`derive`) are not watched; initializers have the range of their values.

    Args:
        graph: what to run.
        samples: {input: float32 array} each, checked (`read_samples`); drawn one by one.
        observer: "minmax", or "percentile".
        percentile: how much of the values lies under the maximum (and above the minimum), in %.
        progress: called with the number of samples done, after each.

    Raises:
        RangeError: there are no samples, or a value becomes NaN or infinite.
        ModelError: ONNX Runtime does not run the graph.
    """
    if observer == "percentile" and not 50.0 < percentile <= 100.0:
        raise RangeError(f"percentile {percentile} is not over 50 and up to 100")
    known = _given(graph)
    derived = derivations(graph.nodes)
    values = [name for name in _floats(graph) if name not in known]
    watched = [name for name in values if name not in derived]
    if observer == "minmax":
        measured = _minmax(graph, watched, samples, progress)
    else:
        measured = _percentiles(graph, watched, samples, percentile, progress)
    return _all_ranges(values, known, measured, derived)


def _minmax(
    graph: FloatGraph, watched: list[str], samples: Iterable[Feeds], progress: Progress | None
) -> Ranges:
    names, session = watching_session(graph, watched)
    low = np.full(len(names), np.inf, np.float32)
    high = np.full(len(names), -np.inf, np.float32)
    count = 0
    for feeds in samples:
        ends = session.run(feeds)[WATCHED]
        _refuse_infinite(names, ends, count)
        np.minimum(low, ends[: len(names)], out=low)
        np.maximum(high, ends[len(names) :], out=high)
        count += 1
        if progress is not None:
            progress(count)
    _refuse_none(count)
    return {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}


def watching_session(graph: FloatGraph, watched: list[str]) -> tuple[list[str], FloatSession]:
    """A session that answers `WATCHED`: the minima of the watched values, then the maxima."""
    model = copy_of(graph)
    values: dict[str, ir.Value] = {str(value.name): value for value in model.graph.inputs}
    for node in model.graph:
        values.update({str(value.name): value for value in node.outputs})
    model.graph.outputs.clear()
    ends = []
    for op_type in ("ReduceMin", "ReduceMax"):
        for name in watched:
            node = ir.node(op_type, [values[name]], {"keepdims": 0})
            node.outputs[0].name = f"{WATCHED}/{op_type}/{name}"
            model.graph.append(node)
            ends.append(node.outputs[0])
    axes = ir.Value(
        name=f"{WATCHED}/axes",
        const_value=ir.Tensor(np.zeros(1, np.int64), name=f"{WATCHED}/axes"),
    )
    model.graph.register_initializer(axes)
    flat = []
    for end in ends:
        node = ir.node("Unsqueeze", [end, axes])
        node.outputs[0].name = f"{end.name}/1"
        model.graph.append(node)
        flat.append(node.outputs[0])
    joined = ir.node("Concat", flat, {"axis": 0})
    joined.outputs[0].name = WATCHED
    joined.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.append(joined)
    model.graph.outputs.append(joined.outputs[0])
    return watched, FloatSession(graph, model=model)


def _percentiles(
    graph: FloatGraph,
    watched: list[str],
    samples: Iterable[Feeds],
    percentile: float,
    progress: Progress | None,
) -> Ranges:
    session = FloatSession(graph, watched)
    histograms = {name: Histogram() for name in watched}
    count = 0
    for feeds in samples:
        for name, array in session.run(feeds).items():
            histograms[name].add(array)
        ends = [h.low for h in histograms.values()] + [h.high for h in histograms.values()]
        _refuse_infinite(watched, np.array(ends), count)
        count += 1
        if progress is not None:
            progress(count)
    _refuse_none(count)
    return {name: histogram.bounds(percentile) for name, histogram in histograms.items()}


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


def _refuse_infinite(names: list[str], ends: npt.NDArray[Any], count: int) -> None:
    if np.isfinite(ends).all():
        return
    bad = [name for name, low, high in zip(names, *np.split(ends, 2), strict=True)
           if not np.isfinite([low, high]).all()]  # fmt: skip
    raise RangeError(
        f"tensor '{bad[0]}' becomes NaN or infinite",
        where=f"sample {count}",
        why=f"{len(bad)} tensors do" if len(bad) > 1 else "",
        todo="check the sample's scale, and the model in float",
    )


def _refuse_none(count: int) -> None:
    if count == 0:
        raise RangeError("there are no samples", todo="give at least one")
