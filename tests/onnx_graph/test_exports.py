"""What torch's exporters write of whole networks is loaded in one form, and returns the same."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.onnx_graph.models import ops, same_outputs

torch = pytest.importorskip("torch")

from tests.networks.conformer import conformer  # noqa: E402  (needs torch)
from tests.networks.export import export  # noqa: E402
from tests.networks.vision import mobilenet, resnet  # noqa: E402

pytestmark = pytest.mark.slow

EXPORTERS = [(11, False), (13, False), (17, False), (18, True)]


@pytest.mark.parametrize(("opset", "dynamo"), EXPORTERS)
def test_a_conformer(opset: int, dynamo: bool) -> None:
    proto = export(conformer(), torch.zeros(1, 144, 40), opset, dynamo=dynamo)
    counts = Counter(ops(same_outputs(proto, tolerance=1e-4)))
    assert counts["LayerNormalization"] and counts["Swish"]
    assert not counts["ReduceMean"] and not counts["Sqrt"] and not counts["Erf"]
    assert not counts["BatchNormalization"] and not counts["Shape"] and not counts["Cast"]


@pytest.mark.parametrize(("opset", "dynamo"), EXPORTERS)
@pytest.mark.parametrize("network", [mobilenet, resnet])
def test_a_cnn(network: object, opset: int, dynamo: bool) -> None:
    proto = export(network(), torch.zeros(1, 3, 64, 64), opset, dynamo=dynamo)  # type: ignore[operator]
    counts = Counter(ops(same_outputs(proto, tolerance=1e-3)))
    assert not counts["BatchNormalization"] and counts["Conv"]
