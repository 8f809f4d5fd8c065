"""Rules of ranges, which prepare and a run change."""

from __future__ import annotations

from math import inf, isfinite, log, prod

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.constraints.registry import range_constraint
from hexconv.nnlib.constraints.structure import reduced_axes
from hexconv.nnlib.offsets import difference_fits, product_fits
from hexconv.nnlib.site import NodeSite

WIDEST_SOFTMAX = 128 * 255 * log(2)
"""Range times beta of what a softmax reads, from which on the library fails: 22,624."""


@range_constraint
def prelu_gain(site: NodeSite) -> bool:
    known, slopes, out = site.range(), site.range("alpha_"), site.range("out_")
    if known is None or slopes is None or out is None or out[0] >= out[1]:
        return False
    gain = (known[1] - known[0]) / (out[1] - out[0])
    return gain >= 2**23 or gain * (slopes[1] - slopes[0]) / 255 >= 2**15


@range_constraint
def prelu_alpha(site: NodeSite) -> bool:
    alpha, known = site.const("alpha"), site.range()
    if alpha is None:
        return False
    steep = bool((np.abs(alpha) >= 128).any())
    if known is None or known[0] >= known[1]:
        return steep
    # op_prelu_d32.c, set_scaling: the input's range beside the one that is derived, under 2^7.
    least, most = min(0.0, float(alpha.min())), max(0.0, float(alpha.max()))
    width = max(known[1], known[0] * least) - known[0] * most
    return steep or (known[1] - known[0]) * max(1.0, most, -least) >= 128 * width


@range_constraint
def matmul16_range(site: NodeSite) -> bool:
    a, b, out = site.range("a_"), site.range("b_"), site.range("out_")
    if a is None or b is None or out is None:
        return False
    product = (a[1] - a[0]) / 255 * (b[1] - b[0]) / 255
    step = (out[1] - out[0]) / 65536
    return not isfinite(step) or product > step * (1 + 2**-16)


@range_constraint
def product_scale(site: NodeSite) -> bool:
    known = _binary(site)
    if known is None:
        return False
    (one, other, out), zeros = known
    return not product_fits(zeros[:2], one * other / out, zeros[2])


def _binary(site: NodeSite) -> tuple[tuple[float, ...], tuple[int, ...]] | None:
    """Steps and zero points of both operands and of the result; None where one is not known."""
    ranges = [site.range(prefix) for prefix in ("a_", "b_", "out_")]
    known = [each for each in ranges if each is not None and each[0] < each[1]]
    if len(known) < len(ranges):
        return None
    steps = tuple((high - low) / 255 for low, high in known)
    return steps, tuple(round(-low / step) for (low, _), step in zip(known, steps, strict=True))


@range_constraint
def sum_scale(site: NodeSite) -> bool:
    # op_add_d32.c, set_addsub_scaling_for_output_range: the factors' sum has 12 bits
    ratios = _ratios(site)
    total = sum(ratios) if site.spec.name.startswith("QuantizedAdd") else max(ratios, default=0.0)
    return total * (16384 / 16380) >= 2**12


@range_constraint
def difference_offset(site: NodeSite) -> bool:
    known = _binary(site)
    if known is None:
        return False
    (*steps, out), zeros = known
    return not difference_fits(zeros[:2], [step / out for step in steps], zeros[2])


@range_constraint
def move_scale(site: NodeSite) -> bool:
    # op_minimum_maximum.c: 12 fractional bits of 16
    return max(_ratios(site), default=0.0) >= 16


def _ratios(site: NodeSite) -> list[float]:
    """The steps of both operands beside the result's, as far as they are known."""
    out = site.range("out_")
    if out is None or out[0] >= out[1]:
        return []
    operands = [site.range(prefix) for prefix in ("a_", "b_")]
    return [(known[1] - known[0]) / (out[1] - out[0]) for known in operands if known is not None]


@range_constraint
def requantize_gain(site: NodeSite) -> bool:
    # op_requantize.c: the factor has 15 bits before its point
    known, out = site.range(), site.range("out_")
    if known is None or out is None or out[0] >= out[1]:
        return False
    return (known[1] - known[0]) / (out[1] - out[0]) >= 2**15


@range_constraint
def bias_fits(site: NodeSite) -> bool:
    # supernode_utils.h, fill_bias_buf: the bias less the range's minimum, in accumulator steps
    steps, weights = _product_step(site, "w_"), site.shape("weights")
    offsets = _offsets(site)
    if steps is None or weights is None or not np.isfinite(offsets).all():
        return False
    outputs = site.node.outputs[0].shape[3]
    scales = site.const("channel_scale")
    if scales is not None and scales.size in (1, offsets.size):
        offsets = offsets / scales.reshape(-1)
    elif scales is not None:
        offsets = offsets / float(scales.min())
    room = 2**31 - float(offsets.max(initial=0.0)) / steps
    most = 255 * 128 * (prod(weights) // max(outputs, 1))
    return most >= room and _products(site, most) >= room


def _products(site: NodeSite, most: int) -> int:
    """What any data and the weights of one output channel add up to, in codes: at most `most`."""
    weights, limits = site.const("weights"), site.range("w_")
    if weights is None or limits is None or weights.dtype != np.uint8:
        return most
    axes = (1, 2, 3) if site.node.op.startswith("QuantizedTranspose") else (0, 1, 2)
    codes = weights.astype(np.int16) - round(-255 * limits[0] / (limits[1] - limits[0]))
    return 255 * int(np.abs(codes).sum(axis=axes, dtype=np.int64).max(initial=0))


@range_constraint
def offset_fits(site: NodeSite) -> bool:
    # op_batchnorm_d32.c: scales are multiplied by 128, the offset is added in 32 bits
    step, out = _product_step(site, "scale_"), site.range("out_")
    if step is None or out is None or not (out[0] < out[1] and all(map(isfinite, out))):
        return False
    unit = step / 128
    ratio = 255 * unit / (out[1] - out[0]) * 1.00001831
    offset = float(_offsets(site).max(initial=0.0))
    return offset / unit + 2**22 >= 2**31 or not 2.0**-29 <= ratio < 0.5


def _product_step(site: NodeSite, prefix: str) -> float | None:
    """The step of the data times that of its factor; None where one is not known, or empty."""
    data, factor = site.range(), site.range(prefix)
    if data is None or factor is None or data[0] >= data[1] or factor[0] >= factor[1]:
        return None
    return (data[1] - data[0]) / 255 * (factor[1] - factor[0]) / 255


def _offsets(site: NodeSite) -> Array:
    """Each channel's bias without its sign, and the minimum of the requested range."""
    bias, known, out = site.const("bias"), site.range("bias_"), site.range("out_")
    if bias is None or known is None or out is None or bias.dtype != np.int32:
        return np.zeros(0)
    real = bias.reshape(-1).astype(np.float64) * ((known[1] - known[0]) * 2.0**-32)
    return np.asarray(np.abs(real) + abs(out[0]))


@range_constraint
def no_zero_code(site: NodeSite) -> bool:
    codes, known = site.const("b"), site.range("b_")
    if codes is None or known is None or known[0] >= known[1]:
        return False
    step = (known[1] - known[0]) / 255
    return bool((np.abs(known[0] + codes.astype(np.float64) * step) < step * 1e-4).any())


@range_constraint
def softmax_beta(site: NodeSite) -> bool:
    # op_softmax_d32.c, set_scaling_parms
    known, beta = site.range(), 1.0
    if site.position("beta") is not None:
        beta = site.scalar("beta") or 0.0
    return known is not None and (known[1] - known[0]) * beta >= WIDEST_SOFTMAX


@range_constraint
def range_from_zero(site: NodeSite) -> bool:
    low = site.scalar("min")
    return low is not None and low != 0.0


@range_constraint
def recip_range(site: NodeSite) -> bool:
    known = site.range()
    return known is not None and (known[0] > 0.0 or known[0] < 0.0 < known[1])


@range_constraint
def mean_scale(site: NodeSite) -> bool:
    data, known, out = site.shape("data"), site.range(), site.range("out_")
    if data is None or known is None or out is None or out[1] <= out[0]:
        return False
    count = 1
    for axis in reduced_axes(site):
        count *= data[axis]
    return (known[1] - known[0]) / ((out[1] - out[0]) * count) > 1.0


@range_constraint
def pad_value(site: NodeSite) -> bool:
    known = site.range()
    value = 0.0 if site.position("value") is None else site.scalar("value")
    if known is None or value is None or value in (inf, -inf) or known[0] >= known[1]:
        return False
    return not -2.5 <= 255 * (value - known[0]) / (known[1] - known[0]) < 257.5


@range_constraint
def finite_range(site: NodeSite) -> bool:
    out = site.range("out_")
    return out is not None and not all(map(isfinite, out))


@range_constraint
def holds_zero(site: NodeSite) -> bool:
    out = site.range("out_")
    return out is not None and not out[0] <= 0.0 <= out[1]


@range_constraint
def exact_zero(site: NodeSite) -> bool:
    out = site.range("out_")
    if out is None or not all(map(isfinite, out)):
        return False
    low, high = map(np.float32, out)
    if not low <= 0 <= high or low == high:
        return True
    zero = float(-low * np.float32(255) / (high - low))
    return abs(zero - round(zero)) > 2e-5
