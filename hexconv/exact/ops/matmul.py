"""Matrix products (simulator/kernels/superfc.py, matmul.py)."""

from __future__ import annotations

from typing import NamedTuple

from hexconv.exact.arithmetic import step_and_zero, zero_code
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.ops.conv import full_bias, saturated, window_attributes
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
from hexconv.exact.value import Attribute, Scope, Value


class FullInputs(NamedTuple):
    """Inputs of SuperFC by role; ranges are 1x1x1x1."""

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


@exact("SuperFC_8x8p32to8")
def superfc(call: ExactCall) -> Form:
    """Rows by a const matrix, bias and requantization."""
    search = Search(fixed_ends(call, 9, 10), (0.0, 0.5), attempts=5, limits=False, exact=False)

    def build(body: Scope, *given: Value) -> list[Value]:
        """Rows of uint8 by a const (1,1,K,N) uint8 matrix with int32 bias: (1,1,rows,N) uint8.

        Weights are never squeezed. Source: ops/src/op_superfc_d32.c.
        """
        inputs = FullInputs(*given)
        source = QParams(*step_and_zero(inputs.x_min, inputs.x_max))
        level = QParams(*step_and_zero(inputs.w_min, inputs.w_max))
        one = body.constant(1.0, "float32")
        factors = Factors(one, one, body.constant(True, "bool"))
        depth = inputs.weights.shape().slice(2, 3, 0)
        rows = inputs.x.reshape([1, 1, -1, depth])
        sums = multiply(rows, inputs.weights, source.zero, level.zero)

        def scaled(out: OutRange, first: bool) -> tuple[Gain, Value]:
            gain = choose_gain(source.size, level.size, out, factors, search, first=first)
            step = (inputs.b_max - inputs.b_min) * 2.0**-32
            bias = full_bias(inputs.bias, sums.slice(0, 1, 2))
            wanted = bias.to("float32") * (step / gain.product)
            wanted = wanted + -gain.out.low / gain.product
            return gain, saturated(wanted)

        def reached(gain: Gain, offsets: Value) -> tuple[Value, Value]:
            codes = unclipped(sums.to("int64") + offsets, gain)
            return codes.reduce("Min"), codes.reduce("Max")

        asked = OutRange(inputs.out_min, inputs.out_max)
        gain, offsets, out = find_range(asked, search, scaled, reached)
        return [requantize(sums, gain, offsets, body.scalar(depth, "int64")), out.low, out.high]

    return Form(build, tuple(range(11)), suffix=SUFFIX[search.fixed])


def multiply(a: Value, b: Value, a_zero: Value, b_zero: Value) -> Value:
    """int32 sums of (a - its zero) * (b - its zero), batched as MatMul is."""
    body = a.body
    zeros = (body.scalar(a_zero, "uint8"), body.scalar(b_zero, "uint8"))
    return body.op("MatMulInteger", a, b, *zeros, dtype="int32")


def product_range(a_min: Value, a_max: Value, b_min: Value, b_max: Value) -> list[Value]:
    """The int32 range of a product: the input steps multiplied, times 2^31."""
    high = (a_max - a_min) / 255.0 * ((b_max - b_min) / 255.0) * 2.0**31
    return [-high, high]


@exact("QuantizedMatMul_8x8to32")
def matmul(call: ExactCall) -> Form:
    """By a const matrix, to int32."""

    def build(body: Scope, a: Value, b: Value, *ends: Value) -> list[Value]:
        """a, flattened to (M,K), by const b (1,1,K,N): (1,1,M,N) int32 (ops/src/op_matmul.c)."""
        rows = a.reshape([1, 1, -1, b.shape().slice(2, 3, 0)])
        sums = multiply(rows, b, zero_code(*ends[:2]), zero_code(*ends[2:]))
        return [sums, *product_range(*ends)]

    return Form(build, tuple(range(6)))


@exact("QuantizedBatchMatMul_8x8to32")
def batch_matmul(call: ExactCall) -> Form:
    """Two computed operands, to int32."""

    def build(body: Scope, a: Value, b: Value, *ends: Value) -> list[Value]:
        """a (B,H,M,K) by b (B,H,K,N): (B,H,M,N) int32."""
        return [multiply(a, b, zero_code(*ends[:2]), zero_code(*ends[2:])), *product_range(*ends)]

    return Form(build, tuple(range(6)))


@exact("QuantizedConv2d_8x8to32")
def conv2d(call: ExactCall) -> Form:
    """A convolution without bias or requantization, to int32."""

    def build(body: Scope, x: Value, weights: Value, *ends: Value) -> list[Value]:
        """x (B,H,W,in) by const weights (kh,kw,in,out): int32 (ops/src/op_conv2d.c)."""
        zero, weight_zero = zero_code(*ends[:2]), zero_code(*ends[2:])
        padded = x.pad(Attribute("pads"), zero).transpose([0, 3, 1, 2])
        zeros = (body.scalar(zero, "uint8"), body.scalar(weight_zero, "uint8"))
        sums = body.op(
            "ConvInteger",
            padded,
            weights.transpose([3, 2, 0, 1]),
            *zeros,
            dtype="int32",
            strides=Attribute("strides"),
        )
        return [sums.transpose([0, 2, 3, 1]), *product_range(*ends)]

    return Form(build, tuple(range(6)), window_attributes(call))
