"""LSTM, GRU and RNN of sequences whose lengths are constants: of the frames that each has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

LENGTHS, STATES = 4, (5, 6)
"""The inputs `sequence_lens` [batch], `initial_h` and `initial_c` [directions, batch, hidden]."""
BATCH = (2, 1, 1)
"""The axes of the sequences in Y [time, directions, batch, hidden], Y_h and Y_c."""


@SIMPLIFICATIONS.rule("LSTM", "GRU", "RNN")
def known_lengths(node: ir.Node, builder: FloatBuilder) -> bool:
    """One node for each run of sequences of one length; Y is zero behind their ends."""
    lengths = array_of(node.inputs[LENGTHS]) if len(node.inputs) > LENGTHS else None
    time, batch, _ = shape_of(node.inputs[0])
    if lengths is None or lengths.shape != (batch,):
        return False
    if lengths.min() < 1 or lengths.max() > time:
        return False
    parts = [_part(node, *run, builder) for run in _runs(lengths)]
    results: list[ir.Value | None] = []
    for position, old in enumerate(node.outputs):
        values = [part[position] for part in parts]
        results.append(_joined(values, BATCH[position], builder) if old.name else None)
    builder.replace(node, results)
    return True


def _runs(lengths: npt.NDArray[np.generic]) -> Iterator[tuple[int, int, int]]:
    """(first sequence, how many, length) of neighbors of one length."""
    start = 0
    for length, group in groupby(int(number) for number in lengths):
        count = len(list(group))
        yield start, count, length
        start += count


def _part(
    node: ir.Node, start: int, count: int, length: int, builder: FloatBuilder
) -> list[ir.Value]:
    """The outputs of some of the sequences, over their own frames; Y has all frames again."""
    time = shape_of(node.inputs[0])[0]
    inputs = list(node.inputs)
    inputs[LENGTHS] = None
    for position in (0, *STATES):
        value = inputs[position] if position < len(inputs) else None
        if value is not None:
            inputs[position] = _cut(value, 1, start, count, builder)
    assert inputs[0] is not None
    inputs[0] = _cut(inputs[0], 0, 0, length, builder)
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    outputs = builder.ops(
        node.op_type, inputs, attrs, outputs=len(node.outputs), name=str(node.name)
    )
    if node.outputs[0].name and length < time:
        rest = np.zeros((time - length, *shape_of(outputs[0])[1:]), np.float32)
        outputs[0] = builder.op("Concat", [outputs[0], rest], {"axis": 0})
    return outputs


def _cut(value: ir.Value, axis: int, start: int, count: int, builder: FloatBuilder) -> ir.Value:
    if shape_of(value)[axis] == count:
        return value
    ends = [np.array([number], np.int64) for number in (start, start + count, axis)]
    return builder.op("Slice", [value, *ends])


def _joined(values: list[ir.Value], axis: int, builder: FloatBuilder) -> ir.Value:
    return values[0] if len(values) == 1 else builder.op("Concat", values, {"axis": axis})
