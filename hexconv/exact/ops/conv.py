"""Convolutions (simulator/kernels/conv.py, depthwise.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hexconv.errors import GraphError
from hexconv.exact.arithmetic import reciprocal, round_int, step_and_zero, zero_code
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ops.gain import (
    SUFFIX,
    Factors,
    Gain,
    OutRange,
    QParams,
    Search,
    choose_gain,
    find_range,
    fixed_ends,
    requantize,
    unclipped,
)
from hexconv.exact.value import Attribute, Scope, Value, larger, maximum, where
from hexconv.nnlib.convolution_code import STRIDE, code_version
from hexconv.nnlib.graph import Padding
from hexconv.simulator.numerics.window import WindowAxis, plan_axis

FLOAT_TAPS = 258
"""So many products of two codes add up exactly in float32."""


class Weights(NamedTuple):
    """As the library packs them.

    Args:
        codes: (kh, kw, in, out) uint8.
        zero: their zero code, int64.
        sums: (1,1,1,out) int64, of each channel, with what pads the depth.
        factors: of the channels.
        inverse: the reciprocals of the factors as the library computes them.
        terms: how many products make one sum.
    """

    codes: Value
    zero: Value
    sums: Value
    factors: Factors
    inverse: Value
    terms: Value


class ConvInputs(NamedTuple):
    """Inputs of a supernode by role; ranges are 1x1x1x1."""

    x: Value
    weights: Value
    x_min: Value
    x_max: Value
    w_min: Value
    w_max: Value
    bias: Value
    b_min: Value
    b_max: Value
    out_min: Value
    out_max: Value
    scales: Value


READS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
"""All but the stride, of which the shape alone is read."""


def windows(call: ExactCall) -> tuple[WindowAxis, WindowAxis]:
    """The rows and columns of a convolution's windows."""
    (_, height, width, _), (kh, kw), stride = call.shapes[0], call.shapes[1][:2], call.shapes[6]
    padding, op = call.node.padding, call.node.op
    return (
        plan_axis(height, kh, stride[1], padding, op),
        plan_axis(width, kw, stride[2], padding, op),
    )


def borders(rows: WindowAxis, columns: WindowAxis) -> list[int]:
    """Paddings of a BHWD tensor as Pad takes them; what no window reaches is cut off."""
    after = (
        (axis.out - 1) * axis.stride + axis.window - axis.before - axis.size
        for axis in (rows, columns)
    )
    return [0, rows.before, columns.before, 0, 0, *after, 0]


def window_attributes(call: ExactCall) -> dict[str, Any]:
    """Paddings and strides."""
    rows, columns = windows(call)
    return {"pads": borders(rows, columns), "strides": [rows.stride, columns.stride]}


def _scales(call: ExactCall) -> dict[str, Any]:
    """Channel scales: input 12 if it is there, a neutral one if not."""
    if len(call.node.inputs) > 12:
        return {"reads": (*READS, 12)}
    return {"reads": READS, "defaults": (np.ones((1, 1, 1, 1), np.float32),)}


@exact("Supernode_8x8p32to8_d32", "InputSupernode_8x8p32to8_outd32")
def supernode(call: ExactCall) -> Form:
    """Convolution, bias and requantization in one node."""
    is_input = call.node.op.startswith("Input")
    code = code_version(call.shapes[1], call.shapes[STRIDE][2], call.library)
    squeezed = not is_input and code != "v60"
    guess = (-1 / 128, 1 / 128) if is_input else (0.0, 0.5)
    search = Search(fixed_ends(call, 10, 11), guess, attempts=3)
    attributes = window_attributes(call)
    if is_input:
        attributes["extra"] = _widened(call)
    unsqueezed = call.library != "v60" and not is_input and not squeezed
    return Form(
        _supernode(is_input=is_input, squeezed=squeezed, search=search),
        attributes=attributes,
        suffix=SUFFIX[search.fixed] + ("_unsqueezed" if unsqueezed else ""),
        **_scales(call),
    )


def _widened(call: ExactCall) -> list[int]:
    """More padding: the input supernode computes, and measures, a width rounded up to 4."""
    _, columns = windows(call)
    more = (-columns.out % 4) * columns.stride + columns.window
    return [0, 0, 0, 0, 0, 0, more, 0]


def _supernode(*, is_input: bool, squeezed: bool, search: Search) -> Callable[..., list[Value]]:
    def build(body: Scope, *given: Value) -> list[Value]:
        """Convolution of uint8 by const uint8 with int32 bias, requantized to uint8.

        x (B,H,W,in), weights (kh,kw,in,out), their ranges, bias (1,1,1,out) in steps of its range
        over 2^32, the output range, channel scales (1,1,1,out).
        Source: ops/src/op_supernode_new.c, include/supernode_utils.h.
        """
        inputs = ConvInputs(*given)
        source = input_level(inputs)
        level = QParams(*step_and_zero(inputs.w_min, inputs.w_max))
        if squeezed:
            weights = squeezed_weights(inputs, level.zero)
        else:
            weights = plain_weights(inputs, level.zero, depth=4 if is_input else 32)
        padded = inputs.x.pad(Attribute("pads"), source.zero)
        sums = measured = convolve(padded, source.zero, weights)
        if is_input and search.fixed != 3:
            wide = padded.pad(Attribute("extra"), source.zero)
            columns = sums.shape().slice(2, 3, 0)
            measured = convolve(wide, source.zero, weights).slice(0, (columns + 3) / 4 * 4, 2)
        return finish(inputs, source, level, weights, sums, measured, search)

    return build


def finish(
    inputs: ConvInputs,
    source: QParams,
    level: QParams,
    weights: Weights,
    sums: Value,
    measured: Value,
    search: Search,
) -> list[Value]:
    """The outputs from plain sums; `measured` are those that a range is found from."""

    def scaled(out: OutRange, first: bool) -> tuple[Gain, Value]:
        gain = choose_gain(source.size, level.size, out, weights.factors, search, first=first)
        return gain, _offsets(inputs, source, weights, gain)

    def reached(gain: Gain, offsets: Value) -> tuple[Value, Value]:
        ends = (measured.reduce(kind, [0, 1, 2]).to("int64") for kind in ("Min", "Max"))
        low, high = (unclipped(end + offsets, gain) for end in ends)
        return low.reduce("Min"), high.reduce("Max")

    asked = OutRange(inputs.out_min, inputs.out_max)
    gain, offsets, out = find_range(asked, search, scaled, reached)
    return [requantize(sums, gain, offsets, weights.terms), out.low, out.high]


def input_level(inputs: ConvInputs) -> QParams:
    """Step and zero of the data; a range that is empty is opened a little."""
    low, high = inputs.x_min, inputs.x_max
    return QParams(*step_and_zero(low, larger(high, low + 1e-18)))


def products(weights: Value, axes: int) -> Value:
    """The product of the first sizes of the weights."""
    return weights.body.op("ReduceProd", weights.shape().slice(0, axes, 0), keepdims=0)


def plain_weights(inputs: ConvInputs, zero: Value, depth: int) -> Weights:
    """As they are; the depth is filled up to a multiple with weights of zero."""
    sizes = [inputs.weights.shape().slice(i, i + 1, 0) for i in range(3)]
    missing = (sizes[2] + (depth - 1)) / depth * depth - sizes[2]
    sums = inputs.weights.to("int64").sum([0, 1, 2]) + sizes[0] * sizes[1] * missing * zero
    terms = products(inputs.weights, 3)
    return Weights(inputs.weights, zero, sums, *channel_factors(inputs), terms)


def channel_factors(inputs: ConvInputs) -> tuple[Factors, Value]:
    """Channel scales as factors, and their reciprocals; the largest is not looked at."""
    scales = inputs.scales
    one = scales.body.constant(1.0, "float32")
    return Factors(scales, one, is_one(scales)), reciprocal(scales)


def is_one(scales: Value) -> Value:
    """Whether scales say nothing: a single one."""
    single = scales.body.op("Size", scales, dtype="int64").equal(1)
    return single & scales.reduce("Max").equal(1.0)


def squeezed_weights(inputs: ConvInputs, zero: Value) -> Weights:
    """Recoded to int8 for each channel, as v65 and v66 do."""
    signed, kept = squeeze(inputs.weights.to("int64"), zero)
    factor = inputs.scales / kept
    one = factor.body.constant(1.0, "float32")
    plain = is_one(inputs.scales) & kept.reduce("Min").equal(1.0) & kept.reduce("Max").equal(1.0)
    factors = Factors(factor, larger(one, factor.reduce("Max")), plain)
    codes, middle = (signed + 128).to("uint8"), factor.body.constant(128, "int64")
    sums, inverse = signed.sum([0, 1, 2]), kept / inputs.scales
    return Weights(codes, middle, sums, factors, inverse, products(inputs.weights, 3))


@shared
def squeeze(codes: Value, zero: Value) -> tuple[Value, Value]:
    """int8 weights that stand for (kh,kw,in,out) codes, and what each channel kept of itself.

    Source: do_perlane_weight_scaling of src/supernode_procweights.c.
    """
    body = codes.body
    low = zero - codes.reduce("Min", [0, 1, 2])
    high = codes.reduce("Max", [0, 1, 2]) - zero
    below = body.constant(128 * 256 + 127, "int64") / maximum(low, 1)
    above = body.constant(127 * 256 + 127, "int64") / maximum(high, 1)
    steps = where(low > 129, below, where(high > 128, above, 0))
    plain = steps.equal(0)
    scaled = (steps * codes + (128 * 256 + 128) - steps * zero) / 256 - 128
    signed = where(plain, (codes - zero).clip(-128, 127), scaled)
    kept = steps.to("float32") / 256.0
    return signed, where(plain, 1.0, kept)


def convolve(padded: Value, zero: Value, weights: Weights) -> Value:
    """(B,Ho,Wo,out) int32: sums of (data - zero) * (weight - its zero)."""
    body = padded.body
    zeros = (body.scalar(zero, "uint8"), body.scalar(weights.zero, "uint8"))
    operands = (padded.transpose([0, 3, 1, 2]), weights.codes.transpose([3, 2, 0, 1]))
    strides = Attribute("strides")
    sums = body.op("ConvInteger", *operands, *zeros, dtype="int32", strides=strides)
    return sums.transpose([0, 2, 3, 1])


def _offsets(inputs: ConvInputs, source: QParams, weights: Weights, gain: Gain) -> Value:
    """(1,1,1,out) int64: what is added to the sums of each channel (fill_bias_buf)."""
    step = (inputs.b_max - inputs.b_min) * 2.0**-32
    wanted = full_bias(inputs.bias, weights.sums).to("float32") * (step / gain.product)
    wanted = wanted + -gain.out.low / gain.product
    wanted = where(weights.factors.plain, wanted, wanted * weights.inverse)
    correction = weights.sums * source.zero
    return saturated(wanted - correction.to("float32")) + correction


def saturated(x: Value) -> Value:
    """Rounded to int32, halves to even, held in its range."""
    return x.body.op("Round", x).to("float64").clip(-(2.0**31), 2.0**31 - 1).to("int64")


def full_bias(bias: Value, like: Value) -> Value:
    """The bias of every channel of `like`; channels that it does not reach have none."""
    missing = like.body.op("Size", like, dtype="int64") - like.body.op("Size", bias, dtype="int64")
    return bias.flat().pad([0, missing], 0).reshape([1, 1, 1, -1])


@exact("DepthwiseSupernode_8x8p32to8_d32")
def depthwise(call: ExactCall) -> Form:
    """One filter a channel."""
    kh, kw, _, _ = call.shapes[1]
    if kh * kw > FLOAT_TAPS:
        raise GraphError(
            f"a depthwise kernel of {kh} x {kw} has no exact function",
            why=f"more than {FLOAT_TAPS} products do not add up exactly in float32",
        )
    search = Search(fixed_ends(call, 10, 11), (-0.125, 0.125), attempts=5)
    attributes = window_attributes(call)
    attributes["channels"] = call.shapes[0][3]
    if search.fixed != 3:
        attributes.update(_measured(call))
    return Form(
        _depthwise(search), attributes=attributes, suffix=SUFFIX[search.fixed], **_scales(call)
    )


def _measured(call: ExactCall) -> dict[str, Any]:
    """The columns that the library measures, and which of them are the output.

    The 3x3 kernel without channel scales works on whole vectors from the left padding of 4 on.
    """
    rows, columns = windows(call)
    if (rows.window, columns.window) != (3, 3) or len(call.node.inputs) > 12:
        return {"extra": [0] * 8, "kept": [0, columns.out]}
    before = 0 if call.node.padding is Padding.VALID else columns.before
    left = (4 - before) // columns.stride
    total = -(-(columns.out + left) // 4) * 4
    right = (total - left - columns.out) * columns.stride
    extra = [0, 0, left * columns.stride, 0, 0, 0, right, 0]
    return {"extra": extra, "kept": [left, left + columns.out]}


def _depthwise(search: Search) -> Callable[..., list[Value]]:
    def build(body: Scope, *given: Value) -> list[Value]:
        """Depthwise convolution of uint8 by const uint8 with int32 bias, requantized to uint8.

        x (B,H,W,D), weights (kh,kw,D,1); the rest as for Supernode_8x8p32to8. Sums of products of
        codes are exact in float32. Source: ops/src/op_dwise_snode_8bit.c.
        """
        inputs = ConvInputs(*given)
        source = input_level(inputs)
        level = QParams(
            (inputs.w_max - inputs.w_min) / 255.0, zero_code(inputs.w_min, inputs.w_max)
        )
        centered = (inputs.weights.to("int64") - level.zero).transpose([3, 0, 1, 2])
        weights = Weights(
            inputs.weights,
            level.zero,
            centered.sum([0, 1, 2]),
            *channel_factors(inputs),
            products(inputs.weights, 2),
        )
        padded = inputs.x.pad(Attribute("pads"), source.zero)
        if search.fixed != 3:
            padded = padded.pad(Attribute("extra"), source.zero)
        data = (padded.to("float32") - source.zero.to("float32")).transpose([0, 3, 1, 2])
        filters = centered.to("float32").transpose([3, 0, 1, 2])
        how: dict[str, Any] = {
            "strides": Attribute("strides"),
            "group": Attribute("channels", "int"),
        }
        sums = body.op("Conv", data, filters, **how).transpose([0, 2, 3, 1])
        measured = sums
        if search.fixed != 3:
            kept = body.ints(Attribute("kept"))
            sums = sums.slice(kept.slice(0, 1, 0), kept.slice(1, 2, 0), 2)
        return finish(inputs, source, level, weights, sums, measured, search)

    return build


@exact("QuantizedPadForConv_8_d32")
def pad_for_conv(call: ExactCall) -> Form:
    """The padding of the convolution that follows."""
    (_, height, width, _), (kh, kw), stride = call.shapes[0], call.shapes[3][:2], call.shapes[4]
    padding, op = call.node.padding, call.node.op
    rows = plan_axis(height, kh, stride[1], padding, op)
    columns = plan_axis(width, kw, stride[2], padding, op)

    def build(body: Scope, x: Value, low: Value, high: Value) -> list[Value]:
        """A border of the zero code (ops/src/op_pad_d32.c)."""
        zero = round_int(-low * 255.0 / (high - low)).clip(0, 255)
        return [x.pad(Attribute("pads"), zero), low, high]

    pads = borders(rows, columns)
    sizes = [size + pads[i] + pads[i + 4] for i, size in enumerate(call.shapes[0])]
    shape = (sizes[0], sizes[1], sizes[2], sizes[3])
    return Form(build, (0, 1, 2), {"pads": pads}, shape=shape)
