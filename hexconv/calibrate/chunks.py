"""Samples of a model of chunks: whole sequences, cut, each chunk with its initial state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.calibrate.samples import SampleSource, read_sequences
from hexconv.errors import RangeError
from hexconv.names import state_output
from hexconv.onnx_graph import FloatGraph, TensorInfo, load
from hexconv.onnx_graph.session import FloatSession
from hexconv.onnx_graph.stateful import chunk_of

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class _Sequences:
    """What of a model's inputs a sample has: no states."""

    graph: FloatGraph
    inputs: Sequence[TensorInfo]
    open_axes: Mapping[str, tuple[int, ...]]
    dropped_inputs: tuple[str, ...] = field(default=())

    def takes(self, name: str, dtype: npt.DTypeLike) -> bool:
        """As the model of one chunk."""
        return self.graph.takes(name, dtype)


def in_chunks(
    samples: SampleSource,
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
    axes: Mapping[str, int],
) -> list[dict[str, Array]]:
    """The chunks of all sequences, in order; states start with zero, and are the float model's.

    Args:
        samples: as for `read_samples`, whole sequences.
        source: the model of one chunk.
        shapes: of its inputs, where it leaves them open.
        axes: the axis of time of each input that has one.

    Raises:
        RangeError: the samples do not fit, or a sequence is shorter than one chunk.
    """
    graph = load(source, shapes, recognize=False)
    session = FloatSession(graph)
    own = [info for info in graph.inputs if state_output(info.name) is None]
    free = {name: (axis,) for name, axis in axes.items()}
    found: list[dict[str, Array]] = []
    for label, sequence in read_sequences(
        samples, _Sequences(graph, own, free, graph.dropped_inputs)
    ):
        count = len(found)
        found += _chunks(graph, session, sequence, axes)
        if len(found) == count:
            raise RangeError("a sequence is shorter than one chunk", where=label)
    return found


def _chunks(
    graph: FloatGraph, session: FloatSession, sequence: Mapping[str, Array], axes: Mapping[str, int]
) -> Iterator[dict[str, Array]]:
    shapes = {info.name: info.shape for info in graph.inputs}
    state = {n: np.zeros(s, np.float32) for n, s in shapes.items() if state_output(n) is not None}
    lengths = [a.shape[axes[n]] // shapes[n][axes[n]] for n, a in sequence.items() if n in axes]
    for number in range(min(lengths)):
        now = {n: chunk_of(a, axes.get(n), shapes[n], number) for n, a in sequence.items()}
        yield {**now, **state}
        outputs = session.run({**now, **state})
        state = {name: outputs[str(state_output(name))] for name in state}
