"""A dilated convolution by phases, or with zeros between its taps, is the same convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.model import Model
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.versions import LibraryVersion
from hexconv.optimize.on_nnlib import dilated_by_phases
from hexconv.optimize.on_nnlib.dilated_forms import DilatedForm, forms
from hexconv.optimize.price import Prices
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import Feeds, applied, converted, ops

NAME = "dilated_by_phases"
PRICES = Prices("v60")
CASES = [
    (24, 3, 2, True),
    (25, 3, 3, True),
    (40, 5, 6, True),
    (31, 7, 4, False),
    (97, 7, 12, True),
    (61, 3, 5, True),
    (50, 5, 6, False),
    (31, 3, 8, True),
]


def net(
    length: int, taps: int, dilation: int, pads: tuple[int, int], channels: int = 8
) -> ModelProto:
    """A dilated convolution after a node in d32."""
    consts = {
        "v": numbers((channels, channels, 1), 2) / 4,
        "w": numbers((channels, channels, taps), 3) / 4,
    }
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["y"], dilations=[dilation], pads=list(pads)),
    ]
    return model(nodes, {"x": (1, channels, length)}, ["y"], consts)


@pytest.mark.parametrize(("length", "taps", "dilation", "same"), CASES)
def test_every_form_computes_the_same_as_the_library_s_own(
    length: int, taps: int, dilation: int, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pad = (taps - 1) * dilation // 2 if same else 0
    proto, feeds = net(length, taps, dilation, (pad, pad)), {"x": numbers((1, 8, length))}
    off = converted(proto, feeds, without=("fold_time", NAME))
    assert "QuantizedDilatedConv2d_8x8p32to8" in ops(off)
    wanted = hexconv.simulate(off, feeds, library="v60")["y"]
    for deep in (True, False):
        for form in forms(taps, (1, dilation), deep=deep):
            on = forced(form, proto, feeds, monkeypatch)
            found = hexconv.simulate(on, feeds, library="v60")["y"]
            # More taps, though of zeros, scale the accumulators otherwise: an LSB here and there.
            low, high = on.graph.outputs[0].range
            steps = np.abs(found - wanted) * 255 / (high - low)
            assert steps.max() < (0.01 if form.phases == (1, dilation) else 1.01)
            assert np.mean(found != wanted) < 0.02
            same_on_the_library(on, feeds)


def forced(
    form: DilatedForm, proto: ModelProto, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> Model:
    """Converted with one form, whatever it costs."""
    monkeypatch.setattr(dilated_by_phases, "cheapest", lambda sizes, prices: (0.0, form))
    return converted(proto, feeds, without=("fold_time",))


@pytest.mark.parametrize(("library", "phases"), [("v60", True), ("v66", False)])
def test_rows_and_columns_may_be_dilated(library: LibraryVersion, phases: bool) -> None:
    """Measured, the phases save 178,681 packets on v60; on v66 87,067, less than a node costs."""
    weights = numbers((8, 8, 3, 3), 3) / 4
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["l"]),
        helper.make_node("Conv", ["l", "w"], ["y"], dilations=[6, 6], pads=[6] * 4),
    ]
    proto, feeds = (
        model(nodes, {"x": (1, 8, 17, 20)}, ["y"], {"w": weights}),
        {"x": numbers((1, 8, 17, 20))},
    )
    on = converted(proto, feeds, library=library)
    off = converted(proto, feeds, library=library, without=(NAME,))
    assert applied(on)[NAME] == 1 and ("SpaceToBatchND_8" in ops(on)) is phases
    results = [hexconv.simulate(m, feeds, library=library)["y"] for m in (on, off)]
    np.testing.assert_array_equal(*results)


def test_a_small_dilation_becomes_zeros_between_the_taps() -> None:
    on = converted(net(64, 3, 2, (2, 2)), {"x": numbers((1, 8, 64))}, without=("fold_time",))
    assert "SpaceToBatchND_8" not in ops(on)


def test_no_kernel_is_wider_than_the_library_gets_right() -> None:
    on = converted(net(96, 7, 12, (36, 36)), {"x": numbers((1, 8, 96))}, without=("fold_time",))
    consts = on.graph.const_by_id()
    widths = [
        consts[node.inputs[1].node].array.shape[1]
        for node in on.graph.nodes
        if node.op == "Supernode_8x8p32to8"
    ]
    assert widths and max(widths) <= WIDEST_KERNEL
    assert {form.phases for form in forms(7, (1, 12), deep=True)} == {
        (1, columns) for columns in (3, 4, 6, 12)
    }


def test_the_price_rises_with_the_work() -> None:
    """More taps, channels or columns never make a convolution cheaper."""
    sizes = dilated_by_phases.Sizes((1, 1, 256, 32), (1, 5), 32, (1, 3), Padding.SAME)
    price, _ = dilated_by_phases.cheapest(sizes, PRICES)
    for change in ({"kernel": (1, 9)}, {"filters": 96}, {"shape": (1, 1, 1024, 32)}):
        assert dilated_by_phases.cheapest(replace(sizes, **change), PRICES)[0] > price
