"""A Linear is one Supernode: bias included, rows on W."""

from __future__ import annotations

import pytest
from onnx import helper

from hexconv.nnlib.versions import LibraryVersion
from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "linear"
CONSTS = {"w": 0.3 * numbers((16, 24), 2), "b": numbers((24,), 3)}
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["m"])
# Weights and input are rounded: their errors add up over 16 products.
STEPS = 4.0


@pytest.mark.parametrize("shape", [(10, 16), (1, 10, 16), (2, 5, 16), (2, 3, 5, 16)])
@pytest.mark.parametrize("order", [["m", "b"], ["b", "m"]])
def test_product_and_bias_are_one_node(shape: tuple[int, ...], order: list[str]) -> None:
    nodes = [PRODUCT, helper.make_node("Add", order, ["y"])]
    proto = model(nodes, {"x": shape}, ["y"], CONSTS)
    on, off = better(proto, NAME, {"x": numbers(shape)}, STEPS)
    assert ops(on)["Supernode_8x8p32to8"] == 1 and "QuantizedMatMul_8x8to32" not in ops(on)
    assert ops(off)["QuantizedMatMul_8x8to32"] == ops(off)["QuantizedAdd_8p8to8"] == 1


def test_a_product_without_bias_is_one_too() -> None:
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (10, 16)}, ["y"], CONSTS)
    assert ops(converted(proto, {"x": numbers((10, 16))})) == {"Supernode_8x8p32to8": 1}


def test_a_sum_that_is_no_bias_stays_a_sum() -> None:
    nodes = [PRODUCT, helper.make_node("Add", ["m", "p"], ["y"])]
    proto = model(nodes, {"x": (10, 16)}, ["y"], {**CONSTS, "p": numbers((10, 24))})
    feeds = {"x": numbers((10, 16))}
    on = converted(proto, feeds)
    assert ops(on)["QuantizedAdd_8p8to8"] == 1 and max(errors(on, proto, feeds)) <= STEPS


def test_a_product_with_other_readers_keeps_its_own_output() -> None:
    nodes = [PRODUCT, helper.make_node("Add", ["m", "b"], ["y"])]
    proto = model(nodes, {"x": (10, 16)}, ["m", "y"], CONSTS)
    feeds = {"x": numbers((10, 16))}
    assert max(errors(converted(proto, feeds), proto, feeds)) <= STEPS


def test_computed_matrices_are_left_alone() -> None:
    nodes = [helper.make_node("MatMul", ["x", "z"], ["y"])]
    proto = model(nodes, {"x": (5, 16), "z": (16, 3)}, ["y"])
    feeds = {"x": numbers((5, 16)), "z": numbers((16, 3), 2)}
    assert NAME not in applied(converted(proto, feeds))


@pytest.mark.parametrize(
    ("library", "rows", "columns", "joined"),
    [
        ("v60", 1, 1000, False),
        ("v60", 2, 1000, True),
        ("v66", 1, 1000, False),
        ("v66", 1, 256, True),
    ],
)
def test_a_single_row_by_a_large_matrix_stays_a_product(
    library: LibraryVersion, rows: int, columns: int, joined: bool
) -> None:
    """A Supernode computes as many rows as fill its vectors; MatMul computes one.

    Packets of MatMul, Requantize and Add, and of the Supernode with its conversions, as measured:
    v60 8,628 and 14,343; v66 9,614 and 14,770, but for 256 columns 4,802 and 3,929.
    """
    consts = {"w": 0.1 * numbers((512, columns), 2), "b": numbers((columns,), 3)}
    nodes = [PRODUCT, helper.make_node("Add", ["m", "b"], ["y"])]
    proto, feeds = model(nodes, {"x": (rows, 512)}, ["y"], consts), {"x": numbers((rows, 512))}
    on = converted(proto, feeds, library=library)
    assert (NAME in applied(on)) is joined and max(errors(on, proto, feeds)) <= STEPS
