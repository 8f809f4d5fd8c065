"""The estimate of what 8 bits allow knows which tensors there are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare import metrics
from hexconv.compare.accuracy import Accuracy, accuracy, describe
from hexconv.compare.eight_bits import EightBits
from hexconv.onnx_graph import load
from tests.calibrate.test_outlier_channels import LARGE, feeds, pre_norm
from tests.lowering.proof import float_outputs, model, numbers

SHAPE = (1, 3, 40)
CONSTS = {"zero": np.float32(0), "start": np.array([0, 3]), "end": np.array([1, 6])}
JOINED = helper.make_node("Concat", ["x", "z"], ["j"], axis=1)
PART = helper.make_node("Slice", ["j", "start", "end"], ["s"])
SAMPLE = {"x": 100 * numbers(SHAPE), "z": numbers(SHAPE, 1)}


def allowed(proto: onnx.ModelProto, output: str, start: int = 0) -> float:
    """Of the output, from a channel on: dB."""
    sums = metrics.Totals(output)
    ideal = EightBits(load(proto), [SAMPLE]).run(SAMPLE)[output]
    sums.add(float_outputs(proto, SAMPLE)[0][:, start:], ideal[:, start:])
    found = sums.result()
    assert found is not None
    return found.sqnr


@pytest.mark.parametrize("op", ["Softsign", "Sin"])
def test_what_is_computed_of_joined_tensors_has_the_levels_of_their_range(op: str) -> None:
    proto = model(
        [JOINED, PART, helper.make_node(op, ["s"], ["y"])],
        dict.fromkeys("xz", SHAPE),
        ["y"],
        CONSTS,
    )
    assert allowed(proto, "y") < 15.0


def test_parts_of_a_joined_output_have_their_own() -> None:
    proto = model([JOINED], dict.fromkeys("xz", SHAPE), ["j"], {})
    assert allowed(proto, "j", 3) > 35.0


def test_channels_are_scaled_as_the_models_are() -> None:
    """A stream with a huge channel: one range for all its channels leaves 4 dB."""
    proto, samples = pre_norm(LARGE), feeds("pre", 4)
    made = hexconv.convert(proto, samples=samples)
    found = accuracy(made, proto, samples)["y"]
    plain = accuracy(hexconv.convert(proto, samples=samples, accuracy="minmax"), proto, samples)[
        "y"
    ]
    assert found.allowed is not None and plain.allowed is not None
    assert found.allowed > plain.allowed + 6.0


def test_what_8_bits_allow_is_told_where_it_is_more() -> None:
    figures = metrics.Metrics(20.0, 1.0, 0.1, 0.05, 0.0, None, 1.0, 4)
    for allowed, told in ((25.0, True), (15.0, False), (None, False)):
        (line,) = describe({"y": Accuracy(figures, allowed)})
        assert ("where 8 bits allow" in line) == told
