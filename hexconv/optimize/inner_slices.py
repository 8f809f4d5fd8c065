"""A tensor inside the model in slices of its range, each of 256 values.

What a product with constant weights or a sum writes, and only such products read, is carried as
y = sum over k of clip(y - k d, 0, d) - sum over k of clip(-y - k d, 0, d). Every slice is 0 where y
is 0, as padding has it. The slices are channels of one product behind each other, whose clipping is
the end of its range; what reads them repeats its weights. Activations that are linear on either
side of zero (Relu, LeakyRelu, PRelu, positive factors) go into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.calibrate.leaky_inputs import slopes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import clip_ends
from hexconv.optimize.output_slices import NAME
from hexconv.optimize.products import Product, product_of, widened
from hexconv.optimize.summed import Summed, sum_of
from hexconv.quantize import Bounds

READERS = {"Conv": 1, "ConvTranspose": 0, "MatMul": 0}
"""Ops that read slices, and the axis of their weights that has the input channels."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """A product or a sum, activations behind it, and the products that read them.

    Attributes:
        product: what makes the first value.
        values: all values up to that which is read; those inside a sum first.
        up, down: (channels,), what results above and below zero are multiplied by.
        limits: of a Clip, of the last value.
        readers: of the last value.
    """

    product: Product | Summed
    values: tuple[ir.Value, ...]
    up: Floats
    down: Floats
    limits: Bounds = (-np.inf, np.inf)
    readers: tuple[ir.Node, ...] = ()

    @property
    def terms(self) -> tuple[ir.Value, ...]:
        """Of a sum."""
        return self.product.terms if isinstance(self.product, Summed) else ()

    @property
    def tensor(self) -> str:
        """The last value's name."""
        return str(self.values[-1].name)

    def split(self, bounds: Bounds, count: int) -> tuple[int, int, float] | None:
        """Slices above zero, slices below it, and what each spans; None if there is no such split.

        Args:
            bounds: (min, max) of the last value.
            count: of slices.
        """
        high = min(bounds[1], self.limits[1])
        low = min(0.0, max(bounds[0], self.limits[0])) if self.down.any() else 0.0
        if high <= 0.0 or (low < 0.0 and not np.all(np.isinf(self.limits))):
            return None
        below = range(1, count) if low < 0.0 else (0,)
        spans = {n: max(high / (count - n), -low / n if n else 0.0) for n in below}
        best = min(spans, key=lambda n: (spans[n], n))
        return count - best, best, spans[best]


def chains(graph: FloatGraph) -> dict[str, Chain]:
    """All that can be carried in slices, by the name of the tensor that is read."""
    found = {}
    for node in graph.nodes:
        for value in node.outputs:
            chain = _from(value)
            if chain is not None:
                found[chain.tensor] = chain
    return found


def slice_inside(
    graph: FloatGraph, ranges: Mapping[str, Bounds], counts: Mapping[str, int]
) -> dict[str, Bounds]:
    """Replace tensors by their slices, in place; those that cannot be carried so stay.

    Args:
        graph: changed in place.
        ranges: (min, max) of each value.
        counts: of slices, by tensor.

    Returns:
        The ranges, with those of the new values.
    """
    found = dict(ranges)
    for name, count in counts.items():
        chain = chains(graph).get(name)
        parts = None if chain is None else chain.split(ranges[name], count)
        if chain is not None and parts is not None:
            _replace(graph, chain, parts, found)
    if counts:
        remove_dead(graph.graph)
    return found


def _from(value: ir.Value) -> Chain | None:
    """The chain that begins with a value."""
    product = product_of(value) or sum_of(value)
    if product is None:
        return None
    ones = np.ones(shape_of(value)[product.channels])
    inner = product.inner if isinstance(product, Summed) else ()
    chain: Chain | None = Chain(product, (*inner, value), ones, ones)
    while chain is not None:
        value = chain.values[-1]
        uses = [(use.node, use.idx) for use in value.uses()]
        if value.is_graph_output() or not uses:
            return None
        if all(_reads(node, place, product) for node, place in uses):
            return replace(chain, readers=tuple(dict.fromkeys(node for node, _ in uses)))
        chain = _behind(chain, uses[0][0]) if len(uses) == 1 else None
    return None


def _reads(node: ir.Node, place: int, product: Product | Summed) -> bool:
    """Whether a node multiplies the product's channels with constant weights."""
    weights = array_of(node.inputs[1]) if node.op_type in READERS and place == 0 else None
    if weights is None or node.domain or notes_of(node).float_reason:
        return False
    of_rows = isinstance(product, Product) and product.node.op_type == "MatMul"
    if (node.op_type == "MatMul") != of_rows:
        return False
    group = node.attributes.get("group")
    whole = group is None or group.as_int() == 1
    return whole and weights.ndim >= 2 and (node.op_type != "MatMul" or weights.ndim == 2)


def _behind(chain: Chain, node: ir.Node) -> Chain | None:
    """The chain with one more node; None if that is not linear on either side of zero."""
    if node.domain or notes_of(node).float_reason or len(node.outputs) != 1:
        return None
    if shape_of(node.outputs[0]) != shape_of(chain.values[-1]):
        return None
    grown = replace(chain, values=(*chain.values, node.outputs[0]))
    factors = _factors(node, chain)
    if factors is None:
        return None
    up, down = factors
    low, high = chain.limits
    if node.op_type == "Clip":
        bounds = _bounds(node)
        if bounds is None:
            return None
        low, high = max(low, bounds[0]), min(high, bounds[1])
    elif np.isfinite(chain.limits).any():
        return None
    return replace(grown, up=chain.up * up, down=chain.down * down, limits=(low, high))


def _factors(node: ir.Node, chain: Chain) -> tuple[Floats, Floats] | None:
    """What a node multiplies values above and below zero with, each (channels,) or (1,)."""
    one = np.ones(1)
    if node.op_type == "Relu":
        return one, np.zeros(1)
    if node.op_type == "Clip":
        bounds = _bounds(node)
        return None if bounds is None else (one, one * (bounds[0] < 0.0))
    slopes = slopes_of(node)
    if slopes is not None:
        return _slopes(slopes, chain)
    if node.op_type in ("Mul", "Div"):
        return _factor(node, chain.values[-1])
    return None


def _slopes(slope: Array, chain: Chain) -> tuple[Floats, Floats] | None:
    """Of a LeakyRelu or PRelu with a slope for each channel, or one."""
    rank, axis = len(shape_of(chain.values[-1])), chain.product.channels
    form = (1,) * (rank - slope.ndim) + slope.shape
    if slope.ndim > rank or slope.size not in (1, form[axis]) or bool((slope < 0.0).any()):
        return None
    return np.ones(1), slope.reshape(-1).astype(np.float64)


def _factor(node: ir.Node, value: ir.Value) -> tuple[Floats, Floats] | None:
    """Of a product with, or a division by, one positive number."""
    if node.op_type == "Div" and node.inputs[0] is not value:
        return None
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    number = array_of(other)
    if number is None or number.size != 1 or not float(number.flat[0]) > 0.0:
        return None
    factor = float(number.flat[0])
    found = np.full(1, 1.0 / factor if node.op_type == "Div" else factor)
    return found, found


def _bounds(node: ir.Node) -> Bounds | None:
    """Of a Clip that has zero between its constant ends."""
    ends = clip_ends(node)
    return ends if ends is not None and ends[0] <= 0.0 < ends[1] else None


def _replace(
    graph: FloatGraph, chain: Chain, parts: tuple[int, int, float], ranges: dict[str, Bounds]
) -> None:
    above, below, span = parts
    builder = FloatBuilder(graph.graph).at(chain.product.last)
    product = chain.product
    if isinstance(product, Summed):
        product = product.put(builder, ranges)
    factors = [chain.up] * above + [-chain.down] * below
    starts = [span * k for k in (*range(above), *range(below))]
    wide = _product(builder, product, factors, starts)
    clipped = builder.op(
        "Clip", [wide, np.float32(0.0), np.float32(span)], name=f"{chain.tensor}{NAME}"
    )
    clipped.name = builder.fresh(f"{chain.tensor}{NAME}")
    for value in (wide, clipped):
        ranges[str(value.name)] = (0.0, span)
    for node in chain.readers:
        _read(builder, node, clipped, above, below)


def _product(
    builder: FloatBuilder, product: Product, factors: Sequence[Floats], starts: Sequence[float]
) -> ir.Value:
    """The product for each slice, less where this starts."""
    weights, axis = product.weights, product.outputs
    form = tuple(-1 if place == axis else 1 for place in range(weights.ndim))
    made = [(weights * factor.reshape(form)).astype(np.float32) for factor in factors]
    biases = [product.bias * f - start for f, start in zip(factors, starts, strict=True)]
    return widened(builder, product, made, biases)


def _read(builder: FloatBuilder, node: ir.Node, slices: ir.Value, above: int, below: int) -> None:
    """Let a node read slices: its weights are repeated, negated for those below zero."""
    weights = np.asarray(array_of(node.inputs[1]), np.float32)
    repeated = np.concatenate([weights] * above + [-weights] * below, READERS[node.op_type])
    node.replace_input_with(0, slices)
    node.replace_input_with(1, builder.const(repeated, f"{node.name}/of_slices"))
