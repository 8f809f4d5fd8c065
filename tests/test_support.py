"""`check` names the ops that `convert` makes."""

from __future__ import annotations

import onnx
import pytest

import hexconv
from hexconv.models.encoder import reference_encoder
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP
from tests.compare.nets import convolutions


@pytest.mark.parametrize("proto", [convolutions(), reference_encoder()], ids=["conv", "encoder"])
def test_the_ops_are_those_of_the_conversion(proto: onnx.ModelProto) -> None:
    made = hexconv.convert(proto).graph.histogram()
    named: dict[str, int] = {}
    for row in hexconv.check(proto).nodes:
        for op in row.nnlib:
            named[op] = named.get(op, 0) + 1
    ends = {INPUT_OP, OUTPUT_OP}
    assert named == {op: count for op, count in made.items() if op not in ends}


def test_a_fused_node_names_the_one_that_computes_it() -> None:
    rows = {row.op: row for row in hexconv.check(convolutions()).nodes}
    assert rows["Relu"].nnlib == () and rows["Relu"].within


def test_without_fusions_each_node_has_its_own_ops() -> None:
    rows = hexconv.check(convolutions(), fusions=False).nodes
    assert all(row.nnlib and not row.within for row in rows if row.op in ("Conv", "Relu"))
