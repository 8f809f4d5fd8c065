"""Convolutions of up to 4 input channels, whose weights have one scale in the library.

It pads such an input to 4 channels. An input of 1 or 2 is given in copies that fill them: the
weights of the copies add up to weights of finer steps. Where the library does not pad the input so,
the weights have scales as others have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.cost import predict
from hexconv.quantize import quantize_copies, quantize_weights
from tests.lowering.proof import decibels, emitted, float_outputs, model, numbers
from tests.lowering.test_channel_scales import scales_of

SPREAD = np.geomspace(1.0, 1.0 / 20.0, 16).astype(np.float32)
TILE = "QuantizedTile_8"


def network(
    shape: Sequence[int], kernel: Sequence[int], *, layers: int = 8, **attrs: object
) -> onnx.ModelProto:
    """A first layer of channels of unlike sizes, which layers behind it bring together."""
    spatial = len(shape) - 2
    first = SPREAD.reshape(-1, *[1] * (spatial + 1)) * numbers((16, shape[1], *kernel), 2)
    consts = {"w0": first, "b0": SPREAD * numbers((16,), 3)}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], **attrs),
        helper.make_node("Relu", ["c0"], ["r0"]),
    ]
    for number in range(1, layers):
        weights = numbers((16, 16, *[3] * spatial), 3 + number) / 12.0
        if number == 1:
            weights = weights / SPREAD.reshape(1, -1, *[1] * spatial)
        consts[f"w{number}"] = weights
        pads = [1] * 2 * spatial
        names = [f"r{number - 1}", f"w{number}"]
        nodes += [
            helper.make_node("Conv", names, [f"c{number}"], pads=pads),
            helper.make_node(
                "Relu" if number < layers - 1 else "Identity", [f"c{number}"], [f"r{number}"]
            ),
        ]
    return model(nodes, {"x": shape}, [f"r{layers - 1}"], consts)


def sqnr(converted: hexconv.Model, proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> float:
    """Of the one output, in dB."""
    wanted = np.float64(float_outputs(proto, feeds)[0])
    found = next(iter(hexconv.simulate(converted, feeds, library="v60").values()))
    return float(10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()))


FORMS = [
    ((1, 1, 24, 24), (3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 1, 25, 23), (5, 4), {"strides": [2, 2], "pads": [2, 1, 2, 2]}),
    ((1, 2, 24, 24), (3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 1, 600), (9,), {"pads": [4, 4]}),
    ((1, 2, 600), (4,), {"strides": [2], "pads": [1, 1]}),
]


@pytest.mark.parametrize(("shape", "kernel", "attrs"), FORMS)
@pytest.mark.parametrize("loudness", [1.0, 1e-4])
def test_the_library_adds_up_the_copies(
    shape: Sequence[int], kernel: Sequence[int], attrs: dict[str, object], loudness: float
) -> None:
    """Simulated, and in the real library where it is at hand (`decibels` compares both)."""
    proto = network(shape, kernel, **attrs)
    feeds = [{"x": np.float32(loudness) * numbers(shape, seed)} for seed in (3, 4)]
    assert emitted(hexconv.convert(proto, samples=feeds))[TILE] == 1
    assert decibels(proto, feeds) > 30.0


def test_copies_make_weights_finer() -> None:
    """Nothing is scaled here, as a HardSwish is behind the first layer."""
    proto = network((1, 1, 24, 24), (3, 3), pads=[1, 1, 1, 1])
    next(node for node in proto.graph.node if node.op_type == "Relu").op_type = "HardSwish"
    feeds = {"x": np.abs(numbers((1, 1, 24, 24), 3))}
    finer, coarse = (
        hexconv.convert(proto, samples=[feeds], accuracy=level) for level in ("default", "minmax")
    )
    assert TILE in emitted(finer) and TILE not in emitted(coarse)
    assert sqnr(finer, proto, feeds) > sqnr(coarse, proto, feeds) + 1.0


def test_copies_take_three_percent_of_the_packets_at_most() -> None:
    """Of 1 layer they would take 7, of 2 copies 4; a network of more layers has room."""
    shape, settings = (1, 1, 24, 24), {"samples": [{"x": numbers((1, 1, 24, 24), 3)}]}
    found = {}
    for layers in (1, 8):
        proto = network(shape, (3, 3), layers=layers, pads=[1, 1, 1, 1])
        converted = hexconv.convert(proto, **settings)
        plain = hexconv.convert(proto, **settings, accuracy="minmax")
        found[layers] = emitted(converted).get(TILE, 0)
        assert predict(converted).packets <= 1.035 * predict(plain).packets
    assert found == {1: 0, 8: 1}


@pytest.mark.parametrize("channels", [3, 4, 5])
def test_deeper_inputs_are_given_once(channels: int) -> None:
    shape = (1, channels, 24, 24)
    proto = network(shape, (3, 3), pads=[1, 1, 1, 1])
    converted = hexconv.convert(proto, samples=[{"x": numbers(shape, 3)}])
    assert TILE not in emitted(converted)


@pytest.mark.parametrize("stride", [3, 8])
def test_strides_of_the_usual_form_have_scales(stride: int) -> None:
    """Odd ones, and those beyond 4: the library pads such an input to 32 channels in any case."""
    shape = (1, 3, 48, 48)
    proto = network(shape, (5, 5), layers=1, strides=[stride, stride])
    feeds = {"x": np.abs(numbers(shape, 3))}
    converted = hexconv.convert(proto, samples=[feeds])
    assert len(scales_of(converted)) == 1 and TILE not in emitted(converted)
    assert decibels(proto, [feeds]) > 30.0


@pytest.mark.parametrize("copies", [2, 4])
def test_weights_of_copies_add_up(copies: int) -> None:
    weights = numbers((3, 3, 1, 8), 1)
    parts = quantize_copies(weights, copies, 2, np.zeros(8, np.float32), 0.1)
    assert parts.codes.shape == (3, 3, copies, 8) and parts.range.zero == 128
    total = (parts.codes.astype(np.float64) - 128).sum(axis=2, keepdims=True) * parts.range.step
    coarse = quantize_weights(weights, np.zeros(8, np.float32), 0.1)
    assert parts.range.step == pytest.approx(coarse.range.step / copies)
    assert np.abs(total - weights).max() <= 0.5001 * parts.range.step
