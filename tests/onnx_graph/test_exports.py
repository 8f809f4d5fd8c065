"""What torch's exporters write of whole networks comes out in one form, and computes the same."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.networks import exports
from tests.onnx_graph.models import ops, same_outputs

pytestmark = pytest.mark.slow

CONFORMERS = [name for name in exports.EXPORTERS_OF if name.startswith("conformer")]
CNNS = [name for name in exports.EXPORTERS_OF if name not in CONFORMERS]


@pytest.mark.parametrize("name", CONFORMERS)
def test_a_conformer(name: str) -> None:
    counts = Counter(ops(same_outputs(exports.load(name), tolerance=1e-4)))
    assert counts["LayerNormalization"] and counts["Swish"]
    assert not counts["ReduceMean"] and not counts["Sqrt"] and not counts["Erf"]
    assert not counts["BatchNormalization"] and not counts["Shape"] and not counts["Cast"]


@pytest.mark.parametrize("name", CNNS)
def test_a_cnn(name: str) -> None:
    counts = Counter(ops(same_outputs(exports.load(name), tolerance=1e-3)))
    assert not counts["BatchNormalization"] and counts["Conv"]
