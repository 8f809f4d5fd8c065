"""`check` says that a model runs if, and only if, `convert` converts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import pytest

import hexconv
from hexconv.errors import HexconvError
from tests.checked import passes
from tests.fuzz.graphs import random_case
from tests.networks import exports

Samples = Sequence[Mapping[str, Any]]
STORED = [name for name, network in exports.ZOO.items() if network.stored]


def reason(proto: onnx.ModelProto, samples: Samples) -> str:
    """Why `convert` does not convert; nothing if it does."""
    try:
        hexconv.convert(proto, samples=samples)
    except HexconvError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", STORED)
def test_a_network_that_converts_passes(name: str) -> None:
    """tests/networks converts each of them."""
    assert passes(exports.load(name))


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_a_random_graph_that_passes_converts(first: int) -> None:
    for seed in range(first, first + 20):
        case = random_case(seed)
        why = reason(case.model(), case.samples)
        assert passes(case.model()) == (not why), f"seed {seed}: {why}"
