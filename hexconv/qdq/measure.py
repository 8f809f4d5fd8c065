"""How far a quantized ONNX model is from its float source, in ONNX Runtime on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.calibrate import read_samples, synthetic_samples
from hexconv.compare.accuracy import Accuracy
from hexconv.compare.metrics import Totals
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from hexconv.qdq.sessions import opened

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource


def qdq_accuracy(
    made: onnx.ModelProto,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    count: int = 4,
) -> dict[str, Accuracy]:
    """Compare a quantized ONNX model with its float source, both in ONNX Runtime on the CPU.

    Args:
        made: by `to_qdq`.
        source: the ONNX model.
        samples: as for `convert`; random inputs from -1 to 1 without them.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        count: number of samples to take, from the first.

    Returns:
        Accuracy by output name.

    Raises:
        HexconvError: the samples do not fit, or either side cannot run.
    """
    graph = load(source, shapes, recognize=False)
    spans = {info.name: graph.ranges.get(info.name, (-1.0, 1.0)) for info in graph.inputs}
    feeds = synthetic_samples(graph, spans) if samples is None else read_samples(samples, graph)
    reference, session = FloatSession(graph), opened(made)
    names = [item.name for item in session.get_outputs()]
    totals = {name: Totals(name) for name in names}
    for sample in islice(feeds, min(count, sys.maxsize)):
        expected, returned = reference.run(sample), session.run(names, dict(sample))
        for name, array in zip(names, returned, strict=True):
            totals[name].add(expected[name], array)
    results = {name: total.result() for name, total in totals.items()}
    return {name: Accuracy(item) for name, item in results.items() if item is not None}
