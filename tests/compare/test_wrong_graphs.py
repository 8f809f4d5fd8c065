"""What catches a wrong graph whose ranges agree with each other: figures and constraints.

The analysis of ranges (tests/nnlib/test_range_consistency.py) says nothing of a term that a rewrite
loses, of a range that is wide but honest, or of values that the library moves wrongly. Each of
these was once what `convert` wrote.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.compare.low_accuracy import low_accuracy
from hexconv.errors import GraphError
from hexconv.nnlib.check import check
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.ranges.consistency import PreparedRanges
from hexconv.optimize import legalize
from hexconv.quantize import cover
from tests.lowering.proof import decibels, model, numbers
from tests.nnlib.test_range_consistency import SHAPE, Net

node = helper.make_node
SIGNAL = (1, 8, 24)


def blocks(*ends: onnx.NodeProto) -> onnx.ModelProto:
    """Two residual blocks that meet."""
    consts = {"w": 0.3 * numbers((8, 8, 3)), "v": 0.3 * numbers((8, 8, 3), 2)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1]),
        node("Conv", ["x", "v"], ["b"], pads=[1, 1]),
        node("Add", ["a", "x"], ["c"]),
    ]
    return model([*nodes, *ends], {"x": SIGNAL}, ["y"], consts)


def test_a_residual_that_is_added_once_instead_of_twice_is_far_below_8_bits() -> None:
    """doubled_residual: the graph is one of other nodes, whose ranges fit."""
    right = blocks(node("Add", ["b", "x"], ["d"]), node("Add", ["c", "d"], ["y"]))
    wrong = blocks(node("Add", ["c", "b"], ["y"]))
    samples = [{"x": numbers(SIGNAL, seed)} for seed in range(2)]
    for level in ("none", "default"):
        made = hexconv.convert(right, samples=samples, optimize=level)
        assert not low_accuracy(accuracy(made, right, samples), own_samples=True)
    lost = hexconv.convert(wrong, samples=samples)
    (told,) = low_accuracy(accuracy(lost, right, samples), own_samples=True)
    assert "output 'y' has" in told


def test_a_where_in_the_range_of_a_branch_that_is_not_taken_is_far_below_8_bits() -> None:
    """where_branch_not_taken: a wide range is one that fits, too."""
    nodes = [
        node("Greater", ["x", "nine"], ["m"]),
        node("Mul", ["x", "loud"], ["z"]),
        node("Where", ["m", "z", "x"], ["y"]),
    ]
    consts = {"nine": np.float32(9), "loud": np.float32(100)}
    proto = model(nodes, {"x": SIGNAL}, ["y"], consts)
    samples = [{"x": numbers(SIGNAL, seed)} for seed in range(2)]
    made = hexconv.convert(proto, samples=samples)
    assert not low_accuracy(accuracy(made, proto, samples), own_samples=True)
    ranges = {**made.ranges, "y": made.ranges["z"]}
    wide = hexconv.convert(proto, ranges=ranges)
    (told,) = low_accuracy(accuracy(wide, proto, samples), own_samples=True)
    assert "where 8 bits allow" in told


def test_a_tile_that_the_library_mixes_up_breaks_a_constraint() -> None:
    """tile_by_library: the simulator agrees with ONNX Runtime, the library does not."""
    net = Net()
    data, low, high = net.fixed(net.x).data_min_max
    times = net.builder.ints("times", [1, 1, 1, 3])
    part = net.builder.quantized(
        "QuantizedSlice_8",
        [data, net.builder.ints("b", [0] * 4), net.builder.ints("s", [1, 1, 8, 8]), low, high],
        (1, 1, 8, 8),
        cover(-2, 2),
        name="part",
    )
    inputs = [part.data, times, part.min, part.max]
    tiled = net.builder.quantized(
        "QuantizedTile_8", inputs, (*SHAPE[:3], 24), part.range, name="tiled"
    )
    graph = net.finish(tiled)
    PreparedRanges(graph, trace(graph)).check()
    with pytest.raises(GraphError, match="tiled"):
        check(graph)


@pytest.mark.parametrize("shape", [(1, 8, 12), (4, 12)])
@pytest.mark.parametrize("level", ["none", "default"])
def test_a_linear_with_a_scalar_bias_converts_as_check_says(
    shape: tuple[int, ...], level: str
) -> None:
    """index_errors: no graph came out that could be judged."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    proto = model(nodes, {"x": shape}, ["y"], {"w": numbers((12, 5)), "b": np.float32(0.7)})
    assert hexconv.check(proto, optimize=level).ok
    hexconv.convert(proto, samples=[{"x": numbers(shape)}], optimize=level)


def scaled_product(*parts: str) -> onnx.ModelProto:
    """A product of two inputs, a third of it, and what joins them."""
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("Div", ["m", "three"], ["s"], name="third"),
        node("Concat", list(parts), ["y"], axis=2),
    ]
    shapes = {"x": (1, 8, 32), "w": (1, 32, 32)}
    return model(nodes, shapes, ["y"], {"three": np.float32(3)})


@pytest.mark.parametrize("parts", [("m", "s"), ("s", "m"), ("s", "m", "s")])
@pytest.mark.parametrize("level", ["none", "default"])
def test_a_factor_between_two_requantizes_stays(parts: tuple[str, ...], level: str) -> None:
    """prepare takes the second one out where both are asked for one range: the factor was lost."""
    feeds = [{"x": numbers((1, 8, 32), n), "w": numbers((1, 32, 32), n + 9)} for n in range(3)]
    assert decibels(scaled_product(*parts), feeds, optimize=level) > 30.0


def test_a_factor_that_prepare_takes_out_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a conversion not part the two, the analysis says so."""
    monkeypatch.setattr(legalize, "_keep_factors", lambda graph, ranges: 0)
    feeds = [{"x": numbers((1, 8, 32), n), "w": numbers((1, 32, 32), n + 9)} for n in range(3)]
    with pytest.raises(GraphError, match=r"s/joined.*and prepare takes it out"):
        hexconv.convert(scaled_product("m", "s"), samples=feeds)
