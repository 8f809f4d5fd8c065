"""Predicted heap: constants, packed weights, the block of tensors; held to measured models."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.cost import predict
from tests.cost.networks import chain
from tests.lowering.proof import model, numbers


def heap(
    library: str, channels: int, image: tuple[int, int], kernel: tuple[int, int]
) -> tuple[int, int]:
    """Heap of two convolutions, to prepare and to execute."""
    consts = {name: numbers((channels, channels, *kernel), i) / 9 for i, name in enumerate("vw")}
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], auto_pad="SAME_UPPER"),
        helper.make_node("Conv", ["c", "w"], ["y"], auto_pad="SAME_UPPER"),
    ]
    shape = (1, channels, *image)
    made = hexconv.convert(
        model(nodes, {"x": shape}, ["y"], consts), samples=[{"x": numbers(shape)}]
    )
    memory = predict(made, library).memory  # type: ignore[arg-type]
    return memory.prepare, memory.execute


@pytest.mark.parametrize(
    ("library", "channels", "image", "kernel", "measured"),
    [
        ("v60", 32, (64, 64), (3, 3), (9_598_776, 9_868_664)),
        ("v60", 256, (24, 24), (3, 3), (12_053_480, 12_334_056)),
        ("v65", 32, (64, 64), (3, 3), (9_626_640, 9_634_384)),
        ("v65", 32, (16, 16), (1, 1), (9_320_008, 9_327_752)),
        ("v66", 32, (16, 16), (1, 1), (9_582_152, 9_589_896)),
        ("v66", 96, (16, 16), (3, 3), (9_581_616, 9_589_360)),
        ("v66", 64, (8000, 2), (3, 1), (36_706_848, 28_449_192)),
        ("v60", 64, (8000, 2), (5, 1), (32_623_136, 24_550_496)),
    ],
)
def test_heap_is_near_what_the_library_requests(
    library: str,
    channels: int,
    image: tuple[int, int],
    kernel: tuple[int, int],
    measured: tuple[int, int],
) -> None:
    """Measured with `hexconv device profile`; the tall images need more work memory than 8 MiB."""
    np.testing.assert_allclose(heap(library, channels, image, kernel), measured, rtol=0.02)


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
