"""Convolution kernels against a plain definition, and what they reject."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator.kernels import conv, depthwise
from hexconv.simulator.numerics import requantize_gain
from hexconv.simulator.numerics.conv_weights import pack, squeeze_steps, squeezed
from hexconv.simulator.registry import KERNELS, KernelCall

SUPERNODE = "Supernode_8x8p32to8_d32"
INPUT = "InputSupernode_8x8p32to8_outd32"
DEPTHWISE = "DepthwiseSupernode_8x8p32to8_d32"
PADDINGS = (Padding.SAME, Padding.VALID, Padding.SAME_CAFFE, Padding.NA)


def scalar(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)


def call(
    op: str,
    x: Array,
    weights: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = Padding.SAME,
    bias: Array | None = None,
    out: tuple[float, float] = (-10.0, 10.078432),
    weight_zero: int = 128,
    library: LibraryVersion = "v60",
) -> KernelCall:
    """Scale 1 and zero point 100 for the input, scale 1/100 for the weights."""
    channels = weights.shape[2] if op == DEPTHWISE else weights.shape[3]
    bias = np.zeros((1, 1, 1, channels), np.int32) if bias is None else bias
    low, high = -0.01 * weight_zero, 0.01 * (255 - weight_zero)
    edge = 0.01 * 2.0**31
    inputs = [x, weights, scalar(-100), scalar(155), scalar(low), scalar(high)]
    inputs += [np.zeros((1, *stride, 1), np.uint8), bias, scalar(-edge), scalar(edge)]
    inputs += [scalar(out[0]), scalar(out[1])]
    return KernelCall(op, inputs, padding, library=library, consts=(False, *[True] * 11))


def plain(c: KernelCall, weights: Array, weight_zero: int) -> Array:
    """Sum by sum: (B,Ho,Wo,out) real values of the convolution."""
    x = c.inputs[0].astype(np.int64) - 100
    w = weights.astype(np.int64) - weight_zero
    plan = conv.make_plan(c)
    rows, columns = plan.rows, plan.columns
    border = ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0))
    x = np.pad(x, border)
    b, depth = x.shape[0], c.op == DEPTHWISE
    out = np.zeros((b, rows.out, columns.out, w.shape[2] if depth else w.shape[3]), np.int64)
    for i in range(rows.out):
        for j in range(columns.out):
            top, left = i * rows.stride, j * columns.stride
            window = x[:, top : top + rows.window, left : left + columns.window]
            if depth:
                out[:, i, j] = (window * w[None, ..., 0]).sum(axis=(1, 2))
            else:
                out[:, i, j] = np.einsum("bhwc,hwco->bo", window, w)
    return 0.01 * (out + c.inputs[7].reshape(-1))


def steps_off(c: KernelCall, exact: Array) -> float:
    """The largest error against exact arithmetic, in LSB of the output range."""
    codes, low, high = KERNELS[c.op](c)
    step = (float(high.flat[0]) - float(low.flat[0])) / 255
    ideal = np.clip((exact - float(low.flat[0])) / step, 0, 255)
    return float(np.abs(codes - ideal).max(initial=0))


@st.composite
def convolutions(draw: st.DrawFn, op: str) -> tuple[KernelCall, Array, int]:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    depth = draw(st.integers(1, 4 if op == INPUT else 40))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 5)))
    if op == DEPTHWISE:
        kernel = draw(st.sampled_from([(2, 3), (3, 3), (3, 5), (5, 5), (3, 7)]))
    size = (draw(st.integers(1, 2)), draw(st.integers(5, 9)), draw(st.integers(7, 13)), depth)
    x = rng.integers(0, 256, size).astype(np.uint8)
    width = 1 if op == DEPTHWISE else draw(st.integers(1, 40))
    weights = rng.integers(0, 256, (*kernel, depth, width)).astype(np.uint8)
    channels = depth if op == DEPTHWISE else width
    bias = rng.integers(-3000, 3000, (1, 1, 1, channels)).astype(np.int32)
    zero = draw(st.sampled_from([0, 90, 128, 255]))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.sampled_from(PADDINGS))
    made = call(
        op,
        x,
        weights,
        stride=stride,
        padding=padding,
        bias=bias,
        out=(-2560.0, 2540.0),
        weight_zero=zero,
        library=draw(st.sampled_from(["v60", "v66"])) if op != SUPERNODE else "v60",
    )
    return made, weights, zero


@pytest.mark.parametrize("op", [SUPERNODE, INPUT, DEPTHWISE])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_outputs_are_within_half_an_lsb_of_exact_arithmetic(op: str, data: Any) -> None:
    made, weights, zero = data.draw(convolutions(op))
    # 0.01 LSB: gains are rounded to 31 bits, biases to float32
    assert steps_off(made, plain(made, weights, zero)) <= 0.51


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_found_range_holds_every_result(data: Any) -> None:
    op = data.draw(st.sampled_from([SUPERNODE, INPUT, DEPTHWISE]))
    made, weights, zero = data.draw(convolutions(op))
    made.inputs[10], made.inputs[11] = scalar(-np.inf), scalar(np.inf)
    exact = plain(made, weights, zero)
    _, low, high = KERNELS[op](made)
    step = (high.flat[0] - low.flat[0]) / 255
    assert low.flat[0] - step <= min(0, exact.min())
    assert max(0, exact.max()) <= high.flat[0] + step


@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(1, 64))
@settings(max_examples=40, deadline=None)
def test_the_float64_gain_equals_the_fixed_point_one(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    recip = rng.integers(1, 2**31, channels)
    chosen = requantize_gain.Gain(np.float32(1), recip, int(rng.integers(0, 3)))
    # results near 0..255, where values differ, whatever the gain
    reach = np.minimum(300 / chosen.factor, 2**27).astype(np.int64)
    sums = rng.integers(-reach - 1, reach + 1, (500, channels))
    offsets = rng.integers(-reach - 1, reach + 1)
    line = requantize_gain.affine(offsets, chosen, terms=2**27 // 255**2 + 1)
    assert line is not None
    fast = np.clip(sums * line[0] + line[1], 0, 255).astype(np.uint8)
    exact = np.clip(requantize_gain.codes(sums + offsets, chosen), 0, 255)
    np.testing.assert_array_equal(fast, exact)


def test_halves_round_upward_in_float64_as_in_fixed_point() -> None:
    chosen = requantize_gain.Gain(np.float32(1), np.array([2**30]), 0)
    sums = np.arange(-3, 509).reshape(-1, 1)
    line = requantize_gain.affine(np.zeros(1, np.int64), chosen, terms=1)
    assert line is not None
    fast = np.clip(sums * line[0] + line[1], 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(fast, np.clip((sums + 1) >> 1, 0, 255))


def test_sums_that_leave_32_bits_before_they_are_scaled_are_left_to_the_integers() -> None:
    chosen = requantize_gain.Gain(np.float32(1), np.array([2**30]), 12)
    assert requantize_gain.affine(np.zeros(1, np.int64), chosen, terms=8) is not None
    assert requantize_gain.affine(np.zeros(1, np.int64), chosen, terms=9) is None


def test_a_bias_far_outside_the_range_still_gives_exact_outputs() -> None:
    x = np.full((1, 1, 4, 8), 101, np.uint8)
    bias = np.array([2**30, -(2**30)] * 2, np.int32).reshape(1, 1, 1, 4)
    made = call(SUPERNODE, x, np.full((1, 1, 8, 4), 130, np.uint8), bias=bias)
    codes = KERNELS[SUPERNODE](made)[0]
    assert codes[0, 0, 0].tolist() == [255, 0, 255, 0]


def test_tiles_in_threads_compute_the_same_as_one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (2, 9, 11, 16)).astype(np.uint8)
    weights = rng.integers(0, 256, (3, 3, 16, 8)).astype(np.uint8)
    filters = rng.integers(0, 256, (3, 3, 16, 1)).astype(np.uint8)
    whole = KERNELS[SUPERNODE](call(SUPERNODE, x, weights))[0]
    lines = KERNELS[DEPTHWISE](call(DEPTHWISE, x, filters))[0]
    for module in (conv, depthwise):
        monkeypatch.setattr(module, "TILE_VALUES", 128)
        monkeypatch.setattr(module, "PARALLEL_PRODUCTS", 1)
    np.testing.assert_array_equal(KERNELS[SUPERNODE](call(SUPERNODE, x, weights))[0], whole)
    np.testing.assert_array_equal(KERNELS[DEPTHWISE](call(DEPTHWISE, x, filters))[0], lines)


def test_a_second_run_with_another_range_and_shape_does_not_reuse_the_first() -> None:
    rng = np.random.default_rng(6)
    weights = rng.integers(0, 256, (3, 3, 8, 8)).astype(np.uint8)
    made = call(SUPERNODE, rng.integers(0, 256, (1, 6, 6, 8)).astype(np.uint8), weights)
    KERNELS[SUPERNODE](made)
    made.inputs[0] = rng.integers(0, 256, (1, 5, 9, 8)).astype(np.uint8)
    made.inputs[2], made.inputs[3] = scalar(-1), scalar(1.04)
    again = KERNELS[SUPERNODE](made)[0]
    fresh = KernelCall(made.op, made.inputs, made.padding, library="v60", consts=made.consts)
    np.testing.assert_array_equal(again, KERNELS[SUPERNODE](fresh)[0])


@given(zero=st.integers(0, 255), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_squeezed_weights_are_int8_and_near_the_originals(zero: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (50, 7)).astype(np.uint8)
    steps = squeeze_steps(codes, zero)
    signed = squeezed(codes, zero, steps)
    assert signed.min() >= -128
    assert signed.max() <= 127
    kept = np.where(steps == 0, 256, steps)
    # half an LSB of rounding; where nothing is squeezed, one clipped value at either end
    worst = np.where(steps == 0, 1, 0.5 * 256 / kept + 1e-9)
    assert bool((np.abs(signed * 256 / kept - (codes.astype(int) - zero)) <= worst).all())


def squeezed_by(library: LibraryVersion, stride: tuple[int, int] = (1, 1), depth: int = 8) -> bool:
    """Whether weights of zero point 90 give other results than on v60."""
    draw = np.random.default_rng(8)
    x = draw.integers(0, 201, (1, 9, 12, depth)).astype(np.uint8)
    weights = draw.integers(0, 256, (3, 3, depth, 16)).astype(np.uint8)
    edge = 400.0 * depth**0.5
    ours, v60 = (
        KERNELS[SUPERNODE](
            call(
                SUPERNODE,
                x,
                weights,
                weight_zero=90,
                stride=stride,
                out=(-edge, edge),
                library=version,
            )
        )[0]
        for version in (library, "v60")
    )
    assert np.std(v60.astype(float)) > 5  # not saturated
    return bool((ours != v60).any())


@pytest.mark.parametrize("library", ["v65", "v66"])
def test_the_newer_libraries_squeeze_only_what_fits_their_fast_memory(
    library: LibraryVersion,
) -> None:
    assert squeezed_by(library)
    assert squeezed_by(library, stride=(3, 2))
    assert not squeezed_by(library, depth=1024)


def test_steps_of_three_columns_are_squeezed_on_v65_and_not_on_v66() -> None:
    assert squeezed_by("v65", stride=(1, 3))
    assert not squeezed_by("v66", stride=(1, 3))


def test_weights_around_128_lose_nothing_on_v66() -> None:
    weights = np.random.default_rng(7).integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
    packed = pack(weights, 128, None, depth=32, squeeze=True)
    assert packed.factor is None
    np.testing.assert_array_equal(packed.codes, weights.reshape(-1, 5))


@pytest.mark.parametrize("shape", [(1, 3, 8, 1), (3, 4, 8, 1), (3, 1, 8, 1), (3, 3, 8, 2)])
def test_depthwise_kernels_that_the_library_lacks_are_rejected(shape: tuple[int, ...]) -> None:
    x = np.zeros((1, 9, 9, 8), np.uint8)
    with pytest.raises(GraphError):
        KERNELS[DEPTHWISE](call(DEPTHWISE, x, np.zeros(shape, np.uint8)))


def test_a_depthwise_stride_of_three_is_rejected() -> None:
    x, weights = np.zeros((1, 9, 9, 8), np.uint8), np.zeros((3, 3, 8, 1), np.uint8)
    with pytest.raises(GraphError, match="cannot run"):
        KERNELS[DEPTHWISE](call(DEPTHWISE, x, weights, stride=(1, 3)))


def test_an_output_range_without_zero_is_rejected() -> None:
    x, weights = np.zeros((1, 3, 3, 8), np.uint8), np.zeros((1, 1, 8, 4), np.uint8)
    with pytest.raises(GraphError, match="does not contain zero"):
        KERNELS[SUPERNODE](call(SUPERNODE, x, weights, out=(1.0, 2.0)))


def test_weights_of_another_depth_are_rejected() -> None:
    x, weights = np.zeros((1, 3, 3, 8), np.uint8), np.zeros((1, 1, 9, 4), np.uint8)
    with pytest.raises(GraphError, match="9 channels"):
        KERNELS[SUPERNODE](call(SUPERNODE, x, weights))


def test_weights_that_are_computed_are_rejected() -> None:
    x, weights = np.zeros((1, 3, 3, 8), np.uint8), np.zeros((1, 1, 8, 4), np.uint8)
    made = call(SUPERNODE, x, weights)
    made.consts = (False, False, *[True] * 10)
    with pytest.raises(GraphError, match="const"):
        KERNELS[SUPERNODE](made)


def test_a_pointwise_input_supernode_finds_its_range_on_any_width() -> None:
    x = np.random.default_rng(8).integers(0, 256, (1, 5, 7, 1)).astype(np.uint8)
    made = call(INPUT, x, np.full((1, 1, 1, 2), 140, np.uint8), out=(-np.inf, np.inf))
    assert KERNELS[INPUT](made)[0].shape == (1, 5, 7, 2)


def test_patches_of_the_size_of_the_input_are_not_taken_for_its_pixels() -> None:
    # two rows of a kernel at stride 2: as many values as pixels, in another order
    weights = np.random.default_rng(9).integers(0, 256, (2, 2, 3, 4)).astype(np.uint8)
    x = np.random.default_rng(10).integers(0, 256, (1, 4, 6, 3)).astype(np.uint8)
    made = call(SUPERNODE, x, weights, stride=(2, 2), padding=Padding.VALID, out=(-2560.0, 2540.0))
    assert steps_off(made, plain(made, weights, 128)) <= 0.51
