"""The state of a lowering: each ONNX tensor's layouts and range, and the graph being built.

Layout is a property of a tensor: a value has one or more forms (a layout and the node that
computes it). A lowering requests the layout it needs; only then is a Reshape or Transpose
inserted, and the new form is cached for later requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2, prod

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import RangeError, UnsupportedOpError
from hexconv.lowering.relayout import fit, gather_axes, moves
from hexconv.nnlib.builder import Builder, RangeSource, Tensor, ranges_of
from hexconv.nnlib.graph import Origin, Ref
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.quantize import LARGEST_NUMBER, Range, quantize_const

# Requantize_8to8 keeps its factor in 16 bits (op_requantize.c): a larger one takes two nodes.
LARGEST_GAIN = 2.0**14
LOUDEST_GAIN = 0.99 * 2.0**15
# A floor for quiet inputs that another reader needs serves one that needs less.
SHARED_FLOOR = 2.0**8
OVERFLOWS = "products of its scale overflow float32 in the library"
SCALE_DOWN = "scale it down; as a mask in front of a softmax, -10000 has the same effect"


@dataclass(frozen=True)
class LayoutForm:
    """One form of a value: `tensor.shape` may still lack a reshape to `layout`."""

    layout: Layout
    tensor: Tensor


@dataclass
class TransposeCount:
    """How many data movements the layouts saved, and how many are left."""

    wanted: int = 0
    emitted: int = 0


class Context:
    """The state of one conversion."""

    def __init__(
        self,
        builder: Builder,
        shapes: Mapping[str, tuple[int, ...]],
        consts: Mapping[str, Array],
        ranges: Mapping[str, Range],
        *,
        channel_scales: bool = True,
        exact_weights: bool = False,
        copies: int = 1,
    ) -> None:
        self.builder = builder
        self.copies, self.copied_inputs = copies, 0
        """How often shallow inputs of convolutions may be given, and how many are."""
        self.exact_weights = exact_weights
        """Whether the consts of weights have what they were rounded from."""
        self.channel_scales = channel_scales
        """Whether the weights of convolutions may have a scale for each output channel."""
        self.shapes = dict(shapes)
        self.consts = consts
        self.ranges = ranges
        self.transposes = TransposeCount()
        self.floats: dict[tuple[Ref, Ref, Ref], Ref] = {}
        """The float32 tensor that data, min and max were quantized from or dequantized to."""
        self._forms: dict[str, list[LayoutForm]] = {}
        self._sources: dict[str, str] = {}
        self._fixed: dict[tuple[Ref, Range], Tensor] = {}
        self._floored: dict[tuple[Ref, float], Tensor] = {}

    # -- facts about ONNX values ------------------------------------------------------------

    def shape(self, name: str) -> tuple[int, ...]:
        """The ONNX shape of a value."""
        return self.shapes[name]

    def const(self, name: str) -> Array | None:
        """The array of a constant value, else None."""
        return self.consts.get(name)

    def range(self, name: str) -> Range:
        """The static range of a value.

        Raises:
            RangeError: it was not calibrated.
        """
        try:
            return self.ranges[name]
        except KeyError:
            raise RangeError(
                f"no range for tensor '{name}'",
                hint=f"give --samples, or add the line '{name}@@min,max' to the range file",
            ) from None

    def forms(self, name: str) -> Sequence[LayoutForm]:
        """The forms of a computed value so far, the oldest first."""
        return self._forms.get(name, ())

    def forget(self, name: str) -> None:
        """Remove what a lowering bound before it failed."""
        self._forms.pop(name, None)

    def form(self, name: str) -> LayoutForm:
        """The form in which a value was computed, in whatever 4-D shape fills the vectors best.

        Reshapes keep the order in memory, so all forms of that order are equally good for an
        element-wise op.
        """
        forms = self._forms[name]
        shape, first = self.shapes[name], forms[0]
        order = memory_order(first.layout, shape)
        alike = [f for f in forms if f is first or memory_order(f.layout, shape) == order]
        return min(alike, key=lambda form: lanes(form.tensor.shape))

    def in_shape(self, name: str, sizes: Shape4) -> Tensor:
        """A computed value under other 4-D sizes, in the same memory order as `form`."""
        form = self.form(name)
        order = memory_order(form.layout, self.shapes[name])
        for other in self._forms[name]:
            if other.tensor.shape == sizes and (
                memory_order(other.layout, self.shapes[name]) == order
            ):
                return other.tensor
        tensor = self.reshaped(form.tensor, sizes, f"{name}/reshape")
        self.bind_order(name, form.layout.order, tensor)
        return tensor

    # -- binding and reading ----------------------------------------------------------------

    def bind(self, name: str, layout: Layout, tensor: Tensor) -> None:
        """Bind the ONNX value `name` to `tensor`, laid out as `layout`."""
        shape = self.shapes[name]
        if name not in self._sources:
            self.builder.mark_origin(tensor, Origin(name, shape, layout))
        self._forms.setdefault(name, []).append(LayoutForm(layout, tensor))

    def bind_order(self, name: str, order: Sequence[int], tensor: Tensor) -> None:
        """As `bind`, given only the order of the axes in memory."""
        shape = self.shapes[name]
        self.bind(name, fit(shape, order, tensor.shape) or gather_axes(shape, order), tensor)

    def relabel(self, source: str, name: str, order: Sequence[int]) -> None:
        """`name` is the same data as `source`, its axes in `order`: no node."""
        self.bind_order(name, order, self.form(source).tensor)

    def view(self, name: str, shape: tuple[int, ...]) -> str:
        """The name under which a computed value has another shape, up to axes of size 1."""
        if shape == self.shapes[name]:
            return name
        alias = f"{name}:{'x'.join(map(str, shape))}"
        if alias not in self.shapes:
            self.shapes[alias] = shape
            self._sources[alias] = name
            places = iter(axis for axis, size in enumerate(shape) if size != 1)
            home = {axis: next(places) for axis, size in enumerate(self.shapes[name]) if size != 1}
            order = [home[axis] for axis in self.form(name).layout.order if axis in home]
            self.relabel(name, alias, order)
        return alias

    def take(self, name: str, layout: Layout, *, static: bool = False) -> Tensor:
        """The value `name` laid out as `layout`, constant or not.

        Args:
            name: an ONNX value.
            layout: of the value's own rank.
            static: require a range that does not depend on the run.
        """
        array = self.const(name)
        if array is not None:
            return self.const_tensor(name, layout.pack(np.asarray(array, np.float32)))
        tensor = self._lay_out(name, layout)
        return self.pinned(name, tensor) if static else tensor

    def take_broadcast(self, name: str, layout: Layout) -> Tensor:
        """As `take`, for a value of lower rank: its shape is padded with ones on the left."""
        shape = (1,) * (layout.rank - len(self.shapes[name])) + self.shapes[name]
        array = self.const(name)
        if array is not None:
            return self.const_tensor(
                name, layout.pack(np.asarray(array, np.float32).reshape(shape))
            )
        return self.take(self.view(name, shape), layout)

    def const_tensor(self, name: str, array: Array, value_range: Range | None = None) -> Tensor:
        """A constant operand as uint8 with the tightest range, or in a given one."""
        if not np.isfinite(array).all():
            raise UnsupportedOpError(f"the constant '{name}' is not finite")
        largest = float(np.abs(array).max(initial=0.0))
        if largest > LARGEST_NUMBER:
            raise UnsupportedOpError(
                f"the constant '{name}' holds numbers up to {largest:.3g}",
                why=OVERFLOWS,
                hint=SCALE_DOWN,
            )
        quantized = quantize_const(array.astype(np.float32, copy=False), value_range)
        data = self.builder.const(name, quantized.codes, quantized.range)
        low, high = self.builder.minmax(name, quantized.range)
        shape = self.builder.shape(data)
        return Tensor(data, low, high, shape, quantized.range)

    def pinned(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor of an ONNX value in its calibrated range, whichever the run decides."""
        if tensor.static:
            return tensor
        return self.fixed(tensor, name, self.range(self._sources.get(name, name)))

    def fixed(self, tensor: Tensor, name: str, value_range: Range | None = None) -> Tensor:
        """A tensor in a static range; itself if it has one.

        It is requantized once for all that need it so.

        Args:
            tensor: whose range the run may decide.
            name: of what needs it, for the node.
            value_range: that it shall have; by default what calibration saw of it.
        """
        if tensor.static:
            return tensor
        key = tensor.data, value_range or tensor.range
        if key not in self._fixed:
            self._fixed[key] = self.requantize8(tensor, key[1], f"{name}/pinned")
        return self._fixed[key]

    def as_calibrated(self, tensor: Tensor, name: str) -> Tensor:
        """The same quantized values, taken for those of the calibrated range in each run: no node.

        What they stand for is off by a factor and an addend, the same for all of them.
        """
        value_range = self.range(self._sources.get(name, name))
        low, high = self.builder.minmax(name, value_range)
        tensor = replace(tensor, min=low, max=high, range=value_range, widest=None)
        return replace(tensor, source=RangeSource.STATIC)

    def at_least(self, tensor: Tensor, step: float, name: str) -> Tensor:
        """A tensor whose step is never below `step`, however quiet a run is (`Builder.floored`).

        Args:
            tensor: whose range the run may decide; others stay as they are.
            step: far below the tensor's at the loudness that calibration saw.
            name: of what needs it, for the node.
        """
        if tensor.source is not RangeSource.RUN_TIME or step == 0.0:
            return tensor
        if tensor.widest is not None and step <= tensor.range.step:
            return tensor
        least = 2.0 ** ceil(log2(step))
        for (data, known), floored in self._floored.items():
            if data == tensor.data and least <= known <= least * SHARED_FLOOR:
                return floored
        floor = Range(least, tensor.range.zero)
        inputs = self.builder.floored(tensor.data_min_max, floor, name)
        floored = self.copied("Select_8", inputs, tensor, tensor.shape, f"{name}/loud_enough")
        self._floored[tensor.data, least] = floored
        return floored

    def requantize8(
        self, tensor: Tensor, value_range: Range, name: str, *, keeps_range: bool = False
    ) -> Tensor:
        """The same values in another static range (Requantize_8to8), however loud a run is."""
        loudest = max(came.step for came in ranges_of(tensor))
        step = max(tensor.range.step / LARGEST_GAIN, loudest / LOUDEST_GAIN)
        if step > value_range.step:
            middle = value_range.scaled(min(step / value_range.step, LARGEST_GAIN))
            tensor = self.requantize8(tensor, middle, f"{name}/between", keeps_range=True)
        return self.builder.quantized(
            "Requantize_8to8",
            [*tensor.data_min_max, *self.builder.minmax(name, value_range)],
            tensor.shape,
            value_range,
            name=name,
            keeps_range=keeps_range,
        )

    def requantize32(self, accumulator: Tensor, value_range: Range, name: str) -> Tensor:
        """An int32 result as uint8: input range from its own ports, output range static."""
        limits = self.builder.minmax(name, value_range)
        return self.builder.quantized(
            "Requantize_32to8",
            [*accumulator.data_min_max, *limits],
            accumulator.shape,
            value_range,
            name=name,
        )

    # -- moving data ------------------------------------------------------------------------

    def _lay_out(self, name: str, layout: Layout) -> Tensor:
        shape = self.shapes[name]
        plans = [
            (moves(shape, form.layout, layout, form.tensor.shape), form)
            for form in self._forms[name]
        ]
        steps, form = min(plans, key=lambda plan: sum(3 if m.perm else 1 for m in plan[0]))
        tensor = form.tensor
        for move in steps:
            if move.perm is None:
                tensor = self.reshaped(tensor, move.shape, f"{name}/reshape")
            else:
                tensor = self.transposed(tensor, move.perm, f"{name}/transpose")
        if steps:
            self._forms[name].append(LayoutForm(layout, tensor))
        return tensor

    def reshaped(self, tensor: Tensor, shape: Shape4, name: str) -> Tensor:
        """The same bytes under another 4-D shape (QuantizedReshape)."""
        if prod(shape) != prod(tensor.shape):
            raise ValueError(f"{tensor.shape} cannot be reshaped to {shape}")
        inputs = [tensor.data, self.builder.ints(f"{name}_shape", shape), tensor.min, tensor.max]
        return self.copied("QuantizedReshape", inputs, tensor, shape, name)

    def transposed(self, tensor: Tensor, perm: Sequence[int], name: str) -> Tensor:
        """B, H, W, D permuted (Transpose_8)."""
        self.transposes.emitted += 1
        inputs = [tensor.data, self.builder.ints(f"{name}_perm", perm), tensor.min, tensor.max]
        b, h, w, d = (tensor.shape[axis] for axis in perm)
        return self.copied("Transpose_8", inputs, tensor, (b, h, w, d), name)

    def copied(
        self, op: str, inputs: Sequence[Ref], tensor: Tensor, shape: Shape4, name: str
    ) -> Tensor:
        """A node whose output has its input's range."""
        made = self.builder.quantized(
            op, inputs, shape, tensor.range, name=name, source=tensor.source
        )
        return replace(made, widest=tensor.widest)

    def rescaled(self, tensor: Tensor, factor: float, name: str) -> Tensor:
        """The same quantized values times a positive constant: only the range changes, no node."""
        value_range = tensor.range.scaled(factor)
        low, high = self.builder.minmax(name, value_range)
        return replace(tensor, min=low, max=high, range=value_range)


def memory_order(layout: Layout, shape: Sequence[int]) -> list[int]:
    """The axes whose size is not 1, outermost first."""
    return [axis for axis in layout.order if shape[axis] != 1]


def lanes(sizes: Shape4) -> int:
    """Elements that the d32 layout allocates: W rounded up to 4, D to 32 (docs/d32.txt)."""
    b, h, w, d = sizes
    return b * h * (-(-w // 4) * 4) * (-(-d // 32) * 32)
