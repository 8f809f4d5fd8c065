"""Ops that move data return exactly what ONNX Runtime does, in few nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import hexconv
from hexconv.errors import GraphError
from hexconv.simulator.run_op import run_op
from tests.lowering.proof import decibels, emitted, ints, matches, model, numbers, one

FEW = settings(max_examples=20, deadline=None, derandomize=True)
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@FEW
@given(shapes, st.data())
def test_slices_of_any_axes_and_steps(shape: list[int], data: st.DataObject) -> None:
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True))
    starts, ends, steps = [], [], []
    for axis in axes:
        step = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        start = data.draw(st.integers(0, shape[axis] - 1))
        end = data.draw(st.integers(start + 1, shape[axis] + 2)) if step > 0 else None
        back = data.draw(st.sampled_from([start - 1 - shape[axis], -(2**31)]))
        starts.append(start)
        ends.append(end if end is not None else min(back, -shape[axis] - 1))
        steps.append(step)
    given_axes = ints(*(a - rank if data.draw(st.booleans()) else a for a in axes))
    matches(one("Slice", shape, ints(*starts), ints(*ends), given_axes, ints(*steps)))


def test_a_slice_of_all_axes_is_one_node() -> None:
    starts, ends = ints(1, 1, 1), ints(3, 4, 5)
    converted = matches(one("Slice", (4, 5, 6), starts, ends))
    assert emitted(converted) == {"QuantizedSlice_8": 1}


@pytest.mark.parametrize(("rows", "nodes"), [(4, 1), (6, 2)])
def test_batches_of_blocks_that_are_no_squares_are_cut_twice(rows: int, nodes: int) -> None:
    """The library takes the width for the height where it looks for the next batch."""
    starts, ends = ints(1, 1, 2), ints(1 + rows, 5, 6)
    proto = one("Slice", (2, 8, 6, 7), starts, ends, ints(1, 2, 3))
    converted = matches(proto)
    assert emitted(converted)["QuantizedSlice_8"] == nodes


def test_a_flip_runs_to_the_start() -> None:
    proto = one("Slice", (2, 5, 3), ints(-1), ints(-(2**31)), ints(1), ints(-1))
    assert emitted(matches(proto)) == {"QuantizedStridedSlice_8": 1}


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_uneven_splits_are_slices(axis: int) -> None:
    proto = one("Split", (6, 6, 6), ints(1, 3, 2), outputs=3, axis=axis)
    assert "QuantizedSplit_8" not in emitted(matches(proto))


def test_even_splits_are_one_node() -> None:
    proto = one("Split", (2, 6, 4), ints(2, 2, 2), outputs=3, axis=1)
    assert emitted(matches(proto)) == {"QuantizedSplit_8": 1}


@FEW
@given(shapes, st.data())
def test_gathers_of_constant_indices(shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    index = data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=20))
    indices = np.array(index, np.int64)
    if len(shape) < 4 and len(index) % 2 == 0 and data.draw(st.booleans()):
        indices = indices.reshape(2, -1)
    matches(one("Gather", shape, indices, axis=axis))


def test_a_scalar_index_takes_its_axis_away() -> None:
    assert emitted(matches(one("Gather", (3, 4, 5), np.array(-1, np.int64), axis=0))) == {
        "QuantizedSlice_8": 1
    }


def test_many_runs_of_indices_are_looked_up() -> None:
    order = np.random.default_rng(0).permutation(40).astype(np.int64)
    assert emitted(matches(one("Gather", (40, 3), order))) == {"Gather_8": 1}


@FEW
@given(shapes, st.data())
def test_tiles(shape: list[int], data: st.DataObject) -> None:
    times = [data.draw(st.integers(1, 3)) for _ in shape]
    matches(one("Tile", shape, ints(*times)))


@FEW
@given(shapes, st.data())
def test_expansions(shape: list[int], data: st.DataObject) -> None:
    shape = [1 if data.draw(st.booleans()) else size for size in shape]
    rank = data.draw(st.integers(len(shape), 4))
    wanted = [data.draw(st.integers(1, 4)) for _ in range(rank - len(shape))]
    wanted += [data.draw(st.sampled_from([1, size if size > 1 else 3])) for size in shape]
    matches(one("Expand", shape, ints(*wanted)))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_concatenations_with_constants_and_repeats(axis: int) -> None:
    shape = [2, 3, 4, 5]
    wide = list(shape)
    wide[axis] = 2
    part = (np.arange(np.prod(wide)) % 200 - 100).reshape(wide).astype(np.float32) / 32
    node = helper.make_node("Concat", ["x", "c", "x"], ["y"], axis=axis)
    matches(model([node], {"x": shape}, ["y"], {"c": part}), steps=0.51)


PADS = [(0, 0, 1, 2, 0, 0, 3, 0), (1, 2, 0, 0, 0, 1, 2, 1), (0, 0, -1, 2, 0, 0, 2, -2)]


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("mode", ["constant", "edge", "wrap", "reflect"])
def test_pads_of_every_mode(mode: str, pads: tuple[int, ...]) -> None:
    matches(one("Pad", (2, 4, 6, 5), ints(*pads), mode=mode))


@pytest.mark.parametrize(("value", "steps"), [(2.0, 1e-4), (-4.0, 1e-4), (12.0, 0.51)])
def test_a_pad_value_is_in_the_range(value: float, steps: float) -> None:
    """One outside of the input's range widens it, which rounds the input once."""
    matches(one("Pad", (2, 3, 5), ints(0, 1, 2, 0, 0, 3), np.float32(value)), steps)


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("value", [1.0, -1.0, 30.0])
def test_a_pad_value_that_its_reader_clips_is_the_clip_s_bound(value: float, level: str) -> None:
    """The input has the range that the Clip needs, in which the value has no level."""
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["p"]),
        helper.make_node("Clip", ["p", "low", "high"], ["y"]),
    ]
    consts = {"pads": np.array([0, 0, 2, 0, 0, 1]), "value": np.float32(value)}
    consts |= {"low": np.float32(0), "high": np.float32(0.5)}
    proto = model(nodes, {"x": (1, 6, 14)}, ["y"], consts)
    assert decibels(proto, [{"x": numbers((1, 6, 14))}], optimize=level) > 38.0


def test_pads_of_some_axes() -> None:
    matches(one("Pad", (2, 4, 5), ints(1, 2, 3, 0), None, ints(-1, 1)))


def test_a_reflection_beyond_the_tensor_is_gathered() -> None:
    data = np.arange(3, dtype=np.float32) / 32
    folded = np.pad(data, (5, 4), mode="reflect")
    proto = one("Pad", (3,), ints(5, 4), mode="reflect")
    matches(proto, 0.51, {"x": data}, [folded])


def test_center_crop_pad() -> None:
    matches(one("CenterCropPad", (1, 4, 7, 5), ints(2, 3, 4, 8)))


BLOCKS = [(1, 8, 3, 5), (2, 64, 4, 4), (1, 128, 5, 3)]


@pytest.mark.parametrize("shape", BLOCKS)
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str, shape: tuple[int, ...]) -> None:
    matches(one("DepthToSpace", shape, blocksize=2, mode=mode))


def test_space_to_depth() -> None:
    assert emitted(matches(one("SpaceToDepth", (2, 5, 6, 4), blocksize=2))) == {"SpaceToDepth_8": 1}


def test_triangles_are_masked() -> None:
    matches(one("Trilu", (2, 5, 5)), steps=0.51)
    matches(one("Trilu", (1, 2, 4, 6), np.array(-1, np.int64), upper=0), steps=0.51)


@pytest.mark.parametrize("depth", [2, 4, 8])
@pytest.mark.parametrize("times", [3, 5, 6, 12])
@pytest.mark.parametrize("others", [(1, 1, 1), (2, 3, 2)])
def test_narrow_depths_are_repeated_by_columns(
    depth: int, times: int, others: tuple[int, ...]
) -> None:
    """The library repeats depths of 2, 4 and 8 rightly a power of two times only."""
    matches(one("Tile", (1, 2, 33, depth), ints(*others, times)))


@pytest.mark.parametrize("times", [97, 100, 102, 127])
def test_one_element_is_repeated_a_hundred_times_by_columns(times: int) -> None:
    """The library leaves the last 4 to 6 of 100 to 102 elements unwritten behind a pool."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Expand", ["m", "shape"], ["e"]),
        helper.make_node("Relu", ["e"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 100)}, ["y"], {"shape": ints(1, times)}, 17)
    matches(proto, 1.0, {"x": numbers((1, 100))})
    (tile,) = [n for n in hexconv.convert(proto).graph.nodes if n.op == "QuantizedTile_8"]
    assert tile.outputs[0].shape == (1, 1, times, 1)


def test_a_tile_that_the_library_mixes_up_is_refused() -> None:
    codes, limits = np.zeros((1, 1, 24, 8), np.uint8), np.zeros((1, 1, 1, 1), np.float32)
    times = np.array([1, 1, 1, 3], np.int32).reshape(1, 1, 1, 4)
    with pytest.raises(GraphError, match="8, 3 times"):
        run_op("QuantizedTile_8", [codes, times, limits, limits + 1])
