"""A tensor moves only when a reader needs another layout, and once."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.errors import RangeError, UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.nnlib.builder import Builder, RangeSource
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.quantize import Range

UNIT = Range(1.0 / 128.0, 128)
PLAIN, LAST = Layout.plain(4), Layout.channels_last(4)
IMAGE = (1, 3, 8, 9)


def context(**shapes: tuple[int, ...]) -> Context:
    """A conversion of which these values are known, all in the range -1..1."""
    return Context(Builder("m"), shapes, {}, dict.fromkeys(shapes, UNIT))


def made(ctx: Context, name: str, layout: Layout, source: RangeSource = RangeSource.STATIC) -> None:
    """Bind a value to its own node."""
    shape: Shape4 = layout.shape(ctx.shape(name))
    ctx.bind(
        name,
        layout,
        ctx.builder.quantized("Made", [], shape, UNIT, name=name, source=source),
    )


def ops(ctx: Context) -> list[str]:
    return [node.op for node in ctx.builder.graph.nodes if node.op != "Made"]


def test_a_matching_layout_is_used_as_it_is() -> None:
    ctx = context(x=IMAGE)
    made(ctx, "x", LAST)
    assert ctx.take("x", LAST).shape == (1, 8, 9, 3)
    assert ops(ctx) == [] and ctx.transposes.emitted == 0


def test_a_layout_is_made_once_for_all_readers() -> None:
    ctx = context(x=IMAGE)
    made(ctx, "x", PLAIN)
    assert ctx.take("x", LAST) == ctx.take("x", LAST)
    assert ops(ctx) == ["Transpose_8"] and ctx.transposes.emitted == 1


def test_transposes_there_and_back_vanish() -> None:
    """The ONNX graph transposes to NHWC and back: two names, no node."""
    ctx = context(x=IMAGE, y=(1, 8, 9, 3), z=IMAGE)
    made(ctx, "x", PLAIN)
    ctx.relabel("x", "y", [{0: 0, 2: 1, 3: 2, 1: 3}[a] for a in ctx.form("x").layout.order])
    ctx.relabel("y", "z", [{0: 0, 1: 2, 2: 3, 3: 1}[a] for a in ctx.form("y").layout.order])
    ctx.take("z", PLAIN)
    assert ops(ctx) == []


def test_the_nearest_form_is_taken() -> None:
    """A reshape of a form that was made for another reader is cheaper than a transpose."""
    ctx = context(x=IMAGE)
    made(ctx, "x", PLAIN)
    ctx.take("x", LAST)
    ctx.take("x", Layout(((0,), (), (2, 3), (1,))))
    assert ops(ctx) == ["Transpose_8", "QuantizedReshape"]


def test_a_range_that_the_run_decides_is_pinned_where_a_fixed_one_is_needed() -> None:
    ctx = context(x=IMAGE)
    made(ctx, "x", PLAIN, RangeSource.RUN_TIME)
    assert not ctx.take("x", PLAIN).static
    pinned = ctx.take("x", PLAIN, static=True)
    assert pinned.static and pinned.range == UNIT and ops(ctx) == ["Requantize_8to8"]


def test_constants_get_the_tightest_range_and_the_requested_layout() -> None:
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    ctx = Context(Builder("m"), {"c": array.shape}, {"c": array}, {})
    tensor = ctx.take("c", LAST)
    assert tensor.shape == (1, 3, 1, 2) and tensor.range.max >= 5.0 > tensor.range.max * 0.99
    assert ctx.builder.graph.consts[0].array.shape == (1, 3, 1, 2)


def test_a_constant_that_is_not_finite_is_rejected() -> None:
    array = np.array([1.0, np.nan], np.float32)
    ctx = Context(Builder("m"), {"c": (2,)}, {"c": array}, {})
    with pytest.raises(UnsupportedOpError, match="'c' is not finite"):
        ctx.take("c", Layout.plain(1))


def test_a_missing_range_is_requested_by_name() -> None:
    with pytest.raises(RangeError, match="no range for tensor 'x'"):
        Context(Builder("m"), {"x": (1,)}, {}, {}).range("x")


def test_a_view_adds_and_drops_axes_of_one_without_a_node() -> None:
    ctx = context(x=(4, 5))
    made(ctx, "x", Layout.plain(2))
    alias = ctx.view("x", (1, 4, 1, 5))
    assert ctx.shape(alias) == (1, 4, 1, 5) and ctx.view("x", (4, 5)) == "x"
    assert ctx.take(alias, Layout(((0,), (2,), (1,), (3,)))) == ctx.form("x").tensor
    assert ops(ctx) == []


def test_a_view_takes_the_range_of_what_it_views() -> None:
    ctx = context(x=(4, 5))
    made(ctx, "x", Layout.plain(2), RangeSource.RUN_TIME)
    alias = ctx.view("x", (1, 4, 5))
    assert ctx.take(alias, Layout.plain(3), static=True).range == UNIT


def test_a_positive_factor_changes_min_and_max_alone() -> None:
    ctx = context(x=IMAGE)
    made(ctx, "x", PLAIN)
    tensor = ctx.form("x").tensor
    scaled = ctx.rescaled(tensor, 0.5, "half")
    assert scaled.data == tensor.data and scaled.range == Range(UNIT.step / 2, 128)
    assert ops(ctx) == []


def test_a_reshape_to_another_number_of_elements_is_a_programming_error() -> None:
    ctx = context(x=IMAGE)
    made(ctx, "x", PLAIN)
    with pytest.raises(ValueError, match="cannot be reshaped"):
        ctx.reshaped(ctx.form("x").tensor, (1, 1, 1, 5), "r")
