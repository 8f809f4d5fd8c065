"""A lowering that forgets an input or an attribute is found out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph import NodeView, load
from tests.onnx_graph.models import model, node


def view(item: onnx.NodeProto, **consts: np.ndarray) -> NodeView:
    return NodeView(load(model([item], {"x": (1, 4, 6, 6)}, consts=consts)).nodes[-1])


def conv(**attrs: object) -> NodeView:
    return view(node("Conv", "x w", "y", **attrs), w=np.ones((2, 4, 3, 3), np.float32))


def test_what_was_read_is_not_reported() -> None:
    item = conv(pads=[1, 0, 1, 0], group=1)
    assert item.unread() == ("attribute pads=[1, 0, 1, 0]", "input 0 ('x')", "input 1 ('w')")
    assert item.attr("pads") == [1, 0, 1, 0] and item.attr("strides", [1, 1]) == [1, 1]
    assert (item.input(0), item.input(1)) == ("x", "w")
    assert item.unread() == ()


def test_defaults_and_lists_that_say_nothing_need_not_be_read() -> None:
    item = conv(group=1, strides=[1, 1], dilations=[1, 1], pads=[0, 0, 0, 0], auto_pad="NOTSET")
    item.done(0, 1)
    assert item.unread() == ()


def test_done_counts_as_read() -> None:
    item = conv(dilations=[2, 1])
    item.done(0, 1, "dilations")
    assert item.unread() == ()


def test_absent_inputs() -> None:
    item = view(node("Clip", "x _ h", "y"), h=np.float32(3))
    assert item.inputs[:2] == ("x", "") and not item.has(1) and item.has(2) and not item.has(3)
    with pytest.raises(UnsupportedOpError, match=r"input 1 is missing\n.*n_y"):
        item.input(1)
    item.done(0)
    assert item.unread() == ("input 2 ('h')",)


def test_attributes_come_as_plain_values() -> None:
    item = view(node("LeakyRelu", "x", "y", alpha=0.25))
    assert item.attr("alpha", 0.01) == 0.25 and item.attr("none", 7) == 7
