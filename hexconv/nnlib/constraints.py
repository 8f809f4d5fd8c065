"""Constraints of the library: what it crashes on, fails at run time, or computes incorrectly.

Each rule is named in op_tables/nnlib, which also says why and where it was measured. A rule
returns whether a node violates it; ranges and values known only at run time are not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite, log

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.depthwise_code import ignores, too_tall
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.offsets import difference_fits, product_fits
from hexconv.nnlib.shapes import window
from hexconv.nnlib.site import NodeSite
from hexconv.registry import Registry

Constraint = Callable[[NodeSite], bool]
CONSTRAINTS: Registry[Constraint] = Registry("constraint")

WIDEST_KERNEL = 31
"""Columns of a kernel: from 32 on the v60 library returns wrong values. Rows are unlimited."""

KEPT_COLUMNS = 4
"""Pixels of padding that the library keeps to the left of each row (op_maxpool_d32.c)."""

WIDEST_SOFTMAX = 128 * 255 * log(2)
"""Range times beta of what a softmax reads, from which on the library fails: 22,624."""


def constraint(function: Constraint) -> Constraint:
    """Register a rule under its own name."""
    CONSTRAINTS.add(function.__name__, function)
    return function


RANGE_CONSTRAINTS: set[str] = set()
"""Rules that look at ranges: prepare, or a run, may break them."""


def range_constraint(function: Constraint) -> Constraint:
    """Register a rule that looks at ranges."""
    RANGE_CONSTRAINTS.add(function.__name__)
    return constraint(function)


@constraint
def channel_scales(site: NodeSite) -> bool:
    scales = site.const("channel_scale")
    return scales is not None and not bool(((scales > 1 / 2048) & (scales <= 1)).all())


@constraint
def tall_depthwise(site: NodeSite) -> bool:
    weights = site.shape("weights")
    return weights is not None and too_tall(weights[0], weights[1])


@constraint
def pool_columns(site: NodeSite) -> bool:
    # op_maxpool_d32.c; to the right of a row is what fills up 4 pixels, then the next row's left
    data, kernel, stride = (site.shape(role) for role in ("data", "window", "stride"))
    if data is None or kernel is None or stride is None or site.node.padding is Padding.VALID:
        return False
    count = -(-data[2] // stride[2])
    total = max((count - 1) * stride[2] + kernel[2] - data[2], 0)
    before = (total + (site.node.padding is Padding.SAME_CAFFE)) // 2
    return count > 1 and (before > KEPT_COLUMNS or total - before > KEPT_COLUMNS + -data[2] % 4)


@constraint
def slice_batches(site: NodeSite) -> bool:
    data = site.shape("data")
    return data is not None and mislays_batches(data, site.node.outputs[0].shape)


def mislays_batches(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Whether a slice of several batches writes them to wrong places.

    op_slice.c: the distance of two batches is that of two rows times the width, not the height. It
    counts where H, W and D are all cut; otherwise two axes are one range of memory.
    """
    cut = all(part < whole for part, whole in zip(size[1:], shape[1:], strict=True))
    return cut and size[0] > 1 and size[1] != size[2]


@constraint
def repeated_scales(site: NodeSite) -> bool:
    scales = site.const("channel_scale")
    weights, stride = site.shape("weights"), site.shape("stride")
    if scales is None or weights is None or stride is None:
        return False
    return ignores(scales, weights[1], stride[2])


@constraint
def groups(site: NodeSite) -> bool:
    count, data, weights = site.const("groups"), site.shape("data"), site.shape("weights")
    if count is None or data is None or weights is None:
        return False
    n = int(count.flat[0])
    return n < 1 or data[3] % n != 0 or weights[3] % n != 0 or weights[2] * n != data[3]


@constraint
def transposed_groups(site: NodeSite) -> bool:
    count, data, weights = site.const("groups"), site.shape("data"), site.shape("weights")
    n = 1 if count is None else int(count.flat[0])
    if data is None or weights is None:
        return False
    return n < 1 or data[3] % n != 0 or weights[3] not in (data[3] // n, data[3])


@constraint
def wide_phases(site: NodeSite) -> bool:
    weights, stride = site.shape("weights"), site.shape("stride")
    if weights is None or stride is None:
        return False
    return -(-weights[2] // stride[2]) > WIDEST_KERNEL


@constraint
def per_depth_scale(site: NodeSite) -> bool:
    data = site.shape("data")
    parts = (site.shape("scale"), site.shape("bias"))
    return data is not None and any(p not in ((1, 1, 1, 1), (1, 1, 1, data[3])) for p in parts)


@constraint
def prelu_depth(site: NodeSite) -> bool:
    data = site.shape("data")
    return data is not None and site.shape("alpha") not in ((1, 1, 1, 1), (1, 1, 1, data[3]))


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


@constraint
def narrow_matmul(site: NodeSite) -> bool:
    b = site.shape("b")
    return b is not None and b[2] <= 16 and b[3] > 32


@range_constraint
def matmul16_range(site: NodeSite) -> bool:
    a, b, out = site.range("a_"), site.range("b_"), site.range("out_")
    if a is None or b is None or out is None:
        return False
    product = (a[1] - a[0]) / 255 * (b[1] - b[0]) / 255
    step = (out[1] - out[0]) / 65536
    return not isfinite(step) or product > step * (1 + 2**-16)


@constraint
def one_sided_broadcast(site: NodeSite) -> bool:
    a, b = site.shape("a"), site.shape("b")
    if a is None or b is None:
        return False
    result = tuple(map(max, a, b))
    return result not in (a, b)


@constraint
def one_sided_product(site: NodeSite) -> bool:
    return len(site.shapes) == 8 and one_sided_broadcast(site)


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
    products = 255 * 128 * (weights[0] * weights[1] * weights[2] * weights[3] // max(outputs, 1))
    scales = site.const("channel_scale")
    if scales is not None and scales.size in (1, offsets.size):
        offsets = offsets / scales.reshape(-1)
    elif scales is not None:
        offsets = offsets / float(scales.min())
    return float(offsets.max(initial=0.0)) / steps + products >= 2**31


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


@constraint
def divisor(site: NodeSite) -> bool:
    a, b = site.shape("a"), site.shape("b")
    return a is not None and b not in ((1, 1, 1, 1), (1, 1, 1, a[3]))


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


@constraint
def unused_rows(site: NodeSite) -> bool:
    data, size, stride = site.shape("data"), site.shape("window"), site.shape("stride")
    if data is None or size is None or stride is None or site.node.padding is not Padding.VALID:
        return False
    for axis in (1, 2):
        count = window(data[axis], size[axis], stride[axis], Padding.VALID)
        if data[axis] - (count - 1) * stride[axis] - size[axis] >= 2:
            return True
    return False


def _axes(site: NodeSite) -> set[int]:
    axes = site.const("axes")
    return set() if axes is None else {int(axis) % 4 for axis in axes.flat}


@constraint
def mean_batches(site: NodeSite) -> bool:
    data = site.shape("data")
    both = _axes(site) == {1, 2}
    return data is not None and both and data[0] > 1 and data[3] % 32 != 0


@range_constraint
def mean_scale(site: NodeSite) -> bool:
    data, known, out = site.shape("data"), site.range(), site.range("out_")
    if data is None or known is None or out is None or out[1] <= out[0]:
        return False
    count = 1
    for axis in _axes(site):
        count *= data[axis]
    return (known[1] - known[0]) / ((out[1] - out[0]) * count) > 1.0


def misrepeats(depth: int, times: int) -> bool:
    """Whether QuantizedTile_8 mixes up codes: its copies of 2, 4 and 8 bytes go wrong.

    Of a depth of 1 that becomes 100 to 102 the last 4 to 6 elements may stay unwritten.
    """
    if depth == 1:
        return 96 < times < 128
    return depth in (2, 4, 8) and times & (times - 1) != 0


@constraint
def tile_depth(site: NodeSite) -> bool:
    data, times = site.shape("data"), site.const("multiples")
    return data is not None and times is not None and misrepeats(data[3], int(times.flat[-1]))


@constraint
def argmax_bytes(site: NodeSite) -> bool:
    data, axis = site.shape("data"), site.const("axis")
    return data is not None and axis is not None and data[int(axis.flat[0]) % 4] > 256


@range_constraint
def pad_value(site: NodeSite) -> bool:
    known = site.range()
    value = 0.0 if site.position("value") is None else site.scalar("value")
    if known is None or value is None or value in (inf, -inf) or known[0] >= known[1]:
        return False
    return not -2.5 <= 255 * (value - known[0]) / (known[1] - known[0]) < 257.5


@constraint
def mirror_reach(site: NodeSite) -> bool:
    data, pads = site.shape("data"), site.const("pads")
    if data is None or pads is None:
        return False
    edge = 1 if site.node.padding is Padding.MIRROR_REFLECT else 0
    pairs = pads.reshape(-1, 2).tolist()
    return any(max(pair) > size - edge for pair, size in zip(pairs, data, strict=False))


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
