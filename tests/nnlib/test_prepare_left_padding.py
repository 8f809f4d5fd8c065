"""Graphs in which the library misreads what a depthwise convolution wrote.

The expectations were measured on the shipped v60 library: the same two nodes, run there and
computed exactly, differ (or the library fails to execute) where the table has True.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding, Ref
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.prepare.left_padding import require_unshifted, shifted
from tests.nnlib.random_graphs import Builder, Generator

SHAPE = (1, 8, 8, 32)
RANDOM = json.loads((Path(__file__).parents[1] / "golden" / "random_graphs.json").read_text())


def convolution(
    made: Builder,
    x: list[Ref],
    kernel: tuple[int, int],
    *,
    depthwise: bool = False,
    padding: Padding = Padding.SAME,
) -> list[Ref]:
    """A convolution declared to keep the shape."""
    weights = made.const(np.full((*kernel, 32, 1 if depthwise else 32), 130), "uint8")
    inputs = [x[0], weights, x[1], x[2], *made.range(-1, 127 / 128), made.size(1, 1)]
    inputs += [made.const(np.zeros(32)), *made.range(-9, 9), *made.range(-4, 4 * 127 / 128)]
    op = "DepthwiseSupernode_8x8p32to8" if depthwise else "Supernode_8x8p32to8"
    return list(made.quantized(op, inputs, SHAPE, padding))


def follow(made: Builder, x: list[Ref], name: str) -> list[Ref]:
    """A node after it."""
    match name.split():
        case ["conv", width]:
            return convolution(made, x, (1, int(width)))
        case ["depthwise", width]:
            return convolution(made, x, (3, int(width)), depthwise=True)
        case [pool, window, stride]:
            sizes = [made.size(int(window), int(window)), made.size(int(stride), int(stride))]
            return list(made.quantized(f"Quantized{pool}_8", [*x, *sizes], SHAPE, Padding.SAME))
        case ["PRelu"]:
            slopes = made.const(np.full(32, 0.25), "float32")
            return list(made.quantized("QuantizedPRelu_8", [*x, slopes], SHAPE))
        case ["ResizeBilinear"]:
            inputs = [x[0], made.const([16, 16]), x[1], x[2]]
            return list(made.quantized("QuantizedResizeBilinear_8", inputs, (1, 16, 16, 32)))
        case ["Clamp"]:
            return list(made.quantized("QuantizedClamp_8", [*x, *made.range(-1, 1)], SHAPE))
        case _:
            return list(made.quantized(f"Quantized{name}_8", x, SHAPE))


def is_shifted(*names: str, padding: Padding = Padding.SAME) -> bool:
    """Whether a chain of nodes, the first a depthwise convolution, is rejected."""
    made = Builder()
    x = list(made.quantized("INPUT", [], SHAPE))
    width = int(names[0].split()[1])
    x = convolution(made, x, (3, width), depthwise=True, padding=padding)
    for name in names[1:]:
        x = follow(made, x, name)
    made.append("OUTPUT", x, [])
    return any(shifted(prepare(made.graph())))


@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("MaxPool 2 2", (True, True, True)),
        ("MaxPool 3 1", (True, True, True)),
        ("MaxPool 2 1", (False, False, False)),
        ("AvgPool 3 1", (False, False, False)),
        ("PRelu", (True, True, False)),
        ("ResizeBilinear", (True, True, True)),
        ("InstanceNorm", (True, True, True)),
        ("Tanh", (False, False, False)),
        ("conv 1", (False, False, False)),
        ("conv 5", (False, False, True)),
        ("conv 7", (False, True, True)),
        ("conv 9", (False, False, False)),
        ("depthwise 3", (False, False, False)),
        ("depthwise 5", (False, False, True)),
        ("depthwise 7", (False, True, True)),
    ],
)
def test_a_node_after_depthwise_kernels_3_5_and_7_wide(
    name: str, behind: tuple[bool, bool, bool]
) -> None:
    assert tuple(is_shifted(f"depthwise {width}", name) for width in (3, 5, 7)) == behind


@pytest.mark.parametrize("between", ["Tanh", "Neg", "HardSwish", "Softmax", "depthwise 3"])
def test_nodes_that_work_value_by_value_pass_the_shift_on(between: str) -> None:
    assert is_shifted("depthwise 3", between, "MaxPool 2 2")


@pytest.mark.parametrize("between", ["conv 1", "AvgPool 3 1", "Clamp"])
def test_nodes_that_write_rows_anew_end_the_shift(between: str) -> None:
    assert not is_shifted("depthwise 3", between, "MaxPool 2 2")


def test_without_padding_nothing_is_shifted() -> None:
    assert not is_shifted("depthwise 3", "MaxPool 2 2", padding=Padding.VALID)


def test_the_error_names_the_node_and_what_to_do() -> None:
    made = Builder()
    x = convolution(made, list(made.quantized("INPUT", [], SHAPE)), (3, 3), depthwise=True)
    x = follow(made, x, "MaxPool 2 2")
    made.append("OUTPUT", x, [])
    with pytest.raises(GraphError, match="QuantizedMaxPool_8 on data with too little") as caught:
        require_unshifted(prepare(made.graph()))
    assert str(x[0].node) in caught.value.where
    assert "flat" in caught.value.hint


def test_random_graphs_that_the_library_misreads_are_found() -> None:
    seeds = [seed for seed, row in RANDOM.items() if "depthwise" in row.get("skip", "")]
    assert seeds
    for seed in seeds:
        assert any(shifted(prepare(Generator(int(seed)).graph()[0])))
