"""A Linear after attention is a convolution over its heads: nothing is moved."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "linear_over_heads"
TIME, HEADS = 20, 3
# Both operands, their product and the output are rounded, over sums of 96 products.
STEPS = 6.0
MOVES = {"Transpose_8", "SpaceToDepth_8"}


def net(
    depth: int = 32,
    *,
    time: int = TIME,
    batch: int = 1,
    also: str = "",
    perm: tuple[int, ...] = (0, 2, 1, 3),
    flat: tuple[int, ...] | None = None,
) -> ModelProto:
    """a v, its heads side by side, and a Linear."""
    consts = {
        "flat": ints(*(flat or (batch, time)), HEADS * depth),
        "w": 0.2 * numbers((HEADS * depth, 24), 3),
        "b": numbers((24,), 4),
    }
    nodes = [
        helper.make_node("MatMul", ["a", "v"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=perm),
        helper.make_node("Reshape", ["t", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["l"]),
        helper.make_node("Add", ["l", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    shapes = {"a": (batch, HEADS, time, 16), "v": (batch, HEADS, 16, depth)}
    return model(nodes, shapes, ["y", *([also] if also else [])], consts)


def feeds(depth: int = 32, time: int = TIME, batch: int = 1) -> dict[str, np.ndarray]:
    return {"a": numbers((batch, HEADS, time, 16)), "v": numbers((batch, HEADS, 16, depth), 2)}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("depth", [32, 64])
def test_nothing_is_moved_and_the_bits_stay(depth: int, batch: int) -> None:
    values = feeds(depth, batch=batch)
    on, off = better(net(depth, batch=batch), NAME, values, STEPS)
    assert ops(off).keys() & MOVES and not ops(on).keys() & MOVES
    # Examples side by side come apart again.
    assert ops(on).get("QuantizedReshape", 0) == batch - 1
    after, before = (hexconv.simulate(item, values, library="v60")["y"] for item in (on, off))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("perm", "flat"), [((2, 0, 1, 3), (TIME,)), ((2, 0, 1, 3), (TIME, 1)), ((0, 2, 1, 3), (TIME,))]
)
def test_time_first_and_flat_is_the_same_move(perm: tuple[int, ...], flat: tuple[int, ...]) -> None:
    """As torch's MultiheadAttention is exported."""
    on, _ = better(net(perm=perm, flat=flat), NAME, feeds(), STEPS)
    assert not ops(on).keys() & MOVES


def test_time_outside_of_a_batch_is_another_move() -> None:
    proto, values = net(perm=(2, 0, 1, 3), flat=(TIME, 2), batch=2), feeds(batch=2)
    on = converted(proto, values)
    assert NAME not in applied(on) and max(errors(on, proto, values)) <= STEPS


@pytest.mark.parametrize(("depth", "time"), [(36, TIME), (32, HEADS - 1)])
def test_where_it_would_cost_more_it_stays_a_linear(depth: int, time: int) -> None:
    """Heads that leave lanes empty multiply zeros; few rows fill no vector."""
    proto, values = net(depth, time=time), feeds(depth, time)
    on = converted(proto, values)
    assert NAME not in applied(on) and max(errors(on, proto, values)) <= STEPS


@pytest.mark.parametrize("also", ["m", "t", "f"])
def test_tensors_that_are_requested_keep_it_away(also: str) -> None:
    proto, values = net(also=also), feeds()
    on = converted(proto, values)
    assert NAME not in applied(on) and max(errors(on, proto, values)) <= STEPS
