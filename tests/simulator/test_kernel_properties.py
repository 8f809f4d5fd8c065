"""What the kernels compute, against straightforward definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hexconv.errors import GraphError
from tests.simulator.kernel_calls import SAME, VALID, ints, rows, run, scalar, shape_only

FEW = settings(max_examples=40, deadline=None)
STEP_OF_PADDED_MEAN = 1.0  # two roundings: the border's continuation, and the scaling


def codes(max_side=7, max_depth=40):
    side = st.integers(1, max_side)
    shapes = st.tuples(st.integers(1, 2), side, side, st.integers(1, max_depth))
    return shapes.flatmap(lambda shape: hnp.arrays(np.uint8, shape))


def spans():
    lows = st.floats(-50, 0, width=32)
    return st.tuples(lows, st.floats(0.25, 50, width=32))


def real(codes_, low, high):
    low, high = np.float64(np.float32(low)), np.float64(np.float32(high))
    return low + codes_.astype(np.float64) * (high - low) / 255


@FEW
@given(spans())
def test_tanh_and_sigmoid_are_within_one_lsb_of_exact(value_range):
    data = np.arange(256, dtype=np.uint8).reshape(1, 1, 1, 256)
    low, high = value_range
    # The library needs an integer zero point: start from a range that has one.
    zero = round(-low * 255 / (high - low))
    step = (high - low) / 255
    low, high = -zero * step, (255 - zero) * step
    x = real(data, low, high)
    for op, exact in (
        ("QuantizedTanh_8", np.tanh(x)),
        ("QuantizedSigmoid_8", 1 / (1 + np.exp(-x))),
    ):
        got, out_low, out_high = run(op, data, scalar(low), scalar(high))
        out_step = (out_high.item() - out_low.item()) / 255
        assert np.abs(real(got, out_low.item(), out_high.item()) - exact).max() <= 1.01 * out_step


@FEW
@given(codes(3, 90), st.floats(0.5, 20, width=32), st.sampled_from(["v60", "v66"]))
def test_softmax_is_within_one_lsb_of_exact(data, value_range, library):
    x = real(data, -value_range, value_range)
    exact = np.exp(x - x.max(axis=3, keepdims=True))
    exact /= exact.sum(axis=3, keepdims=True)
    for op in ("QuantizedSoftmax_8", "QuantizedSoftmax_8_d32"):
        got, low, high = run(op, data, scalar(-value_range), scalar(value_range), library=library)
        assert (low.item(), high.item()) == (0, 1)
        assert np.abs(got / 255 - exact).max() <= 1.01 / 255


def test_softmax_of_a_long_row_is_within_one_lsb_of_exact():
    data = np.random.default_rng(0).integers(0, 256, (1, 1, 4, 1500), dtype=np.uint8)
    x = real(data, -8, 8)
    exact = np.exp(x - x.max(axis=3, keepdims=True))
    exact /= exact.sum(axis=3, keepdims=True)
    got = run("QuantizedSoftmax_8", data, scalar(-8), scalar(8))[0]
    assert np.abs(got / 255 - exact).max() <= 1.01 / 255


def test_softmax_rejects_a_range_that_its_fixed_point_cannot_hold():
    data = np.zeros((1, 1, 1, 4), np.uint8)
    with pytest.raises(GraphError, match="too large"):
        run("QuantizedSoftmax_8", data, scalar(-30000), scalar(30000), scalar(2))


windows = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


def window_cells(size, window, stride, padding):
    """First and last sample of each window, those outside cut off."""
    if padding == VALID:
        starts = [i * stride for i in range((size - window) // stride + 1)]
    else:
        out = -(-size // stride)
        before = max(0, (out - 1) * stride + window - size) // 2
        starts = [i * stride - before for i in range(out)]
    return [(max(0, s), min(size, s + window)) for s in starts]


@FEW
@given(codes(8, 5), windows, st.sampled_from([SAME, VALID]))
def test_pools_are_the_largest_and_the_mean_of_each_window(data, window, padding):
    high, wide, down, across = window
    if padding == VALID:
        high, wide = min(high, data.shape[1]), min(wide, data.shape[2])
    cells = [
        (y, x)
        for y in window_cells(data.shape[1], high, down, padding)
        for x in window_cells(data.shape[2], wide, across, padding)
    ]
    if any(y0 >= y1 or x0 >= x1 for (y0, y1), (x0, x1) in cells):
        return  # a stride beyond the window leaves the tensor
    parts = [data[:, y0:y1, x0:x1] for (y0, y1), (x0, x1) in cells]
    consts = (scalar(-1), scalar(1), shape_only(high, wide), shape_only(down, across))
    largest = run("QuantizedMaxPool_8_d32", data, *consts, padding=padding)[0]
    exact = np.stack([part.max(axis=(1, 2)) for part in parts], axis=1)
    np.testing.assert_array_equal(largest.reshape(exact.shape), exact)
    got, low, top = run("QuantizedAvgPool_8_d32", data, *consts, padding=padding)
    mean = np.stack([real(part, -1, 1).mean(axis=(1, 2)) for part in parts], axis=1)
    step = (top.item() - low.item()) / 255
    error = np.abs(real(got, low.item(), top.item()).reshape(mean.shape) - mean)
    assert error.max() <= STEP_OF_PADDED_MEAN * step + 1e-6


def test_l2_pool_rejects_unused_rows():
    data = np.zeros((1, 5, 5, 4), np.uint8)
    consts = (scalar(0), scalar(1), shape_only(3, 3), shape_only(3, 3))
    with pytest.raises(GraphError, match="unused"):
        run("QuantizedL2Pool_8", data, *consts, padding=VALID)


@FEW
@given(codes(4, 33), codes(4, 33), spans(), spans(), st.integers(0, 3))
def test_concat_brings_every_input_to_the_union_within_one_lsb(a, b, first, second, axis):
    shape = list(a.shape)
    shape[axis] = b.shape[axis]
    b = np.resize(b, shape)
    inputs = [scalar(v) for v in (first[0], second[0], first[1], second[1])]
    got, low, high = run("QuantizedConcat_8_d32", ints(axis), a, b, *inputs)
    exact = np.concatenate([real(a, *first), real(b, *second)], axis=axis)
    low, high = low.item(), high.item()
    assert low <= min(first[0], second[0]) + 1e-4
    assert high >= max(first[1], second[1]) - 1e-4
    assert np.abs(real(got, low, high) - exact).max() <= 1.3 * (high - low) / 255


def test_a_flat_concat_joins_depth_and_takes_zero_in():
    a = np.full((1, 1, 2, 3), 255, np.uint8)
    got, low, high = run(
        "QuantizedConcat_8", ints(3), a, a, scalar(0.5), scalar(0.5), scalar(2), scalar(1)
    )
    assert (low.item(), high.item()) == (0, 2)
    np.testing.assert_array_equal(got[0, 0, 0], [255] * 3 + [128] * 3)


@FEW
@given(codes(4, 12), st.integers(1, 3), st.integers(-4, 3))
def test_split_gives_back_what_concat_joined(data, count, axis):
    whole = np.concatenate([data] * count, axis=axis)
    *parts, low, high = run(
        "QuantizedSplit_8", ints(axis), whole, scalar(-1), scalar(1), outputs=count + 2
    )
    assert (low.item(), high.item(), len(parts)) == (-1, 1, count)
    for part in parts:
        np.testing.assert_array_equal(part, data)


def test_an_uneven_split_is_rejected():
    data = np.zeros((1, 1, 1, 5), np.uint8)
    with pytest.raises(GraphError, match="uneven split"):
        run("QuantizedSplit_8", ints(3), data, scalar(0), scalar(1), outputs=4)


@FEW
@given(codes(6, 12), st.data())
def test_slices_are_numpy_slices(data, draw):
    begins = [draw.draw(st.integers(0, size - 1)) for size in data.shape]
    sizes = [draw.draw(st.integers(1, s - b)) for s, b in zip(data.shape, begins, strict=True)]
    steps = [draw.draw(st.sampled_from([1, 2, 3])) for _ in range(4)]
    ends = [b + s for b, s in zip(begins, sizes, strict=True)]
    bounds = (scalar(0), scalar(1))
    got = run("QuantizedSlice_8", data, ints(*begins), ints(*sizes), *bounds)[0]
    wanted = tuple(slice(b, e) for b, e in zip(begins, ends, strict=True))
    np.testing.assert_array_equal(got, data[wanted])
    masks = (ints(0), ints(0), ints(0))
    got = run(
        "QuantizedStridedSlice_8", data, ints(*begins), ints(*ends), ints(*steps), *masks, *bounds
    )
    wanted = tuple(slice(*bes) for bes in zip(begins, ends, steps, strict=True))
    np.testing.assert_array_equal(got[0], data[wanted])


def test_a_reverse_slice_to_the_start_needs_the_end_mask():
    data = np.arange(5, dtype=np.uint8).reshape(1, 1, 1, 5)
    ends = (ints(4), ints(-1), ints(-1))
    bounds = (scalar(0), scalar(1))
    with pytest.raises(GraphError, match="is empty"):
        run("QuantizedStridedSlice_8", data, *ends, ints(0), ints(0), ints(0), *bounds)
    got = run("QuantizedStridedSlice_8", data, *ends, ints(0), ints(8), ints(0), *bounds)[0]
    np.testing.assert_array_equal(got.reshape(-1), [4, 3, 2, 1, 0])


@FEW
@given(codes(4, 6), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_pads_count_from_the_last_axis_and_are_the_zero_point(data, pads):
    got = run("QuantizedPad_8", data, scalar(-1), scalar(3), rows(*pads))[0]
    border = ((0, 0), (0, 0), pads[:2], pads[2:])
    np.testing.assert_array_equal(got, np.pad(data, border, constant_values=64))


def test_a_pad_value_far_outside_the_range_is_rejected():
    data = np.zeros((1, 1, 1, 2), np.uint8)
    with pytest.raises(GraphError, match="pad value"):
        run("QuantizedPad_8", data, scalar(0), scalar(1), rows(1, 1), scalar(2))
    got = run("QuantizedPad_8", data, scalar(0), scalar(1), rows(0, 1), scalar(np.inf))[0]
    assert got.reshape(-1).tolist() == [0, 0, 255]


@FEW
@given(codes(4, 6), st.permutations(range(4)))
def test_transposes_undo_each_other(data, order):
    bounds = (scalar(0), scalar(1))
    there = run("Transpose_8", data, ints(*order), *bounds)[0]
    np.testing.assert_array_equal(there, data.transpose(order))
    back = run("Transpose_8", there, ints(*np.argsort(order)), *bounds)[0]
    np.testing.assert_array_equal(back, data)


def test_a_short_permutation_moves_the_last_axes():
    data = np.arange(24, dtype=np.int32).reshape(2, 3, 2, 2)
    got = run("Transpose_int32", data, ints(1, 0))[0]
    np.testing.assert_array_equal(got, data.transpose(0, 1, 3, 2))


@FEW
@given(codes(4, 6), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_space_moves_undo_each_other(data, block_h, block_w, extra):
    bounds = (scalar(-1), scalar(1))
    bottom, right = -data.shape[1] % block_h, -data.shape[2] % block_w
    top = extra * block_h
    edges = rows(top, bottom, 0, right)
    batches = run("SpaceToBatchND_8", data, ints(block_h, block_w), edges, *bounds)[0]
    assert batches.shape[0] == data.shape[0] * block_h * block_w
    back = run("BatchToSpaceND_8", batches, ints(block_h, block_w), edges, *bounds)[0]
    np.testing.assert_array_equal(back, data)
    whole = np.tile(data, (1, block_h, block_w, 1))
    deep = run("SpaceToDepth_8", whole, ints(block_h, block_w), *bounds)[0]
    back = run("DepthToSpace_8", deep, ints(block_h, block_w), *bounds)[0]
    np.testing.assert_array_equal(back, whole)


@FEW
@given(codes(6, 4), st.integers(1, 14), st.integers(1, 14), st.booleans())
def test_resizes_stay_near_their_definitions(data, height, width, align):
    _, rows_, columns, _ = data.shape
    inputs = (data, ints(height, width), scalar(0), scalar(1), ints(int(align)))
    y = np.arange(height) * _scale(rows_, height, align)
    x = np.arange(width) * _scale(columns, width, align)
    top, left = (
        np.minimum(np.floor(p + 1e-9).astype(int), s - 1) for p, s in ((y, rows_), (x, columns))
    )
    below, right = np.minimum(top + 1, rows_ - 1), np.minimum(left + 1, columns - 1)
    down = np.clip(y - top, 0, 1)[:, None, None] * (top < rows_ - 1)[:, None, None]
    across = np.clip(x - left, 0, 1)[:, None] * (left < columns - 1)[:, None]
    wide = data.astype(float)
    first = wide[:, top] * (1 - down) + wide[:, below] * down
    exact = first[:, :, left] * (1 - across) + first[:, :, right] * across
    got = run("QuantizedResizeBilinear_8_d32", *inputs)[0]
    # 7 bits of the row's position, and cut means when doubling.
    assert np.abs(got - exact).max() <= 2.1
    got = run("ResizeNearestNeighbor_8", *inputs)[0]
    assert got.shape == exact.shape
    assert set(np.unique(got)) <= set(np.unique(data))


def _scale(size, new_size, align):
    return (size - 1) / (new_size - 1) if align and new_size > 1 else size / new_size


@FEW
@given(codes(5, 40), st.integers(-4, 3))
def test_argmax_takes_the_first_of_equals(data, axis):
    bounds = (scalar(0), scalar(1))
    exact = np.argmax(data, axis=axis, keepdims=True)
    for op in ("ArgMax_8", "ArgMax_8toInt32", "ArgMax_8_d32"):
        np.testing.assert_array_equal(run(op, data, ints(axis), *bounds)[0], exact)


def test_an_argmax_that_would_hang_the_dsp_is_rejected():
    with pytest.raises(GraphError, match="ArgMax_8toInt32"):
        run("ArgMax_8", np.zeros((1, 1, 1, 256), np.uint8), ints(3), scalar(0), scalar(1))


@FEW
@given(codes(4, 20), st.integers(1, 3))
def test_l2_normalize_is_near_its_definition_and_rejects_zeros(data, axis):
    centered = data.astype(float) - 100
    norm = np.sqrt((centered**2).sum(axis=axis, keepdims=True))
    inputs = (data, scalar(-100), scalar(155), ints(axis))
    if not norm.all():
        with pytest.raises(GraphError, match="zeros"):
            run("L2Normalize_8", *inputs)
        return
    got = run("L2Normalize_8", *inputs)[0].astype(float) - 128
    exact = centered / norm * 128
    # A norm in [2**k, 2**k + 1) has a fraction that overflows along depth; its sign turns.
    whole = np.floor(norm)
    fits = (axis != 3) | (np.log2(whole) % 1 != 0)
    slack = 2.5 + 128 / np.maximum(whole, 1) if axis == 3 else np.full_like(norm, 2.5)
    slack = slack + (64 * whole / 32768 * 2 if axis == 3 else 0)
    error = np.abs(got - np.clip(exact, -128, 127))
    assert (error <= slack)[np.broadcast_to(fits, error.shape)].all()


@pytest.mark.parametrize("shape", [(1, 8, 8, 32), (2, 5, 7, 40), (1, 1, 50, 3)])
def test_instance_norm_is_near_its_definition(shape):
    data = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    wide = data.astype(float)
    exact = (wide - wide.mean(axis=(1, 2), keepdims=True)) / wide.std(axis=(1, 2), keepdims=True)
    got, low, high = run("QuantizedInstanceNorm_8_d32", data, scalar(-1), scalar(1))
    step = (high.item() - low.item()) / 255
    # The gain to the output is truncated to an integer, 2% of the range at worst here.
    assert np.abs(real(got, low.item(), high.item()) - exact).max() <= 7 * step
    ones, zeros = (np.full((1, 1, 1, shape[3]), v, np.uint8) for v in (255, 0))
    gamma, beta = (ones, scalar(0), scalar(1)), (zeros, scalar(0), scalar(1))
    same = run(
        "QuantizedInstanceNormBG_8_d32", data, scalar(-1), scalar(1), scalar(1e-5), *gamma, *beta
    )
    assert np.abs(same[0].astype(int) - got).max() <= 2


def test_lrn_is_near_its_definition():
    data = np.random.default_rng(1).integers(0, 256, (1, 3, 4, 40), dtype=np.uint8)
    window, bias, alpha, beta = 5, 1.0, 0.01, 0.75
    x = real(data, -4, 6)
    squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (2, 2)))
    total = sum(squares[..., i : i + 40] for i in range(window))
    exact = x / (bias + alpha / window * total) ** beta
    inputs = (
        np.full((1, 1, 1, window), window, np.float32),
        scalar(bias),
        scalar(alpha),
        scalar(beta),
    )
    got, low, high = run("QuantizedLRN_8_d32", data, scalar(-4), scalar(6), *inputs)
    step = (high.item() - low.item()) / 255
    assert np.abs(real(got, low.item(), high.item()) - exact).max() <= 2 * step
