"""Real exported networks: both of torch's exporters, several opsets, to the simulated DSP.

Floors of SQNR are the measured values less 3 dB: 8-bit networks with min-max ranges, random
weights and no training to be robust. The Conformers are held to it at their logits: behind the
softmax a change of half a code anywhere in the network moves the SQNR by several dB, either way,
while that of the logits stays where it is. Of the two the one with decomposed norms has random
gains in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.compare.accuracy import accuracy
from tests.networks import exports

SLOW = ("legacy13", "dynamo18")


def inputs(model: onnx.ModelProto, shape: tuple[int, ...], count: int = 4) -> list[dict[str, Any]]:
    name = model.graph.input[0].name
    rng = np.random.default_rng(8)
    smooth = np.cumsum(rng.standard_normal((count, *shape)), axis=-2) / 4
    return [{name: np.tanh(x).astype(np.float32)} for x in smooth]


def up_to_the_logits(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the softmax that it ends in."""
    logits = onnx.ModelProto()
    logits.CopyFrom(proto)
    softmax = logits.graph.node.pop()
    assert softmax.op_type == "Softmax"
    logits.graph.output[0].name = softmax.input[0]
    return logits


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n.endswith(SLOW) else n
        for n in exports.EXPORTERS_OF
    ],
)
def test_an_exported_network_converts_whole_and_stays_near(name: str) -> None:
    case, proto = exports.EXPORTS[name], exports.load(name)
    report = hexconv.check(proto)
    assert report.ok, [(row.node, row.rejected) for row in report.unsupported]
    assert report.mac_share == 1.0
    samples = inputs(proto, case.shape)
    model = hexconv.convert(proto, samples=samples)
    if name.startswith("conformer"):
        proto = up_to_the_logits(proto)
        model = hexconv.convert(proto, samples=samples)
    (found,) = accuracy(model, proto, samples, count=2).values()
    assert found.sqnr >= case.floor
