"""Predicted heap: constants, packed weights, the block of tensors; held to measured models."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.cost import predict
from tests.cost.networks import chain
from tests.lowering.proof import model, numbers


def heap(library: str, channels: int, size: int) -> tuple[int, int]:
    """Heap of two 3x3 convolutions, to prepare and to execute."""
    consts = {name: numbers((channels, channels, 3, 3), i) / 9 for i, name in enumerate("vw")}
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    shape = (1, channels, size, size)
    made = hexconv.convert(
        model(nodes, {"x": shape}, ["y"], consts), samples=[{"x": numbers(shape)}]
    )
    memory = predict(made, library).memory  # type: ignore[arg-type]
    return memory.prepare, memory.execute


@pytest.mark.parametrize(
    ("library", "channels", "size", "prepare", "execute"),
    [
        ("v60", 32, 64, 9_598_776, 9_868_664),
        ("v60", 256, 24, 12_053_480, 12_334_056),
        ("v65", 32, 64, 9_626_640, 9_634_384),
    ],
)
def test_heap_is_within_a_tenth_of_what_the_library_requests(
    library: str, channels: int, size: int, prepare: int, execute: int
) -> None:
    """Measured with `hexconv device profile`."""
    found = heap(library, channels, size)
    np.testing.assert_allclose(found, (prepare, execute), rtol=0.1)


def test_vtcm_is_used_by_v65_and_v66_only() -> None:
    graph = chain(["QuantizedRelu_8"])
    used = [predict(graph, library).memory.vtcm for library in ("v60", "v65", "v66")]
    assert used == [0, 256 << 10, 256 << 10]


def test_tensors_that_are_not_needed_at_the_same_time_share_memory() -> None:
    """Twelve ops in a row hold two tensors at a time."""
    few, many = (
        predict(chain(["QuantizedRelu_8"] * count, (1, 64, 128, 256))).memory.execute
        for count in (2, 12)
    )
    assert many - few < 1 << 20
