"""The table decides: what it lists exists, and nothing exists that it does not list."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hexconv
import hexconv.decompose
from hexconv import op_table
from hexconv.lowering import LOWERINGS
from hexconv.nnlib.ops import catalogue, spec
from hexconv.onnx_graph.functions import EXPANDED
from hexconv.onnx_graph.rules import DECOMPOSITIONS, MODERNIZATIONS, SIMPLIFICATIONS
from hexconv.op_table import Kind
from hexconv.simulator.executor import load_kernels
from hexconv.simulator.registry import KERNELS

TABLE = op_table.load()
GOLDEN = {path.stem for path in (Path(__file__).parent / "golden").glob("*.json")}
# What the fusions of hexconv.optimize make: no ONNX ops.
OWN = {"Affine", "ChannelSum", "Linear", "LinearOverHeads", "Lookup", "Rescale"}
PROMISED = [op for op in TABLE if TABLE[op].int8 != "no"]


def emitted() -> set[str]:
    """Names of nnlib ops that are written in the packages that make nodes."""
    found: set[str] = set()
    for package in ("lowering", "optimize"):
        for path in (Path(hexconv.__file__).parent / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    # `Reshape` and the like are ONNX ops there.
    return {name for name in found if name in catalogue() and name not in TABLE}


def test_the_search_for_emitted_ops_finds_them() -> None:
    assert {"Supernode_8x8p32to8", "Table_8", "QuantizedPad_8"} <= emitted()
    assert len(emitted()) > 40


@pytest.mark.parametrize("op", PROMISED)
def test_what_is_promised_in_int8_is_there(op: str) -> None:
    """Lowered, decomposed, brought into canonical form, or computed beforehand."""
    row = TABLE[op]
    name = f"{row.domain}::{op}".removeprefix("::")
    somewhere = (
        op in LOWERINGS
        or op in DECOMPOSITIONS
        or op in EXPANDED
        or name in MODERNIZATIONS
        or op in SIMPLIFICATIONS
    )
    computed_beforehand = {Kind.FOLDED, Kind.RELABEL} & set(row.kinds)
    assert somewhere or computed_beforehand


@pytest.mark.parametrize("op", sorted(set(LOWERINGS) | set(DECOMPOSITIONS)))
def test_what_is_there_is_in_the_table(op: str) -> None:
    assert op in OWN or op in TABLE


@pytest.mark.parametrize("op", sorted(emitted()))
def test_every_op_that_can_be_emitted_may_be_runs_and_is_proved(op: str) -> None:
    load_kernels()
    forms = {name for name in catalogue() if name == op or spec(name).form_of == op}
    assert spec(op).emit == "yes"
    assert forms & set(KERNELS) or _expanded_by_prepare(op), "the simulator runs it"
    assert op in GOLDEN or spec(op).proof != "golden", "recorded cases, or what else proves it"


def _expanded_by_prepare(op: str) -> bool:
    """Nodes that prepare always replaces by others need no kernel."""
    kinds = ("Dilated", "Grouped", "Transpose")
    return op in {f"Quantized{kind}Conv2d_8x8p32to8" for kind in kinds}
