"""How far the quantized model's answers are from the float model's, on a few samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hexconv.calibrate import read_samples, synthetic_samples
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource
    from hexconv.model import Model

EXACT = 200.0
"""SQNR in dB that stands for no difference at all: JSON knows no infinity."""


@dataclass(frozen=True)
class Accuracy:
    """One output over all samples.

    Attributes:
        sqnr: signal to quantization noise, 10 log10(sum x^2 / sum (x - y)^2), dB.
        largest: largest absolute difference.
        peak: largest absolute value of the float model's answer, the measure for `largest`.
    """

    sqnr: float
    largest: float
    peak: float


def accuracy(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource | None = None,
    *,
    count: int = 4,
    library: str = "v66",
) -> dict[str, Accuracy]:
    """Simulate the model beside its float origin.

    Args:
        model: as converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; random inputs in the model's input ranges without them.
        count: how many samples to take, from the first.
        library: of the phone: "v60", "v65" or "v66".

    Returns:
        Accuracy by output name.

    Raises:
        HexconvError: the samples do not fit, or either side does not run.
    """
    from hexconv.simulator import Simulator

    graph = load(source, {item.name: item.shape for item in model.graph.inputs}, recognise=False)
    spans = {item.name: item.range for item in model.graph.inputs if item.range[0] < item.range[1]}
    feeds = read_samples(samples, graph) if samples is not None else synthetic_samples(graph, spans)
    session, simulator = FloatSession(graph), Simulator(model, library)
    totals: dict[str, _Total] = {item.name: _Total() for item in model.graph.outputs}
    for sample in islice(feeds, count):
        expected, answered = session.run(sample), simulator.run(sample)
        for name, total in totals.items():
            total.add(expected[name], answered[name])
    return {name: total.result() for name, total in totals.items()}


class _Total:
    def __init__(self) -> None:
        self.signal = self.noise = self.largest = self.peak = 0.0

    def add(self, expected: Any, answered: Any) -> None:
        x = np.asarray(expected, np.float64)
        difference = x - answered
        self.signal += float(np.square(x).sum())
        self.noise += float(np.square(difference).sum())
        self.largest = max(self.largest, float(np.abs(difference).max()))
        self.peak = max(self.peak, float(np.abs(x).max()))

    def result(self) -> Accuracy:
        if self.noise == 0.0:
            return Accuracy(EXACT, self.largest, self.peak)
        sqnr = 10.0 * np.log10(max(self.signal, 1e-300) / self.noise)
        return Accuracy(min(float(sqnr), EXACT), self.largest, self.peak)


def describe(found: Mapping[str, Accuracy]) -> Iterable[str]:
    """A line an output."""
    for name, item in found.items():
        yield (
            f"{name}: {item.sqnr:.1f} dB SQNR, off by {item.largest:.3g} at most "
            f"(values up to {item.peak:.3g})"
        )
