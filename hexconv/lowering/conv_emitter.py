"""Emits one convolution as the op that computes it exactly: consts, pads, channel order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering import deep_data
from hexconv.lowering.context import Context
from hexconv.lowering.slice_concat import tiled
from hexconv.lowering.window import Window, mode, padded, undilated, wide
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.constraints import DEEPEST_CONVOLUTION, WIDEST_KERNEL
from hexconv.nnlib.depthwise_code import scale_period
from hexconv.nnlib.graph import Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.quantize import (
    LARGEST_BIAS,
    QuantizedArray,
    Range,
    quantize_bias,
    quantize_channels,
    quantize_copies,
    quantize_weights,
)

# docs/nnlib/costs.md#rules: a convolution is about 1250 packets and 0.004 a multiply-accumulate;
# a group also costs its Split and Concat.
PACKETS_PER_MAC, PACKETS_PER_GROUP = 0.004, 3000.0

INPUTS, OUTPUTS = 2, 3
"""The axes of the channels of a kernel (kh, kw, in, out)."""

INT32_MIN, INT32_MAX = -(2.0**31), 2.0**31 - 1

# prepare uses a separate kernel for a 3x3 convolution from 2 to 2 channels
# (do_make_supernode_3322), for which nothing here is verified.
TWO_TO_TWO = (3, 3, 2, 2)
# InputSupernode's depth (prepare.c, do_convert_to_short_conv).
SHORT_DEPTH, SHORT_STRIDE = 4, 4
# How far below calibration's loudness a run's input may be before its step is held up: the weights
# of a channel are no smaller beside its bias than this allows.
HEADROOM = 2.0**7


def is_two_to_two(kernel: Array, axes: Sequence[Window]) -> bool:
    """Whether prepare would make it a Supernode3322."""
    return kernel.shape == TWO_TO_TWO and all(axis.stride == 1 for axis in axes)


def _may_become_two_to_two(kernel: Array) -> bool:
    """Whether a form of the dilated convolution, with zeros between its taps or not, would be."""
    return kernel.shape[2:] == TWO_TO_TWO[2:] and all(size in (2, 3) for size in kernel.shape[:2])


def _grown(weights: Array, pads: Sequence[int]) -> Array:
    """(Cin, Cout, kh, kw) with zeros at the end, which reach the output rows that no tap does."""
    if min(pads[:2]) < 0:
        raise UnsupportedOpError("a transposed convolution with negative padding before")
    bottom, right = (max(-pad, 0) for pad in pads[2:])
    return np.pad(weights, ((0, 0), (0, 0), (0, bottom), (0, right)))


def _phases_are_two_to_two(weights: Array, strides: Sequence[int]) -> bool:
    """As `is_two_to_two`, for the convolution that prepare makes of (Cin, Cout, kh, kw)."""
    size = [-(-k // s) for k, s in zip(weights.shape[2:], strides, strict=True)]
    return (*size, weights.shape[0], weights.shape[1] * prod(strides)) == TWO_TO_TWO


def widened(kernel: Array, axes: Sequence[Window]) -> tuple[Array, list[Window]]:
    """The same convolution with a column of zeros after its kernel."""
    height, width = axes
    grown = replace(width, kernel=width.kernel + 1, after=width.after + width.dilation)
    return np.pad(kernel, ((0, 0), (0, 1), (0, 0), (0, 0))), [height, grown]


def stays_flat(kernel: Array, axes: Sequence[Window]) -> bool:
    """Whether prepare would leave it flat (scalar, unverified): few channels, an odd stride."""
    stride = axes[1].stride
    return kernel.shape[2] <= SHORT_DEPTH and 1 < stride <= SHORT_STRIDE and stride % 2 == 1


def runs_short(kernel: Array, axes: Sequence[Window]) -> bool:
    """Whether prepare makes it an InputSupernode, whose weights have one scale."""
    shallow = kernel.shape[2] <= SHORT_DEPTH and axes[1].stride <= SHORT_STRIDE
    return shallow and not stays_flat(kernel, axes)


def block_diagonal(kernel: Array, group: int) -> Array:
    """A grouped kernel (kh, kw, Cin/g, Cout) as a dense (kh, kw, Cin, Cout)."""
    height, width, per, outputs = kernel.shape
    dense = np.zeros((height, width, per * group, outputs), np.float32)
    step = outputs // group
    for g in range(group):
        columns = slice(g * step, (g + 1) * step)
        dense[:, :, g * per : (g + 1) * per, columns] = kernel[..., columns]
    return dense


@dataclass(frozen=True)
class EmittedWeights:
    """The constants of a convolution.

    Attributes:
        tensor: its input, which may be behind a floor.
        codes: the weights.
        limits: their min and max.
        step: their scale; that of the channel with the largest weights.
        scales: the op's optional last input: scales of the channels, if it has any.
    """

    tensor: Tensor
    codes: Ref
    limits: tuple[Ref, Ref]
    step: float
    scales: tuple[Ref, ...] = ()


class ConvEmitter:
    """Emits one convolution whose output is `name`, with `counts` = (H, W) windows."""

    def __init__(self, ctx: Context, name: str, counts: Sequence[int]) -> None:
        self.ctx, self.name, self.counts = ctx, name, list(counts)

    @property
    def range(self) -> Range:
        """The range requested for the result."""
        return self.ctx.range(self.name)

    def dense(self, tensor: Tensor, kernel: Array, bias: Array, axes: Sequence[Window]) -> Tensor:
        """One group: kernel (kh, kw, Cin, Cout)."""
        tensor, kernel, axes = deep_data.in_parts(self.ctx, tensor, kernel, axes, self.name)
        if any(axis.dilation > 1 for axis in axes):
            return self._dilated(tensor, kernel, bias, axes)
        return self.supernode("Supernode_8x8p32to8", tensor, kernel, bias, axes)

    def supernode(
        self,
        op: str,
        tensor: Tensor,
        kernel: Array,
        bias: Array,
        axes: Sequence[Window],
    ) -> Tensor:
        """Supernode or DepthwiseSupernode; an explicit Pad where none of their modes fits."""
        if is_two_to_two(kernel, axes):
            kernel, axes = widened(kernel, axes)
        padding = mode(axes, self.counts)
        if padding is None:
            tensor = padded(self.ctx, tensor, axes, self.counts, self.name)
            padding = Padding.VALID
        depthwise = op.startswith("Depthwise")
        if depthwise:
            period = scale_period(kernel.shape[1], axes[1].stride)
            weights = self._weights(kernel, bias, tensor, 2, period)
        elif runs_short(kernel, axes):
            weights = self._short_weights(kernel, bias, tensor)
        else:
            weights = self._weights(kernel, bias, tensor, scales=True)
        tensor, builder = weights.tensor, self.ctx.builder
        stride = builder.extent(f"{self.name}/stride", axes[0].stride, axes[1].stride)
        inputs = [
            tensor.data,
            weights.codes,
            tensor.min,
            tensor.max,
            *weights.limits,
            stride,
            *self._bias(bias, tensor.range.step * weights.step),
            *builder.minmax(self.name, self.range),
            *weights.scales,
        ]
        if not weights.scales and stays_flat(kernel, axes):
            # A scale of 1 has no effect, but with it prepare uses the usual form.
            inputs.append(builder.scalar(f"{self.name}/no_scale", 1.0))
        return builder.quantized(
            op,
            inputs,
            self._shape(tensor, bias.size),
            self.range,
            name=self.name,
            padding=padding,
        )

    def _dilated(
        self, tensor: Tensor, kernel: Array, bias: Array, axes: Sequence[Window]
    ) -> Tensor:
        """QuantizedDilatedConv2d at stride 1; else a dense kernel with zeros between the taps."""
        if any(axis.stride > 1 for axis in axes):
            kernel, axes = undilated(kernel, axes)
            return self.dense(tensor, kernel, bias, axes)
        while _may_become_two_to_two(kernel):
            kernel, axes = widened(kernel, axes)
        padding = mode(axes, self.counts)
        # SAME is split on the undilated kernel, unevenly where its size is even.
        even = any(axis.kernel % 2 == 0 for axis in axes)
        if padding not in (Padding.SAME, Padding.VALID) or (padding is Padding.SAME and even):
            tensor = padded(self.ctx, tensor, axes, self.counts, self.name)
            padding = Padding.VALID
        dilation = self.ctx.builder.ints(f"{self.name}/dilation", [axis.dilation for axis in axes])
        return self._dilated_or_grouped(
            "QuantizedDilatedConv2d_8x8p32to8", tensor, kernel, bias, axes, dilation, padding
        )

    def grouped(
        self, tensor: Tensor, kernel: Array, bias: Array, axes: Sequence[Window], group: int
    ) -> Tensor:
        """QuantizedGroupedConv2d, or one dense kernel: kernel (kh, kw, Cin/g, Cout)."""
        # The grouped op has no dilation: its kernel would have zeros between the taps.
        wide = axes[1].extent > WIDEST_KERNEL
        if wide or self._dense_is_cheaper(kernel, group) or stays_flat(kernel, axes):
            return self.dense(tensor, block_diagonal(kernel, group), bias, axes)
        if any(axis.dilation > 1 for axis in axes):
            kernel, axes = undilated(kernel, axes)
        if is_two_to_two(kernel[..., : kernel.shape[3] // group], axes):
            kernel, axes = widened(kernel, axes)
        padding = mode(axes, self.counts)
        if padding not in (Padding.SAME, Padding.VALID):
            tensor = padded(self.ctx, tensor, axes, self.counts, self.name)
            padding = Padding.VALID
        groups = self.ctx.builder.ints(f"{self.name}/groups", [group])
        return self._dilated_or_grouped(
            "QuantizedGroupedConv2d_8x8p32to8", tensor, kernel, bias, axes, groups, padding
        )

    def _dense_is_cheaper(self, kernel: Array, group: int) -> bool:
        macs = kernel.size * self.counts[0] * self.counts[1]
        return macs * (group - 1) * PACKETS_PER_MAC < group * PACKETS_PER_GROUP

    def _dilated_or_grouped(
        self,
        op: str,
        tensor: Tensor,
        kernel: Array,
        bias: Array,
        axes: Sequence[Window],
        extra: Ref,
        padding: Padding,
    ) -> Tensor:
        weights = self._weights(kernel, bias, tensor)
        tensor, builder = weights.tensor, self.ctx.builder
        data, low, high = self._bias(bias, tensor.range.step * weights.step)
        stride = builder.extent(f"{self.name}/stride", axes[0].stride, axes[1].stride)
        inputs = [
            tensor.data,
            weights.codes,
            data,
            tensor.min,
            tensor.max,
            *weights.limits,
            low,
            high,
            stride,
            extra,
            *builder.minmax(self.name, self.range),
            *weights.scales,
        ]
        return builder.quantized(
            op,
            inputs,
            self._shape(tensor, bias.size),
            self.range,
            name=self.name,
            padding=padding,
        )

    def transposed(
        self,
        tensor: Tensor,
        weights: Array,
        bias: Array,
        strides: Sequence[int],
        pads: Sequence[int],
    ) -> Tensor:
        """weights (Cin, Cout, kh, kw); pads (top, left, bottom, right) of the full output."""
        if weights.shape[0] > DEEPEST_CONVOLUTION:
            raise deep_data.too_deep(weights.shape[0])
        top, left, bottom, right = (max(pad, 0) for pad in pads)
        weights = _grown(weights, pads)
        if _phases_are_two_to_two(weights, strides):
            weights = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, strides[1])))
            right += strides[1]
        height, width = weights.shape[2:]
        # prepare's convolution has the taps of one stride phase.
        if -(-width // strides[1]) > WIDEST_KERNEL:
            raise wide(height, width)
        emitted = self._weights(weights.transpose(1, 2, 3, 0), bias, tensor, 0)
        tensor, builder = emitted.tensor, self.ctx.builder
        inputs = [
            tensor.data,
            emitted.codes,
            tensor.min,
            tensor.max,
            *emitted.limits,
            builder.ints(
                f"{self.name}/pads", np.asarray([[[[top, bottom], [left, right]]]], np.int32)
            ),
            builder.extent(f"{self.name}/stride", strides[0], strides[1]),
            *self._bias(bias, tensor.range.step * emitted.step),
            *builder.minmax(self.name, self.range),
            *emitted.scales,
        ]
        return builder.quantized(
            "QuantizedTransposeConv2d_8x8p32to8",
            inputs,
            self._shape(tensor, bias.size),
            self.range,
            name=self.name,
        )

    def _shape(self, tensor: Tensor, channels: int) -> Shape4:
        return tensor.shape[0], self.counts[0], self.counts[1], channels

    def _weights(
        self,
        kernel: Array,
        bias: Array,
        tensor: Tensor,
        axis: int = OUTPUTS,
        period: int | None = None,
        *,
        scales: bool = False,
    ) -> EmittedWeights:
        """The weights, whose output channels are `axis`: with the bias they fit the accumulator.

        `period`: channels after which the scales have to repeat. `scales`: whether the op takes
        them at any depth.
        """
        # A depthwise kernel (kh, kw, C, 1) has one input for each output.
        depth = kernel.shape[axis - 1 if axis else OUTPUTS]
        offsets = self._offsets(bias)
        exact = kernel if self.ctx.exact_weights else None
        if not self.ctx.channel_scales or not (scales or axis == 2 or depth > SHORT_DEPTH):
            alike = quantize_weights(kernel, bias, tensor.range.step)
            return self._emitted(alike, tensor, float(offsets.max(initial=0.0)), exact)
        largest = LARGEST_BIAS / (1.0 if tensor.static else HEADROOM)
        found = quantize_channels(kernel, axis, offsets, tensor.range.step, largest, period)
        largest_offset = float((offsets / found.scales).max(initial=0.0))
        codes = QuantizedArray(found.codes, found.range)
        emitted = self._emitted(codes, tensor, largest_offset, exact)
        if bool((found.scales == 1.0).all()):
            return emitted
        array = found.scales.reshape(1, 1, 1, -1)
        return replace(
            emitted, scales=(self.ctx.builder.const(f"{self.name}/channel_scales", array),)
        )

    def _short_weights(self, kernel: Array, bias: Array, tensor: Tensor) -> EmittedWeights:
        """The weights of an InputSupernode, which pads its input to 4 channels: copies fill them.

        Together the copies' weights have finer steps, as a scale for each channel would give.
        """
        copies = min(self.ctx.copies, SHORT_DEPTH // kernel.shape[INPUTS])
        if copies < 2:
            return self._weights(kernel, bias, tensor)
        found = quantize_copies(kernel, copies, INPUTS, bias, tensor.range.step)
        offset = float(self._offsets(bias).max(initial=0.0))
        emitted = self._emitted(found, tensor, offset, None)
        self.ctx.copied_inputs += 1
        multiples = (1, 1, 1, copies)
        return replace(
            emitted, tensor=tiled(self.ctx, emitted.tensor, multiples, f"{self.name}/copies")
        )

    def _offsets(self, bias: Array) -> npt.NDArray[np.float64]:
        """(channels,) what is added to the products, without its sign."""
        return np.asarray(np.abs(bias.astype(np.float64)) - min(self.range.min, 0.0))

    def _emitted(
        self, weights: QuantizedArray, tensor: Tensor, offset: float, exact: Array | None
    ) -> EmittedWeights:
        """The consts of weights; in a quiet run the input keeps a step that holds the offset."""
        name, builder = f"{self.name}/weights", self.ctx.builder
        step = weights.range.step
        tensor = self.ctx.at_least(tensor, offset / (step * LARGEST_BIAS), self.name)
        limits = builder.minmax(name, weights.range)
        data = builder.const(name, weights.codes, weights.range, exact=exact)
        return EmittedWeights(tensor, data, limits, step)

    def _bias(self, bias: Array, step: float) -> tuple[Ref, Ref, Ref]:
        builder = self.ctx.builder
        name = f"{self.name}/bias"
        codes = builder.const(name, quantize_bias(bias, step).reshape(1, 1, 1, -1))
        return (
            codes,
            builder.scalar(f"{name}_min", INT32_MIN * step),
            builder.scalar(f"{name}_max", INT32_MAX * step),
        )
