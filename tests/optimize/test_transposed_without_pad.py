"""A transposed convolution as a plain one that pads by itself, and DepthToSpace."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.optimize.on_nnlib.transposed_without_pad import PhaseAxis
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import applied, converted, ops

NAME = "transposed_without_pad"


def net(
    shape: tuple[int, ...], taps: tuple[int, ...], stride: int, pad: int, outputs: int = 32
) -> ModelProto:
    """A transposed convolution after a node in d32; with two axes W has the stride."""
    axes, before = len(taps), (1,) * (len(taps) - 1)
    consts = {
        "v": numbers((shape[1], shape[1], *(1,) * axes), 2) / 4,
        "w": numbers((shape[1], outputs, *taps), 3) / 4,
        "b": numbers((outputs,), 4),
    }
    pads = [*(tap // 2 for tap in taps[:-1]), pad]
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["p"]),
        helper.make_node(
            "ConvTranspose", ["p", "w", "b"], ["y"], strides=[*before, stride], pads=[*pads, *pads]
        ),
    ]
    return model(nodes, {"x": shape}, ["y"], consts)


@pytest.mark.parametrize(
    ("shape", "taps", "stride", "pad"),
    [
        ((1, 32, 20), (16,), 8, 4),
        ((1, 32, 21), (8,), 4, 2),
        ((1, 8, 21), (4,), 2, 1),
        ((1, 32, 6, 9), (3, 4), 2, 1),
    ],
)
def test_it_computes_the_same_as_the_library_s_own_form(
    shape: tuple[int, ...], taps: tuple[int, ...], stride: int, pad: int
) -> None:
    proto, feeds = net(shape, taps, stride, pad), {"x": numbers(shape)}
    on, off = converted(proto, feeds), converted(proto, feeds, without=(NAME,))
    assert applied(on)[NAME] == 1 and "QuantizedTransposeConv2d_8x8p32to8" not in ops(on)
    found, wanted = (hexconv.simulate(m, feeds, library="v60")["y"] for m in (on, off))
    low, high = on.graph.outputs[0].range
    # More taps, though of zeros, scale the accumulators otherwise: an LSB here and there.
    assert np.abs(found - wanted).max() * 255 / (high - low) < 1.01
    assert np.mean(found != wanted) < 0.02
    same_on_the_library(on, feeds)


@pytest.mark.parametrize(
    ("taps", "stride", "pad", "outputs"), [(7, 4, 1, 32), (4, 2, 1, 24), (5, 2, 2, 32)]
)
def test_uneven_or_narrow_ones_stay(taps: int, stride: int, pad: int, outputs: int) -> None:
    proto = net((1, 32, 20), (taps,), stride, pad, outputs)
    assert NAME not in applied(converted(proto, {"x": numbers((1, 32, 20))}))


def test_much_work_is_not_made_more_for_a_node() -> None:
    proto = net((1, 256, 512), (16,), 8, 4, 256)
    assert NAME not in applied(converted(proto, {"x": numbers((1, 256, 512))}))


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(16, 8, 4), (4, 2, 1), (12, 4, 4)])
def test_every_tap_is_there_once(kernel: int, stride: int, pad: int) -> None:
    axis = PhaseAxis(10, 10 * stride, kernel, stride, pad)
    own = [tap for phase in range(stride) for _, tap in axis.taps(phase)]
    assert axis.fits and sorted(own) == list(range(kernel))
