"""GELUs of a Linear some of whose channels are far above the others: what is beyond is a Linear.

Above 4 GELU(x) is x, so that GELU(x) = GELU(min(x, a)) + max(x - a, 0). The neuron that makes a
Transformer's huge channel has 24 where the others have 4: in its range they have a sixth of the
levels. What it has beyond `a` is computed by columns of its own, in slices as wide as `a`, and the
next Linear reads them beside the others, with the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import FloatArray
from hexconv.calibrate.changes import change_each
from hexconv.calibrate.channel_entries import entry
from hexconv.calibrate.channel_groups import Floats
from hexconv.calibrate.linears import linear_of, weights_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.quantize import Bounds

NEAR, OTHERS = "/near", "others"
NEAREST = 4.0
"""Above it GELU(x) is x, and below its negative 0, to 0.0001."""
STEP = 0.25
"""Between the ends that are tried."""
UNSEEN = 1.1
"""By how much other samples may exceed a channel's largest value."""
SLICES = 32
"""Columns more at most: the library computes 32 at a time."""
WORTH = 2.0
"""By how much the range has to shrink."""
NONE = (0.0, 0.0)


@dataclass(frozen=True)
class GeluInput:
    """A Linear that only a GELU reads, which only Linears read.

    Attributes:
        gelu: the node.
        source: what the Linear reads.
        weights: (inputs, outputs).
        bias: (outputs,).
        readers: MatMuls with constant weights.
    """

    gelu: ir.Node
    source: ir.Value
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    readers: tuple[ir.Node, ...]

    @property
    def value(self) -> ir.Value:
        """What the GELU reads."""
        value = self.gelu.inputs[0]
        assert value is not None
        return value


def gelu_inputs(graph: FloatGraph) -> list[GeluInput]:
    """Every one of a graph."""
    found = (_gelu_input(node) for node in graph.nodes if node.op_type == "Gelu")
    return [item for item in found if item is not None]


def _gelu_input(node: ir.Node) -> GeluInput | None:
    value, result = node.inputs[0], node.outputs[0]
    readers = tuple(use.node for use in result.uses())
    if node.domain or value is None or not read_once(value) or result.is_graph_output():
        return None
    if not readers or not all(
        use.idx == 0 and weights_of(use.node) is not None for use in result.uses()
    ):
        return None
    linear = linear_of(value)
    weights = weights_of(linear.product) if linear is not None else None
    if linear is None or weights is None or linear.product.inputs[0] is None:
        return None
    row = np.zeros(weights.shape[1], np.float32)
    if linear.bias is not None:
        add, place = linear.bias
        row = np.asarray(array_of(add.inputs[place]), np.float32).reshape(-1)
    return GeluInput(node, linear.product.inputs[0], weights, row, readers)


def gelu_meters(graph: FloatGraph, observed: Mapping[str, Bounds]) -> list[GeluMeter]:
    """What measures the inputs of GELUs whose range may shrink by enough."""
    names = [str(item.value.name) for item in gelu_inputs(graph)]
    wide = [name for name in names if observed.get(name, NONE)[1] > WORTH * NEAREST]
    return [GeluMeter(name) for name in wide]


class GeluMeter:
    """What is measured of the channels of a GELU's input.

    Attributes:
        tensors: the input.
    """

    def __init__(self, name: str) -> None:
        self.tensors = [name]
        self._peaks: Floats = np.zeros(1)

    def take(self, name: str, array: FloatArray) -> None:
        """One sample of it, of whose last axis are the channels."""
        rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
        self._peaks = np.maximum(self._peaks, rows.max(axis=0))

    def entries(self) -> dict[str, Bounds]:
        """Ranges of the channels that get columns of their own, and of the others, where any do."""
        most, name = self._peaks * UNSEEN, self.tensors[0]
        ends = (
            end for end in _ends(float(most.max())) if _counts(self._peaks, end).sum() <= SLICES
        )
        end = next(ends, 0.0)
        if not 0.0 < end * WORTH <= most.max():
            return {}
        large = {int(c): float(np.float32(self._peaks[c])) for c in np.flatnonzero(most > end)}
        found = {entry(name, channel): (0.0, peak) for channel, peak in large.items()}
        return {entry(name, OTHERS): (0.0, float(end)), **found}


def _ends(most: float) -> Floats:
    return np.arange(NEAREST, max(most, NEAREST) + STEP, STEP)


def _counts(peaks: Floats, end: float) -> npt.NDArray[np.int64]:
    """How many slices as wide as `end` each channel needs beyond it."""
    return np.ceil(np.maximum(peaks * UNSEEN / end - 1.0, 0.0)).astype(np.int64)


def gelu_tails(graph: FloatGraph, ranges: Mapping[str, Bounds], *, measured: bool = False) -> int:
    """Compute what GELUs have beyond the range of most channels by columns of their own.

    Args:
        graph: changed in place; the GELUs' tensors have new names.
        ranges: (min, max) of each value, and of the channels.
        measured: leave GELUs alone whose new tensors are not in `ranges`.

    Returns:
        How many GELUs were changed.
    """
    found = [
        item
        for item in gelu_inputs(graph)
        if _end(item, ranges) > 0.0
        and (not measured or f"{item.gelu.outputs[0].name}{NEAR}" in ranges)
    ]
    return change_each(graph, found, lambda item, builder: _split(item, ranges, builder))


def _end(item: GeluInput, ranges: Mapping[str, Bounds]) -> float:
    """Up to which most channels reach; 0 where none goes far beyond."""
    return ranges.get(entry(str(item.value.name), OTHERS), NONE)[1]


def _split(item: GeluInput, ranges: Mapping[str, Bounds], builder: FloatBuilder) -> None:
    source, end = str(item.value.name), _end(item, ranges)
    peaks = [ranges.get(entry(source, c), NONE)[1] for c in range(item.bias.size)]
    counts = _counts(np.array(peaks), end)
    name, limit = str(item.gelu.outputs[0].name), np.float32(end)
    builder.at(item.gelu)
    near = builder.op("Clip", [item.value, np.float32(-NEAREST), limit])
    form = {"approximate": item.gelu.attributes.get_string("approximate", "none")}
    near = builder.op("Gelu", [near], form, name=f"{name}{NEAR}")
    chosen = np.repeat(np.arange(counts.size), counts)
    starts = end * np.concatenate([np.arange(1, count + 1) for count in counts])
    columns = np.ascontiguousarray(item.weights[:, chosen])
    far = builder.op("MatMul", [item.source, builder.const(columns, f"{name}/columns")])
    far = builder.op("Add", [far, np.asarray(item.bias[chosen] - starts, np.float32)])
    far = builder.op("Clip", [far, np.float32(0.0), limit], name=f"{name}/far")
    wide = builder.op("Concat", [near, far], {"axis": len(shape_of(near)) - 1})
    for node in item.readers:
        _read_also(node, wide, chosen, builder)


def _read_also(
    node: ir.Node, wide: ir.Value, chosen: npt.NDArray[np.intp], builder: FloatBuilder
) -> None:
    """Let a Linear read a tensor to which channels were appended, each with its own weights."""
    weights = array_of(node.inputs[1])
    assert weights is not None
    node.replace_input_with(0, wide)
    builder.change_const(node, 1, np.concatenate([weights, weights[chosen]]), "/rows")
