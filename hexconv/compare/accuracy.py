"""How far the quantized model's outputs are from the float model's, on a few samples.

Beside each figure stands what 8 bits allow (`eight_bits`): a graph that is right loses a few dB to
that, a wrong one everything. A joined output is measured part by part as well, since a loud part
hides what happens to a quiet one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.arrays import Array, FloatArray
from hexconv.calibrate import read_samples, scale_channels, synthetic_samples
from hexconv.compare.eight_bits import EightBits, OutputPart, parts_of
from hexconv.compare.metrics import Metrics, Totals
from hexconv.compare.report import accuracy_section
from hexconv.errors import HexconvError
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.quantize import Bounds
from hexconv.settings import Settings

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource
    from hexconv.model import Model
    from hexconv.settings import Progress


@dataclass(frozen=True)
class PartAccuracy:
    """One tensor that is joined with others into an output.

    Attributes:
        tensor: its name.
        sqnr: of its elements, dB.
        allowed: what 8 bits of its own range allow, dB.
        values: how many different numbers the quantized model gives for them.
    """

    tensor: str
    sqnr: float
    allowed: float
    values: int


@dataclass(frozen=True)
class Accuracy:
    """One output over all samples.

    Attributes:
        metrics: the figures against the float model.
        allowed: SQNR that 8 bits allow, dB; None where it was not estimated.
        parts: of an output that a Concat makes.
    """

    metrics: Metrics
    allowed: float | None = None
    parts: tuple[PartAccuracy, ...] = ()

    @property
    def sqnr(self) -> float:
        """Signal to quantization noise, dB."""
        return self.metrics.sqnr

    @property
    def largest(self) -> float:
        """Largest absolute difference."""
        return self.metrics.max_error

    @property
    def peak(self) -> float:
        """Largest absolute value of the float model's output, the reference for `largest`."""
        return self.metrics.peak

    @property
    def top1(self) -> float | None:
        """Of an output with class scores: share of rows with the same largest element."""
        return self.metrics.top1


def accuracy(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource | None = None,
    *,
    count: int = 4,
    library: LibraryVersion = DEFAULT_LIBRARY,
    estimate: bool = True,
    progress: Progress | None = None,
) -> dict[str, Accuracy]:
    """Simulate the model and compare it with its float source.

    Args:
        model: as converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; random inputs in the calibrated ranges without them.
        count: number of samples to take, from the first.
        library: of the phone: "v60", "v65" or "v66".
        estimate: whether to find what 8 bits allow as well.
        progress: called with "accuracy", how many samples are done, and of how many.

    Returns:
        Accuracy by output name.

    Raises:
        HexconvError: the samples do not fit, or either side cannot run.
    """
    from hexconv.simulator import Simulator

    graph = load(source, {item.name: item.shape for item in model.graph.inputs}, recognize=False)
    feeds: Iterable[Mapping[str, FloatArray]] = (
        read_samples(samples, graph, model.graph.data_formats)
        if samples is not None
        else synthetic_samples(graph, _spans(model))
    )
    session, simulator = FloatSession(graph), Simulator(model, library)
    taken = list(islice(feeds, min(count, sys.maxsize)))
    tell = progress or _silent
    tell("accuracy", 0, len(taken))
    names = [item.name for item in model.graph.outputs]
    ideal = _eight_bits(model, source, taken) if estimate else None
    joined = {name: parts_of(graph, name) if ideal else [] for name in names}
    sums = {name: _Sums(name, joined[name], name in graph.classes) for name in names}
    for done, sample in enumerate(taken, 1):
        expected, returned = session.run(sample), simulator.run(sample)
        allowed = ideal.run(sample) if ideal else {}
        for name, item in sums.items():
            item.add(expected[name], returned[name], allowed.get(name))
        tell("accuracy", done, len(taken))
    return {name: found for name, item in sums.items() if (found := item.result()) is not None}


def _spans(model: Model) -> dict[str, Bounds]:
    """What the values of each input are between; the range that the DSP gives it includes 0."""
    spans = {item.name: model.ranges.get(item.name, item.range) for item in model.graph.inputs}
    return {name: span for name, span in spans.items() if span[0] < span[1]}


def _silent(stage: str, done: int, total: int) -> None:
    """Where nobody watches."""


def _eight_bits(
    model: Model, source: str | Path | onnx.ModelProto, samples: Sequence[Mapping[str, Array]]
) -> EightBits | None:
    """The estimate; None where it cannot be made, which is no reason to fail."""
    try:
        return EightBits(_float_graph(model, source), samples)
    except HexconvError:
        return None


def _float_graph(model: Model, source: str | Path | onnx.ModelProto) -> FloatGraph:
    """The float model; where channels are scaled to have more levels, with scaled channels."""
    shapes = {item.name: item.shape for item in model.graph.inputs}
    if model.conversion is None or not model.conversion.scales_channels:
        return load(source, shapes)
    graph, _ = prepared(source, shapes, Settings())
    scale_channels(graph, model.ranges)
    return graph


class _Sums:
    """One output and its parts, of both quantized sides."""

    def __init__(self, name: str, parts: Sequence[OutputPart], classes: bool) -> None:
        self._parts = parts
        self._own, self._allowed = Totals(name, classes=classes), Totals(name)
        self._of_parts = [(Totals(name), Totals(name), set[float]()) for _ in parts]

    def add(self, expected: Array, returned: Array, allowed: Array | None) -> None:
        """One sample."""
        self._own.add(expected, returned)
        if allowed is None:
            return
        self._allowed.add(expected, allowed)
        for part, (own, ideal, values) in zip(self._parts, self._of_parts, strict=True):
            own.add(expected[part.where], returned[part.where])
            ideal.add(expected[part.where], allowed[part.where])
            values.update(returned[part.where].tolist())

    def result(self) -> Accuracy | None:
        """The figures; None before the first sample."""
        own, allowed = self._own.result(), self._allowed.result()
        if own is None:
            return None
        best = None if allowed is None else allowed.sqnr
        return Accuracy(own, best, tuple(self._part_results()))

    def _part_results(self) -> Iterator[PartAccuracy]:
        for part, (own, ideal, values) in zip(self._parts, self._of_parts, strict=True):
            figures, best = own.result(), ideal.result()
            if figures is not None and best is not None:
                yield PartAccuracy(part.tensor, figures.sqnr, best.sqnr, len(values))


def section(
    found: Mapping[str, Accuracy], library: LibraryVersion, *, random: bool
) -> dict[str, Any] | None:
    """The section `accuracy` of a report: plain data, for JSON; None where nothing was measured.

    Args:
        found: by output.
        library: that was simulated.
        random: whether the samples were random inputs.
    """
    if not found:
        return None
    measured = "random" if random else "calibration"
    rows = [
        {
            **dict.fromkeys(("calibration", "held_out", "random")),
            "name": name,
            measured: asdict(item.metrics),
            "allowed": item.allowed,
            "parts": [asdict(part) for part in item.parts],
        }
        for name, item in found.items()
    ]
    return accuracy_section("simulate", library, rows)


def describe(found: Mapping[str, Accuracy]) -> Iterable[str]:
    """One line per output."""
    for name, item in found.items():
        shown = item.allowed is not None and item.allowed > item.sqnr
        beside = f" where 8 bits allow {item.allowed:.1f}" if shown else ""
        yield (
            f"{name}: {item.sqnr:.1f} dB SQNR{beside}, max abs error {item.largest:.3g} "
            f"(peak {item.peak:.3g})"
        )
