"""Rules of shapes, constants and attributes, which no run changes."""

from __future__ import annotations

from collections.abc import Sequence

from hexconv.nnlib.constraints.registry import constraint
from hexconv.nnlib.depthwise_code import ignores, too_tall
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import SINGLE
from hexconv.nnlib.shapes import window
from hexconv.nnlib.site import NodeSite

WIDEST_KERNEL = 31
"""Columns of a kernel: from 32 on the v60 library returns wrong values. Rows are unlimited."""

DEEPEST_CONVOLUTION = 32736
"""Channels of a convolution's data, a multiple of 32 in 16 bits: more crash the library."""

MOST_PRODUCTS = 2**17
"""Of one output of a convolution: with more, the sum of their weights' codes, of 7 bits each, is no
float32, and how the library rounds it is not known."""

WIDEST_BATCH_NORM = 32764
"""Columns, a multiple of 4 in 16 bits: in wider data QuantizedBatchNorm is wrong in every value."""

KEPT_COLUMNS = 4
"""Pixels of padding that the library keeps to the left of each row (op_maxpool_d32.c)."""


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


@constraint
def narrow_matmul(site: NodeSite) -> bool:
    b = site.shape("b")
    return b is not None and b[2] <= 16 and b[3] > 32


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


@constraint
def divisor(site: NodeSite) -> bool:
    a, b = site.shape("a"), site.shape("b")
    return a is not None and b not in ((1, 1, 1, 1), (1, 1, 1, a[3]))


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


def reduced_axes(site: NodeSite) -> set[int]:
    """The axes that a mean is taken over; none where they are not known."""
    axes = site.const("axes")
    return set() if axes is None else {int(axis) % 4 for axis in axes.flat}


@constraint
def mean_batches(site: NodeSite) -> bool:
    data = site.shape("data")
    both = reduced_axes(site) == {1, 2}
    return data is not None and both and data[0] > 1 and data[3] % 32 != 0


def misrepeats(depth: int, times: int) -> bool:
    """Whether QuantizedTile_8 mixes up codes: its copies of 2, 4 and 8 bytes go wrong.

    Of a depth of 1 that becomes 65 to 127 the last elements may stay unwritten, by chance.
    """
    if depth == 1:
        return 64 < times < 128
    return depth in (2, 4, 8) and times & (times - 1) != 0


@constraint
def tile_depth(site: NodeSite) -> bool:
    data, times = site.shape("data"), site.const("multiples")
    return data is not None and times is not None and misrepeats(data[3], int(times.flat[-1]))


@constraint
def single_zero(site: NodeSite) -> bool:
    # op_compare_8.c; of two single numbers the first one is read as one (broadcast.c)
    role = "a" if site.shape("a") == SINGLE else "b"
    if site.shape(role) != SINGLE or site.range("a_") != site.range("b_"):
        return False
    number = site.const(role)
    return number is None or not number.any()


@constraint
def argmax_bytes(site: NodeSite) -> bool:
    data, axis = site.shape("data"), site.const("axis")
    return data is not None and axis is not None and data[int(axis.flat[0]) % 4] > 256


@constraint
def mirror_reach(site: NodeSite) -> bool:
    data, pads = site.shape("data"), site.const("pads")
    if data is None or pads is None:
        return False
    edge = 1 if site.node.padding is Padding.MIRROR_REFLECT else 0
    pairs = pads.reshape(-1, 2).tolist()
    return any(max(pair) > size - edge for pair, size in zip(pairs, data, strict=False))
