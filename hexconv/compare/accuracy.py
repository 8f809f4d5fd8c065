"""How far the quantized model's outputs are from the float model's, on a few samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.arrays import FloatArray
from hexconv.calibrate import read_samples, synthetic_samples
from hexconv.compare.metrics import Totals
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource
    from hexconv.model import Model


@dataclass(frozen=True)
class Accuracy:
    """One output over all samples.

    Attributes:
        sqnr: signal to quantization noise, dB (`metrics.Metrics`).
        largest: largest absolute difference.
        peak: largest absolute value of the float model's output, the reference for `largest`.
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
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> dict[str, Accuracy]:
    """Simulate the model and compare it with its float source.

    Args:
        model: as converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; random inputs in the model's input ranges without them.
        count: number of samples to take, from the first.
        library: of the phone: "v60", "v65" or "v66".

    Returns:
        Accuracy by output name.

    Raises:
        HexconvError: the samples do not fit, or either side cannot run.
    """
    from hexconv.simulator import Simulator

    graph = load(source, {item.name: item.shape for item in model.graph.inputs}, recognize=False)
    spans = {item.name: item.range for item in model.graph.inputs if item.range[0] < item.range[1]}
    feeds: Iterable[Mapping[str, FloatArray]] = (
        read_samples(samples, graph, model.graph.data_formats)
        if samples is not None
        else synthetic_samples(graph, spans)
    )
    session, simulator = FloatSession(graph), Simulator(model, library)
    totals = {item.name: Totals(item.name) for item in model.graph.outputs}
    for sample in islice(feeds, count):
        expected, returned = session.run(sample), simulator.run(sample)
        for name, total in totals.items():
            total.add(expected[name], returned[name])
    found = {name: total.result() for name, total in totals.items()}
    return {
        name: Accuracy(item.sqnr, item.max_error, item.peak)
        for name, item in found.items()
        if item is not None
    }


def describe(found: Mapping[str, Accuracy]) -> Iterable[str]:
    """One line per output."""
    for name, item in found.items():
        yield (
            f"{name}: {item.sqnr:.1f} dB SQNR, max abs error {item.largest:.3g} "
            f"(peak {item.peak:.3g})"
        )
