"""1x1 convolutions over a number of rows that the threads of v66 divide: cheaper, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.cost import predict
from hexconv.model import Model
from hexconv.nnlib.versions import LibraryVersion
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import applied, ops

NAME = "rows_into_width"


def pixels(rows: int, columns: int, depth: int = 96, wide: int = 960) -> ModelProto:
    """An inverted residual without its depthwise convolution, twice."""
    consts = {
        "up": numbers((wide, depth, 1, 1), 1) / 8,
        "down": numbers((depth, wide, 1, 1), 2) / 24,
        "six": np.array(6, np.float32),
        "zero": np.array(0, np.float32),
    }
    nodes, last = [], "x"
    for block in "ab":
        nodes += [
            helper.make_node("Conv", [last, "up"], [f"u{block}"]),
            helper.make_node("Clip", [f"u{block}", "zero", "six"], [f"r{block}"]),
            helper.make_node("Conv", [f"r{block}", "down"], [f"d{block}"]),
            helper.make_node("Add", [last, f"d{block}"], [f"y{block}"]),
        ]
        last = f"y{block}"
    return model(nodes, {"x": (1, depth, rows, columns)}, [last], consts)


def both(proto: ModelProto, library: LibraryVersion, x: np.ndarray) -> tuple[Model, Model]:
    """The model with the rewrite, and without it."""
    made = [
        hexconv.convert(proto, samples=[{"x": x}], library=library, without=without)
        for without in ((), (NAME,))
    ]
    return made[0], made[1]


MEASURED = {(7, 7): 66_952, (4, 12): 61_599, (14, 14): 237_882}
"""Packets of v66 in `hexconv device profile`; without the rewrite 119,904, 72,607 and 318,157."""


@pytest.mark.parametrize(("rows", "columns"), list(MEASURED))
def test_the_packets_that_decide_are_those_of_the_library(rows: int, columns: int) -> None:
    on, _ = both(pixels(rows, columns), "v66", numbers((1, 96, rows, columns)))
    assert applied(on)[NAME] == 1
    assert predict(on, "v66").packets == pytest.approx(MEASURED[rows, columns], rel=0.05)


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (14, 14), (5, 8), (6, 10)])
def test_the_outputs_stay_bit_for_bit_and_no_packets_are_added(rows: int, columns: int) -> None:
    x = numbers((1, 96, rows, columns))
    on, off = both(pixels(rows, columns), "v66", x)
    for library in ("v60", "v65", "v66"):
        found, wanted = (hexconv.simulate(m, {"x": x}, library=library) for m in (on, off))
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert predict(on, "v66").packets <= predict(off, "v66").packets
    same_on_the_library(on, {"x": x})


def test_seven_rows_are_one_on_v66() -> None:
    on, off = both(pixels(7, 7), "v66", numbers((1, 96, 7, 7)))
    assert applied(on)[NAME] == 1
    assert ops(on)["QuantizedReshape"] <= ops(off).get("QuantizedReshape", 0) + 2
    assert predict(on, "v66").packets < 0.7 * predict(off, "v66").packets
    plane = {
        node.outputs[0].shape[1:3] for node in on.graph.nodes if node.op.startswith("Supernode")
    }
    assert plane == {(1, 49)}


def test_a_convolution_over_windows_keeps_its_rows() -> None:
    consts = {"w": numbers((64, 64, 3, 3), 1) / 24}
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    proto = model([conv], {"x": (1, 64, 7, 7)}, ["y"], consts)
    on, _ = both(proto, "v66", numbers((1, 64, 7, 7)))
    assert NAME not in applied(on)


def test_a_single_row_stays() -> None:
    on, _ = both(pixels(1, 48), "v66", numbers((1, 96, 1, 48)))
    assert NAME not in applied(on)


def test_a_mean_in_the_levels_of_a_run_stays_one() -> None:
    """The reshape in front of it has the range of the run, not the one that it counts levels in."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "one"], ["n"], axis=-1, epsilon=1e-3),
        helper.make_node("Exp", ["n"], ["y"]),
    ]
    shape = (1, 100, 2, 37)
    proto = model(nodes, {"x": shape}, ["y"], {"one": np.ones(37, np.float32)})
    on, off = both(proto, "v60", numbers(shape))
    assert applied(on)[NAME] == 1
    found, wanted = (hexconv.simulate(m, {"x": numbers(shape)}, library="v60") for m in (on, off))
    assert np.array_equal(found["y"], wanted["y"])
    same_on_the_library(on, {"x": numbers(shape)})
