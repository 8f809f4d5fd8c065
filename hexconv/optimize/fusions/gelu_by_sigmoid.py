"""GELU from products and a sigmoid: a ninth of a table's packets.

x Phi(x) is x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3), to 0.0005 (Hendrycks and Gimpel 2016,
section 2). A table costs 2.9 packets an element in scalar code, these five nodes 0.33 in vectors.
The sigmoid's argument is clipped to +-8, where it is 0 or 1 to a thousandth: a narrower range and a
finer scale.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
CUBIC = LINEAR * 0.044715
REACH = 8.0
NEAR = 3.336
"""Input for which the sigmoid's argument is `REACH`."""
FAR = 4.0
"""GELU of -4 is -0.0001, and nearer 0 below it: such inputs need no levels."""
WIDE = 24.0
"""Largest input that is squared as it is: of the squares of a larger one too few levels are left
for those that matter."""


@rewrite(Stage.FUSION)
def gelu_by_sigmoid(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Gelu is x * Sigmoid(x * (a + b x * x)), max abs error 0.0005."""
    nodes = [node for node in graph.nodes if node.op_type == "Gelu" and not node.domain]
    builder = FloatBuilder(graph.graph)
    for node in nodes:
        builder.replace(node, [_Gelu(builder.at(node), observed).of(node)])
    return len(nodes)


class _Gelu:
    """Writes one out; all that it makes is monotonic on either side of 0, and so has its range."""

    def __init__(self, builder: FloatBuilder, observed: MutableMapping[str, Bounds]) -> None:
        self._builder, self._observed = builder, observed

    def of(self, node: ir.Node) -> ir.Value:
        """The nodes of `node`; returns the result."""
        x = node.inputs[0]
        assert x is not None
        low, high = self._observed[str(x.name)]
        if low < -FAR < high and read_once(x) and x.producer() is not None:
            self._observed[str(x.name)] = (-FAR, high)
        argument, ends = self._argument(x, self._observed[str(x.name)])
        limits = [float(np.clip(end, -REACH, REACH)) for end in ends]
        clipped = self._op("Clip", [argument, -REACH, REACH], limits)
        gate = self._op("Sigmoid", [clipped], [1.0 / (1.0 + math.exp(-end)) for end in limits])
        return self._builder.op("Mul", [x, gate], name=str(node.name))

    def _argument(self, x: ir.Value, bounds: Bounds) -> tuple[ir.Value, list[float]]:
        """x (a + b x^2) and its range, of x or of the part of it that matters."""
        low, high = bounds
        if max(-low, high) > WIDE:
            low, high = (float(np.clip(end, -NEAR, NEAR)) for end in bounds)
            x = self._op("Clip", [x, -NEAR, NEAR], (low, high))
        most = max(low * low, high * high)
        square = self._op("Mul", [x, x], (0.0, most))
        scaled = self._op("Mul", [square, CUBIC], (0.0, CUBIC * most))
        slope = self._op("Add", [scaled, LINEAR], (LINEAR, LINEAR + CUBIC * most))
        ends = [end * (LINEAR + CUBIC * end * end) for end in (low, high)]
        return self._op("Mul", [x, slope], ends), ends

    def _op(self, op: str, inputs: Sequence[ir.Value | float], bounds: Sequence[float]) -> ir.Value:
        operands = [np.float32(item) if isinstance(item, float) else item for item in inputs]
        value = self._builder.op(op, operands)
        self._observed[str(value.name)] = bounds[0], bounds[1]
        return value
