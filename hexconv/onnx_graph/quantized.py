"""Quantized models become float graphs with ranges, and with the clamps that QuantizeLinear has.

QuantizeLinear after DequantizeLinear changes a value by rounding, which the DSP does anyway, and by
saturation: a quantizer leaves out a Relu or Clip whose work the saturation does, and a second one
may keep less of a tensor than the first. It becomes a Clip, but where no value can reach it, or
where calibration saw that none does (`Clamp`). Scale and zero point are the range of the tensor
between. Quantized constants were computed before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FLOAT32_MAX
from hexconv.errors import ModelError
from hexconv.onnx_graph import channel_quantizers
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.code_constants import BOUNDED, others_constant, with_values
from hexconv.onnx_graph.codes import Codes, codes_of
from hexconv.onnx_graph.graph import Clamp
from hexconv.onnx_graph.intervals import interval
from hexconv.onnx_graph.quantized_outputs import NARROW, is_cast_to_float
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.onnx_graph.uses import leads_only_to
from hexconv.quantize import LARGEST_NUMBER, Bounds
from hexconv.quantize.ranges import LEVELS

MOVES = {*SELECTIONS, "Concat"}
"""Ops whose outputs hold elements of their inputs and nothing else."""
ON_CODES = {*MOVES, *BOUNDED, "Pad"}
LIMITED = {"Clip", "Max", "Min", "Where"}
"""Ops whose results are within the ends of the integers that they read."""
OF_THE_OP = {"Sigmoid", "Softmax"}
"""Ops whose quantizers have a range of 0 to 1, which no calibration measured."""
BEFORE_ACTIVATION = {"Conv", "ConvTranspose", "Gemm", "BatchNormalization"}
"""Ops whose activation a quantizer leaves out, any Clip; for a Relu the zero point is the sign."""


@dataclass(frozen=True)
class Declared:
    """What a quantized model declares of its tensors.

    Attributes:
        ranges: (min, max) of each tensor that was quantized, by its name.
        wide: names of those whose ranges may have room to spare: of more than 8 bits, or an op's.
        clamps: those that calibration can show to be without effect, by the quantizer's name.
    """

    ranges: dict[str, Bounds]
    wide: frozenset[str]
    clamps: dict[str, Clamp]


def take_ranges(builder: FloatBuilder, unreached: Collection[str] = ()) -> Declared:
    """Remove QuantizeLinear and DequantizeLinear from a graph in canonical form.

    Those with scales by channel or block leave clamps; those with computed scales stay.

    Args:
        builder: of the graph.
        unreached: names of quantizers whose clamps no value reaches, and which may be left out.
    """
    walk = _Walk(builder, unreached)
    for node in list(builder.graph):
        if node.graph is None or node.domain or not node.inputs:
            continue
        if node.op_type == "QuantizeLinear":
            walk.quantize(node)
        elif any(value in walk.codes for value in node.inputs if value is not None):
            if node.op_type == "DequantizeLinear" or is_cast_to_float(node):
                walk.dequantize(node)
            elif _applies_to_codes(node):
                walk.move(node)
    ranges = walk.named_ranges()
    return Declared(ranges, walk.wide_names(), walk.named_clamps())


class _Walk:
    """The floats that stand for integers, and what is known of them."""

    def __init__(self, builder: FloatBuilder, unreached: Collection[str]) -> None:
        self.builder = builder
        self._unreached = unreached
        self.codes: dict[ir.Value, Codes] = {}
        self._floats: dict[ir.Value, ir.Value] = {}
        self._ranges: dict[ir.Value, Bounds] = {}
        self._wide: set[ir.Value] = set()
        self._clips: dict[tuple[ir.Value, Bounds], ir.Value] = {}
        self._doubtful: dict[str, tuple[ir.Value, Bounds, float]] = {}

    def quantize(self, node: ir.Node) -> None:
        """Note what the integers of a QuantizeLinear are: its input, clamped."""
        source, codes = node.inputs[0], codes_of(node)
        if source is None or codes is None or not _goes_on(node.outputs[0]):
            for value, found in channel_quantizers.replaced(node, self.builder).items():
                self._note(value, found.bounds, wide=found.wide)
            return
        _check_bounds(node, codes)
        self.codes[node.outputs[0]] = codes
        bounds = self._kept(source, codes.bounds)
        clamped = self._clamped(source, codes, bounds, node)
        self._floats[node.outputs[0]] = clamped
        self._widen(clamped, bounds)
        if codes.high - codes.low > LEVELS or _is_of_the_op(source, codes):
            self._wide.update((source, clamped))

    def dequantize(self, node: ir.Node) -> None:
        """Let the readers of a DequantizeLinear, or of a Cast to float, read the float."""
        source = node.inputs[0]
        assert source is not None
        own = self.codes[source]
        codes = Codes(1.0, 0.0, own.low, own.high) if node.op_type == "Cast" else codes_of(node)
        assert codes is not None
        self.builder.at(node)
        value = self._as(source, codes)
        if value is not self._floats[source] and node.op_type == "Cast":
            self._note(value, codes.bounds, wide=self._floats[source] in self._wide)
        self.builder.replace(node, [value])

    def _note(self, value: ir.Value, bounds: Bounds, *, wide: bool) -> None:
        """Note the range of a float that stands for integers as they are."""
        self._widen(value, bounds)
        if wide:
            self._wide.add(value)

    def move(self, node: ir.Node) -> None:
        """Apply an op on integers to the floats, its constants as what they stand for."""
        sources = [value for value in node.inputs if value is not None and value in self.codes]
        codes = self.codes[sources[0]]
        wide = any(self._floats[value] in self._wide for value in sources)
        self.builder.at(node)
        for position, value in enumerate(node.inputs):
            if value is not None and value in self.codes:
                node.replace_input_with(position, self._as(value, codes))
        node = with_values(node, codes, self.builder)
        for value in node.outputs:
            self.codes[value], self._floats[value] = codes, value
            if wide:
                self._wide.add(value)
            if _selects(node) or node.op_type in LIMITED:
                least, most = interval(value)
                low, high = codes.bounds
                self._widen(value, (max(low, least), min(high, most)))

    def named_ranges(self) -> dict[str, Bounds]:
        """Ranges by name. Values have taken over the names of those that they replace.

        What only a clamp reads has the clamp's range: the DSP saturates there.
        """
        clips = set(self._clips.values())
        doubtful = {source for source, _, _ in self._doubtful.values()}
        for (source, bounds), _ in self._clips.items():
            if source in doubtful:
                continue
            uses = [
                use.node.outputs[0] for use in source.uses() if use.node.op_type != "QuantizeLinear"
            ]
            if not source.is_graph_output() and all(value in clips for value in uses):
                self._widen(source, bounds)
        return {str(value.name): bounds for value, bounds in self._ranges.items()}

    def wide_names(self) -> frozenset[str]:
        """Names of the values with a range of more than 8 bits."""
        return frozenset(str(value.name) for value in self._wide & self._ranges.keys())

    def named_clamps(self) -> dict[str, Clamp]:
        """The clamps that nothing but values decides on, by the name of their quantizer."""
        return {
            name: Clamp(str(source.name), bounds, step)
            for name, (source, bounds, step) in self._doubtful.items()
        }

    def _widen(self, value: ir.Value, bounds: Bounds) -> None:
        known = self._ranges.get(value, bounds)
        self._ranges[value] = min(known[0], bounds[0]), max(known[1], bounds[1])

    def _clamped(self, source: ir.Value, codes: Codes, bounds: Bounds, node: ir.Node) -> ir.Value:
        if (source, bounds) in self._clips:
            return self._clips[source, bounds]
        least, most = interval(source)
        if least >= bounds[0] - codes.scale and most <= bounds[1] + codes.scale:
            return source
        if not (_clamps(source, codes) or self._narrows(source, codes)):
            if node.name in self._unreached:
                return source
            self._doubtful[str(node.name)] = source, bounds, codes.scale
        limits = np.clip(bounds, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)
        clip = self.builder.at(node).op("Clip", [source, *limits], name=f"{node.name}_clamp")
        self._clips[source, bounds] = clip
        return clip

    def _narrows(self, source: ir.Value, codes: Codes) -> bool:
        """Whether another quantizer of the same elements keeps numbers that this one cuts off."""
        beside = [
            codes_of(use.node) for use in source.uses() if use.node.op_type == "QuantizeLinear"
        ]
        kept = [other.bounds for other in beside if other is not None]
        kept += [bounds for clamped, bounds in self._clips if clamped is source]
        kept += [self._ranges[value] for value in self._origins(source) & self._ranges.keys()]
        (low, high), (least, most) = codes.bounds, interval(source)
        return any(
            max(bottom, least) < low - codes.scale or min(top, most) > high + codes.scale
            for bottom, top in kept
        )

    def _kept(self, source: ir.Value, bounds: Bounds) -> Bounds:
        """The bounds within what quantizers before keep, where all elements passed one."""
        origins = self._origins(source)
        if not origins <= self._ranges.keys():
            return bounds
        lows, highs = zip(*(self._ranges[value] for value in origins), strict=True)
        return max(bounds[0], min(lows)), min(bounds[1], max(highs))

    def _origins(self, source: ir.Value) -> set[ir.Value]:
        """The nearest tensors with a range, or computed, that hold the source's elements."""
        pending, seen, origins = [source], {source}, set()
        while pending:
            value = pending.pop()
            node = value.producer()
            if node is None or value in self._ranges or not _moves(node):
                origins.add(value)
                continue
            data = node.inputs if node.op_type == "Concat" else node.inputs[:1]
            fresh = {item for item in data if item is not None} - seen
            seen |= fresh
            pending += fresh
        return origins

    def _as(self, source: ir.Value, wanted: Codes) -> ir.Value:
        """The float of integers that are read with another scale or zero point, perhaps."""
        value, own = self._floats[source], self.codes[source]
        if own.scale != wanted.scale:
            value = self.builder.op("Mul", [value, np.float32(wanted.scale / own.scale)])
        if own.zero != wanted.zero:
            value = self.builder.op("Add", [value, np.float32(wanted.value(own.zero))])
        return value


def _check_bounds(node: ir.Node, codes: Codes) -> None:
    """Raise where codes stand for numbers that nothing computes with.

    Raises:
        ModelError: naming the scale.
    """
    if codes.scale >= 0 and max(map(abs, codes.bounds)) <= LARGEST_NUMBER:
        return
    raise ModelError(
        f"the scale {codes.scale:.3g} is not one of a tensor's codes",
        where=f"node '{node.name}' ({node.op_type})",
        why=f"scales are positive, and no number is beyond {LARGEST_NUMBER:g}",
        hint="quantize the model again: its calibration saw wrong numbers here",
    )


def _clamps(source: ir.Value, codes: Codes) -> bool:
    """Whether saturation is more than calibration's own end of the range, whatever the values.

    At a zero point of the lowest or highest code it is a Relu (or its mirror image) that was left
    out, after these ops any Clip; what enters the model is clamped before anything reads it.
    """
    low, high = codes.bounds
    least, most = interval(source)
    if least >= low - codes.scale and most <= high + codes.scale:
        return False
    if source.is_graph_input():
        return True
    if (low == 0.0 and least < -codes.scale) or (high == 0.0 and most > codes.scale):
        return True
    producer = source.producer()
    return producer is not None and producer.op_type in BEFORE_ACTIVATION


def _is_of_the_op(source: ir.Value, codes: Codes) -> bool:
    """Whether a range is the one that quantizers give an op, whatever its data is."""
    producer = source.producer()
    fixed = producer is not None and producer.op_type in OF_THE_OP
    return fixed and codes.low == codes.zero and abs(codes.bounds[1] - 1.0) <= 2 * codes.scale


def _selects(node: ir.Node) -> bool:
    """Whether a node returns elements of its input: a Resize to the nearest one does so as well."""
    if node.op_type != "Resize":
        return node.op_type in SELECTIONS
    mode, transform = (
        node.attributes.get(name) for name in ("mode", "coordinate_transformation_mode")
    )
    cropped = transform is not None and transform.as_string() == "tf_crop_and_resize"
    return (mode is None or mode.as_string() == "nearest") and not cropped


def _moves(node: ir.Node) -> bool:
    return node.op_type in MOVES or _selects(node)


def _applies_to_codes(node: ir.Node) -> bool:
    return node.op_type in ON_CODES or _selects(node)


def _goes_on(value: ir.Value) -> bool:
    """Whether every path of the integers ends in floats."""
    return leads_only_to(value, _dequantizes, _stays_codes)


def _dequantizes(node: ir.Node, position: int) -> bool:
    if node.op_type == "DequantizeLinear":
        return position == 0 and codes_of(node) is not None
    value = node.inputs[position]
    return is_cast_to_float(node) and value is not None and value.dtype in NARROW


def _stays_codes(node: ir.Node, position: int) -> bool:
    value = node.inputs[position]
    assert value is not None
    return _applies_to_codes(node) and others_constant(node, value, position)
