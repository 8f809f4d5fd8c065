"""Real exported networks: both of torch's exporters, several opsets, to the simulated DSP.

Floors of SQNR are the measured values less 3 dB: 8-bit networks with min-max ranges, random
weights and no training to be robust. The Conformers are measured at their logits: after the
softmax a change of half an LSB anywhere in the network moves the SQNR by several dB, either way,
while that of the logits stays where it is. Of the two the one with decomposed norms has random
gains in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.compare.accuracy import accuracy

torch = pytest.importorskip("torch")
networks = pytest.importorskip("tests.networks.conformer")
vision = pytest.importorskip("tests.networks.vision")
exporting = pytest.importorskip("tests.networks.export")

SPEECH = (1, 48, 40)
IMAGE = (1, 3, 32, 32)
NAMES = (["speech"], ["fa_out"])
FUSED_FLOOR, DECOMPOSED_FLOOR, MOBILENET_FLOOR, RESNET_FLOOR = 30.4, 29.7, 41.0, 39.0
EXPORTS = [
    pytest.param(11, False, id="legacy11"),
    pytest.param(13, False, id="legacy13", marks=pytest.mark.slow),
    pytest.param(17, False, id="legacy17"),
    pytest.param(18, True, id="dynamo18", marks=pytest.mark.slow),
]


def inputs(model: onnx.ModelProto, shape: tuple[int, ...], count: int = 4) -> list[dict[str, Any]]:
    name = model.graph.input[0].name
    rng = np.random.default_rng(8)
    smooth = np.cumsum(rng.standard_normal((count, *shape)), axis=-2) / 4
    return [{name: np.tanh(x).astype(np.float32)} for x in smooth]


def exported(
    build: Callable[[], Any], shape: tuple[int, ...], opset: int, dynamo: bool, names: Any = None
) -> onnx.ModelProto:
    proto: onnx.ModelProto = exporting.export(
        build(), torch.zeros(shape), opset, dynamo=dynamo, names=names
    )
    return proto


def up_to_the_logits(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the softmax that it ends in."""
    logits = onnx.ModelProto()
    logits.CopyFrom(proto)
    softmax = logits.graph.node.pop()
    assert softmax.op_type == "Softmax"
    logits.graph.output[0].name = softmax.input[0]
    return logits


def converts(
    proto: onnx.ModelProto,
    shape: tuple[int, ...],
    floor: float,
    scored: onnx.ModelProto | None = None,
) -> None:
    """check says yes, it converts, and the simulated output (of `scored`) is near the float one."""
    report = hexconv.check(proto)
    assert report.ok, [(row.node, row.rejected) for row in report.unsupported]
    assert report.mac_share == 1.0
    samples = inputs(proto, shape)
    model = hexconv.convert(proto, samples=samples)
    if scored is not None:
        proto, model = scored, hexconv.convert(scored, samples=samples)
    (found,) = accuracy(model, proto, samples, count=2).values()
    assert found.sqnr >= floor


@pytest.mark.parametrize("fused", [True, False], ids=["fused_norm", "decomposed_norm"])
@pytest.mark.parametrize("opset, dynamo", EXPORTS)
def test_the_conformer(opset: int, dynamo: bool, fused: bool) -> None:
    def build() -> Any:
        return networks.conformer(blocks=1, width=64, fused_norm=fused)

    proto = exported(build, SPEECH, opset, dynamo, NAMES)
    floor = FUSED_FLOOR if fused else DECOMPOSED_FLOOR
    converts(proto, SPEECH, floor, up_to_the_logits(proto))


@pytest.mark.parametrize("opset, dynamo", EXPORTS)
def test_a_mobilenet_with_a_linear_head_and_torchs_own_names(opset: int, dynamo: bool) -> None:
    converts(exported(vision.mobilenet, IMAGE, opset, dynamo), IMAGE, MOBILENET_FLOOR)


@pytest.mark.parametrize("opset, dynamo", EXPORTS)
def test_a_resnet(opset: int, dynamo: bool) -> None:
    converts(exported(vision.resnet, IMAGE, opset, dynamo), IMAGE, RESNET_FLOOR)
