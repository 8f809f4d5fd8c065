"""An axis read at constant positions: linear interpolation without a matrix of its weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of

Positions = npt.NDArray[np.float64]

NEAR = 2.0**-10
"""How near to the same fractions the positions of a phase are."""
MOST_PHASES = 8
"""Each is a convolution; of more, the two neighbors are cheaper by far."""


def between_two(
    builder: FloatBuilder, value: ir.Value, axis: int, positions: Positions, name: str
) -> ir.Value:
    """The elements of `value` at `positions` of an axis, between the two next to each.

    Integer factors are a depthwise convolution for each phase, with one rounding; otherwise both
    neighbors are gathered, and what is between them is added.

    Args:
        builder: of the graph.
        value: of any rank.
        axis: of it.
        positions: (new size,) from 0 to the axis' size less 1.
        name: of the node that this replaces.
    """
    first = np.floor(positions + NEAR).astype(np.int64)
    weight = (positions - first).astype(np.float32)
    if bool((np.abs(weight) <= NEAR).all()):
        return builder.op("Gather", [value, first], {"axis": axis}, name=name)
    phases = _phases(positions, shape_of(value)[axis])
    if phases is not None and len(shape_of(value)) == 3 and axis == 2:
        return _by_phases(builder, value, phases, name)
    last = shape_of(value)[axis] - 1
    low = builder.op("Gather", [value, np.minimum(first, last)], {"axis": axis})
    high = builder.op("Gather", [value, np.minimum(first + 1, last)], {"axis": axis})
    along = [1] * len(shape_of(value))
    along[axis] = weight.size
    part = builder.op("Mul", [builder.op("Sub", [high, low]), weight.reshape(along)])
    return builder.op("Add", [low, part], name=name)


def _phases(positions: Positions, size: int) -> Positions | None:
    """(factor,) how far from i each position i * factor + phase is, edges repeated; if it is so."""
    factor, rest = divmod(positions.size, size)
    if rest or not 1 < factor <= MOST_PHASES or size < 3:
        return None
    offsets = positions.reshape(size, factor) - np.arange(size)[:, None]
    expected = np.clip(np.arange(size)[:, None] + offsets[1], 0.0, size - 1.0)
    near = np.abs(expected - positions.reshape(size, factor)).max() <= NEAR
    return offsets[1] if near and np.abs(offsets[1]).max() <= 1.0 else None


def _by_phases(builder: FloatBuilder, value: ir.Value, offsets: Positions, name: str) -> ir.Value:
    """(B, C, W): a kernel of three taps for each phase, whose results stand beside each other."""
    batch, channels, size = shape_of(value)
    amounts = np.array([0, 0, 1, 0, 0, 1], np.int64)
    wide = builder.op("Pad", [value, amounts], {"mode": "edge"})
    taps = np.maximum(1.0 - np.abs(np.arange(-1, 2) - offsets[:, None]), 0.0).astype(np.float32)
    parts = []
    for phase in taps:
        kernel = np.tile(phase, (channels, 1, 1))
        part = builder.op("Conv", [wide, kernel], {"group": channels})
        parts.append(builder.op("Unsqueeze", [part, np.array([3], np.int64)]))
    joined = builder.op("Concat", parts, {"axis": 3})
    shape = np.array([batch, channels, size * len(taps)], np.int64)
    return builder.op("Reshape", [joined, shape], name=name)
