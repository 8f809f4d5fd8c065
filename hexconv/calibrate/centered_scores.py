"""Scores of attention less their mean over the keys, which no softmax sees.

q k - mean(q k) is q (k - mean(k)): with centered keys the maxima of all rows are close together
where no row is peaked, so that one maximum serves them all, and the scores have a narrower range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.softmax_noise import SoftmaxNoise, softmax_noise
from hexconv.calibrate.softmax_rows import CENTERED, product_of
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.quantize import Bounds

NAME = "/centered_scores"
TINY = float(np.finfo(np.float32).tiny)
WORTH = 2.0
"""How much less noise than the library's op centered scores have to have to be worth packets."""


@dataclass(frozen=True)
class Scores:
    """What a softmax of attention reads.

    Attributes:
        product: of queries and keys.
        factor: the Mul or Div by a number behind it, if there is one.
        bounds: of the scores less their means.
    """

    product: ir.Node
    factor: ir.Node | None
    bounds: Bounds


def centered_scores(
    node: ir.Node, ranges: Mapping[str, Bounds], *, measured: bool, extra: bool = False
) -> Scores | None:
    """The scores of a softmax, if its noise is less with centered ones than written out otherwise.

    Args:
        node: the softmax.
        ranges: (min, max) of each value, and what was measured of rows.
        measured: whether `ranges` has the ranges of what is made then.
        extra: whether it is written out for packets: it is enough then to gain by `gain`.
    """
    noise = softmax_noise(node, ranges)
    if noise is None or (noise.centered > noise.own and not (extra and _gains(noise))):
        return None
    return _scores(node, ranges, measured=measured)


def gain(node: ir.Node, ranges: Mapping[str, Bounds], *, measured: bool) -> float:
    """The noise over signal for an element that centered scores take from the library's op.

    0 where that is not 3 dB and more, or scores cannot be centered.
    """
    noise = softmax_noise(node, ranges)
    if noise is None or not _gains(noise) or _scores(node, ranges, measured=measured) is None:
        return 0.0
    elements = prod(shape_of(node.outputs[0]))
    return (noise.library - noise.centered) / max(noise.power, TINY) / elements


def _gains(noise: SoftmaxNoise) -> bool:
    return WORTH * noise.centered < noise.library


def _scores(node: ir.Node, ranges: Mapping[str, Bounds], *, measured: bool) -> Scores | None:
    """The scores of a softmax in front of a product, without a mask; None of others."""
    result = node.outputs[0].name
    bounds, name = ranges.get(f"{result}/{CENTERED}"), f"{result}{NAME}"
    if bounds is None or product_of(node) is None or (measured and name not in ranges):
        return None
    source, factor = node.inputs[0], None
    if source is not None and _is_scaled(source):
        factor = source.producer()
        source = None if factor is None else factor.inputs[0]
    product = None if source is None or not read_once(source) else source.producer()
    if product is None or product.op_type != "MatMul" or product.domain:
        return None
    if any(array_of(item) is not None or len(shape_of(item)) < 2 for item in product.inputs):
        return None
    return Scores(product, factor, bounds)


def _is_scaled(value: ir.Value) -> bool:
    """Whether a value that is read once is a tensor times or over a number above 0."""
    node = value.producer()
    if node is None or node.domain or node.op_type not in ("Mul", "Div") or not read_once(value):
        return False
    array = array_of(node.inputs[1])
    return array is not None and array.size == 1 and float(array.reshape(-1)[0]) > 0.0


def center(
    node: ir.Node, scores: Scores, builder: FloatBuilder, ranges: dict[str, Bounds]
) -> ir.Value:
    """The centered scores of a softmax, before it, and their ranges."""
    queries, keys = scores.product.inputs
    last = np.array([len(shape_of(keys)) - 1], np.int64)
    mean = builder.op("ReduceMean", [keys, last], {"keepdims": 1})
    near = builder.op("Sub", [keys, mean])
    name = f"{node.outputs[0].name}{NAME}"
    value = builder.op("MatMul", [queries, near], name=name)
    ranges[str(value.name)] = scores.bounds
    if scores.factor is not None:
        array = array_of(scores.factor.inputs[1])
        assert array is not None
        number = float(array.reshape(-1)[0])
        number = number if scores.factor.op_type == "Mul" else 1.0 / number
        low, high = scores.bounds
        ranges[str(value.name)] = low / number, high / number
        value = builder.op(scores.factor.op_type, [value, scores.factor.inputs[1]])
        ranges[str(value.name)] = scores.bounds
    return value
