"""QuantizedInstanceNorm_8 and InstanceNormBG_8 in d32 form (op_instancenorm_hvx.c,
op_instancenormbg_d32.c, getstats_h.S, renorm_h.S).

Everything but the sums is computed in 16-bit floats, and the gain to the output is truncated to
an integer: results are deterministic, and 1..11 LSB from exact arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics import qfloat
from hexconv.simulator.numerics.fixed_point import F32, as_range
from hexconv.simulator.numerics.hvx import Int, mul_frac, satu8, wrap16
from hexconv.simulator.numerics.qfloat import QFloat
from hexconv.simulator.registry import KernelCall, kernel

_PAD_CODE = 0x80


class _Stats(NamedTuple):
    """Of each (batch, channel), channels padded to a multiple of 32."""

    total: QFloat
    squares: QFloat
    smallest: QFloat
    largest: QFloat


class _Affine(NamedTuple):
    """Output = input * gain - offset."""

    gain: QFloat
    offset: QFloat


@kernel("QuantizedInstanceNorm_8_d32")
def instance_norm(call: KernelCall) -> list[Array]:
    """(x - mean) / deviation of each batch and channel; epsilon is always 1e-5."""
    data = call.inputs[0]
    stats = _stats(data)
    affine = _normalizer(data, stats, F32(1e-5))
    affine = _Affine(affine.gain, qfloat.multiply(affine.offset, affine.gain))
    low, high = _extremes(affine, stats)
    return _requantize(data, affine, qfloat.smallest(low), qfloat.largest(high))


@kernel("QuantizedInstanceNormBG_8_d32")
def instance_norm_bg(call: KernelCall) -> list[Array]:
    """gamma * (x - mean) / deviation + beta; epsilon is compared in quantized units."""
    data = call.inputs[0]
    gamma, beta = (_codes_to_qfloat(call, at) for at in (4, 7))
    if gamma.m.shape[-1] != beta.m.shape[-1]:
        raise GraphError("gamma and beta differ in depth", where=call.op)
    stats = _stats(data)
    affine = _normalizer(data, stats, call.scalar(3))
    gain = qfloat.multiply(gamma, affine.gain)
    offset = qfloat.subtract(qfloat.multiply(affine.offset, gain), beta)
    affine = _Affine(gain, offset)
    a, b = _extremes(affine, stats)
    low = qfloat.smallest(qfloat.smaller_of(b, a))
    high = qfloat.largest(qfloat.larger_of(b, a))
    return _requantize(data, affine, low, high)


def _codes_to_qfloat(call: KernelCall, at: int) -> QFloat:
    """gamma or beta (uint8 with its range) as 16-bit floats, in groups of 32 channels."""
    low, high = call.scalar(at + 1), call.scalar(at + 2)
    step = F32(float(F32(high - low)) / 255.0)
    values = call.inputs[at].reshape(-1).astype(np.float32) * step + low
    padded = np.zeros(-(-values.size // 32) * 32, np.float32)
    padded[: values.size] = values
    return _grouped(qfloat.from_float(padded))


def _grouped(value: QFloat) -> QFloat:
    return QFloat(
        value.m.reshape(*value.m.shape[:-1], -1, 32), value.e.reshape(*value.e.shape[:-1], -1, 32)
    )


def _stats(data: Array) -> _Stats:
    """`getstats_asm`: the padding of a row to 4 columns, and of rows to 2, counts as value 128."""
    _, height, width, depth = data.shape
    columns, rows = -width % 4, height % 2
    fill = columns * height + rows * (width + columns)
    space = data.reshape(data.shape[0], -1, depth)
    wide = space.astype(np.int32)
    total = wide.sum(axis=1, dtype=np.int64) + fill * _PAD_CODE
    squares = (wide * wide).sum(axis=1, dtype=np.int64) + fill * _PAD_CODE**2
    low, high = space.min(axis=1).astype(np.int64), space.max(axis=1).astype(np.int64)
    if fill:
        low, high = np.minimum(low, _PAD_CODE), np.maximum(high, _PAD_CODE)
    low = np.where(low == high, 0, low)
    border = ((0, 0), (0, -depth % 32))
    total, squares, low, high = (np.pad(a, border) for a in (total, squares, low, high))
    fixup = np.asarray([fill * _PAD_CODE])
    return _Stats(
        qfloat.subtract(_grouped(qfloat.from_int32(total)), qfloat.from_int32(fixup)),
        qfloat.subtract(
            _grouped(qfloat.from_uint64(squares)), qfloat.from_int32(fixup * _PAD_CODE)
        ),
        _grouped(qfloat.from_int32(low)),
        _grouped(qfloat.from_int32(high)),
    )


def _normalizer(data: Array, stats: _Stats, epsilon: np.float32) -> _Affine:
    """1/deviation as the gain and the mean as the offset; flat and unused channels get 0."""
    area = data.shape[1] * data.shape[2]
    depth = data.shape[3]
    count = qfloat.scalar(F32(area))
    mean = qfloat.multiply(stats.total, qfloat.scalar(F32(F32(1) / F32(area))))
    spread = qfloat.subtract(
        qfloat.multiply(stats.squares, count), qfloat.multiply(stats.total, stats.total)
    )
    threshold = F32(F32(area) * epsilon)
    flat = qfloat.greater(qfloat.scalar(F32(threshold * threshold)), spread)
    unused = np.arange(-(-depth // 32) * 32).reshape(-1, 32) >= depth
    gain = qfloat.multiply(qfloat.inverse_root(spread), count)
    nothing = QFloat(np.zeros_like(gain.m), np.zeros_like(gain.e))
    return _Affine(qfloat.select(flat | unused, nothing, gain), mean)


def _extremes(affine: _Affine, stats: _Stats) -> tuple[QFloat, QFloat]:
    """The results for the minimum and the maximum of each channel."""
    low = qfloat.subtract(qfloat.multiply(stats.smallest, affine.gain), affine.offset)
    high = qfloat.subtract(qfloat.multiply(stats.largest, affine.gain), affine.offset)
    return low, high


def _requantize(data: Array, affine: _Affine, low: QFloat, high: QFloat) -> list[Array]:
    """The output range over all batches and channels, then the values (`renorm_asm`)."""
    out_low = min(F32(9999), F32(qfloat.to_float(low).min()))
    out_high = max(F32(-9999), F32(qfloat.to_float(high).max()))
    if out_high > 0:
        per_unit = F32(int(F32(F32(255) / F32(out_high - out_low))))
    else:
        out_low = out_high = per_unit = F32(0)
    resize = qfloat.scalar(per_unit)
    gain = qfloat.multiply(affine.gain, resize)
    offset = qfloat.add(
        qfloat.multiply(affine.offset, resize), qfloat.scalar(F32(out_low * per_unit))
    )
    codes = _renormalize(_broadcast(data, gain), _broadcast(data, offset))
    batches, depth = data.shape[0], data.shape[3]
    start = np.arange(batches * depth, dtype=np.int32).reshape(batches, 1, 1, depth) * 256
    return [codes.take(start + data), *as_range(out_low, out_high)]


def _broadcast(data: Array, value: QFloat) -> QFloat:
    """(batch, channel), without padding channels."""
    batches, depth = data.shape[0], data.shape[3]
    shape = (batches, *value.m.shape[-2:])
    m, e = (np.broadcast_to(a, shape).reshape(batches, -1)[:, :depth] for a in value)
    return QFloat(m, e)


def _renormalize(gain: QFloat, offset: QFloat) -> Array:
    """The result for each of the 256 values, (batch, channel, value): one fraction bit, rounded."""
    shift = offset.e + 14
    negated = np.where(shift > 15, 0, -_shift16(offset.m, shift))[..., None]
    scaled = mul_frac(gain.m[..., None], np.arange(256, dtype=np.int64) * -128)
    moved = _shift16(scaled, np.minimum(gain.e + 6, 15)[..., None])
    return satu8((wrap16(negated - moved) + 1) >> 1)


def _shift16(value: Int, amount: Int) -> Int:
    """`vasr` of halfwords by halfwords: the amount has five bits and a sign."""
    amount = ((amount + 16) & 31) - 16
    left = wrap16(value << np.maximum(-amount, 0))
    return np.where(amount < 0, left, value >> np.maximum(amount, 0))
