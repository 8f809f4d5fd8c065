"""The estimate of what 8 bits allow knows which tensors there are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.compare import metrics
from hexconv.compare.eight_bits import EightBits
from hexconv.onnx_graph import load
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
