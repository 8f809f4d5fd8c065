"""A sum over depth as a depthwise convolution over rows."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.nnlib.versions import LibraryVersion
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import applied, better, converted, ops

NAME = "sums_by_rows"
LENGTH = 1024


def net(parts: int, weights: np.ndarray, last: str = "LeakyRelu") -> ModelProto:
    """Convolutions side by side, a convolution of width 1 over them, and a node after it."""
    channels = weights.shape[0]
    consts = {"m": weights, "k": numbers((channels, channels, 7), 1) / 9}
    nodes = []
    for part in range(parts):
        consts[f"v{part}"] = numbers((channels, channels, 1), part) / 6
        nodes.append(helper.make_node("Conv", ["x", f"v{part}"], [f"p{part}"]))
    nodes += [
        helper.make_node("Concat", [f"p{part}" for part in range(parts)], ["c"], axis=1),
        helper.make_node("Conv", ["c", "m"], ["s"]),
        helper.make_node("LeakyRelu", ["s"], ["y"])
        if last == "LeakyRelu"
        else helper.make_node("Conv", ["s", "k"], ["y"], pads=[3, 3]),
    ]
    return model(nodes, {"x": (1, channels, LENGTH)}, ["y"], consts)


def diagonal(parts: int, factors: tuple[float, ...]) -> np.ndarray:
    blocks = [factors[part % len(factors)] * np.eye(32, dtype=np.float32) for part in range(parts)]
    return np.concatenate(blocks, 1)[:, :, None]


STACKS = ("convolutions_of_one_input",)
FEEDS = {"x": numbers((1, 32, LENGTH))}


@pytest.mark.parametrize("library", ["v60", "v65"])
@pytest.mark.parametrize(("parts", "factors"), [(4, (1.0,)), (6, (1.0, -0.5))])
def test_the_outputs_stay(parts: int, factors: tuple[float, ...], library: LibraryVersion) -> None:
    proto = net(parts, diagonal(parts, factors))
    on = converted(proto, FEEDS, without=STACKS, library=library)
    off = converted(proto, FEEDS, without=(*STACKS, NAME), library=library)
    assert applied(on)[NAME] == 1 and "DepthwiseSupernode_8x8p32to8" in ops(on)
    found, wanted = (hexconv.simulate(m, FEEDS, library=library)["y"] for m in (on, off))
    low, high = on.graph.outputs[0].range
    assert np.abs(found - wanted).max() * 255 / (high - low) < 1.01
    same_on_the_library(on, FEEDS)


def test_on_v66_the_dense_form_is_cheaper() -> None:
    """Measured: 12,554 packets for 4 tensors against 17,559, on v60 24,363 against 17,444."""
    on = converted(net(4, diagonal(4, (1.0,))), FEEDS, without=STACKS, library="v66")
    assert NAME not in applied(on)


def test_what_mixes_channels_stays_dense() -> None:
    weights = diagonal(4, (1.0,))
    weights[0, 1] = 0.5
    assert NAME not in applied(converted(net(4, weights), FEEDS, without=STACKS, library="v60"))


def test_what_needs_more_room_to_the_left_keeps_the_dense_form() -> None:
    """A convolution of width 7 pads by 3 columns; after the depthwise one there is space for 1."""
    proto = net(4, diagonal(4, (1.0,)), last="Conv")
    on = converted(proto, FEEDS, without=STACKS, library="v60")
    assert NAME not in applied(on) and "legalize" not in applied(on)


def test_the_sum_of_a_stage_is_one() -> None:
    """The result of sums_of_convolutions for a long sum."""
    consts = {f"v{part}": numbers((64, 64, 3), part) * 4**part / 9 for part in range(5)}
    nodes = [
        helper.make_node("Conv", ["x", f"v{part}"], [f"p{part}"], pads=[1, 1]) for part in range(5)
    ]
    total = "p0"
    for part in range(1, 5):
        nodes.append(helper.make_node("Add", [total, f"p{part}"], [f"t{part}"]))
        total = f"t{part}"
    nodes.append(helper.make_node("LeakyRelu", [total], ["y"]))
    feeds = {"x": numbers((1, 64, LENGTH))}
    better(model(nodes, {"x": (1, 64, LENGTH)}, ["y"], consts), NAME, feeds, 6.0)
