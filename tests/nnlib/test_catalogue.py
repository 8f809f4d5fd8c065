"""The catalogue's own consistency."""

from __future__ import annotations

import pytest
import yaml

from hexconv import resources
from hexconv.errors import GraphError
from hexconv.nnlib import shapes
from hexconv.nnlib.constraints import CONSTRAINTS
from hexconv.nnlib.ops import RangeRule, catalogue, spec, to_dict
from hexconv.nnlib.structure import AXES

OPS = sorted(catalogue())


@pytest.mark.parametrize("op", OPS)
def test_every_entry_can_be_read_and_says_where_it_comes_from(op: str) -> None:
    known = spec(op)
    assert known.does and known.source
    assert known.emit in ("yes", "prepare", "never")
    assert (known.emit == "never") <= bool(known.why)
    assert known.form in ("flat", "d32", "either")
    assert known.proof in ("golden", "run", "source")
    assert (known.range is RangeRule.FIXED) == (known.fixed is not None)
    assert to_dict(known)["name"] == op


@pytest.mark.parametrize("op", OPS)
def test_the_range_rule_agrees_with_the_operands(op: str) -> None:
    known = spec(op)
    roles = {operand.role for operand in known.inputs}
    assert known.range.requested == ("out_min" in roles)
    optional = any(operand.role == "out_min" and operand.optional for operand in known.inputs)
    assert optional == (known.range_without is not None)
    if known.range is RangeRule.COPIED and op != "QuantizeINPUT_f_to_8":
        assert {"min", "max"} <= roles


@pytest.mark.parametrize("op", OPS)
def test_limits_name_roles_axes_and_rules_that_exist(op: str) -> None:
    known = spec(op)
    roles = {operand.role for operand in known.inputs}
    for limit in known.limits:
        assert limit.why and limit.ref
        assert bool(limit.rule) + bool(limit.same) + bool(limit.of) == 1
        assert not limit.rule or limit.rule in CONSTRAINTS
        assert not limit.of or (limit.of in roles and limit.axis in AXES)
        for text in limit.same or ():
            role, _, axis = text.partition(".")
            assert role in roles and (not axis or axis in AXES)


def test_every_constraint_guards_an_op() -> None:
    assert {limit.rule for op in OPS for limit in spec(op).limits if limit.rule} == set(CONSTRAINTS)


@pytest.mark.parametrize("op", [op for op in OPS if spec(op).emit == "yes"])
def test_every_op_that_may_be_emitted_has_a_shape_rule(op: str) -> None:
    known = spec(op)
    if known.inputs and known.outputs:
        assert op in shapes.RULES


def test_ids_are_positions_in_the_librarys_own_list() -> None:
    ids = [spec(op).id for op in OPS]
    assert len(set(ids)) == len(ids) and max(ids) == 453  # 454 names in ops.h, from 0
    assert spec("QuantizedMatMul_8x8to32").id == 17
    assert spec("Supernode_8x8p32to8").id == 183
    assert spec("QuantizedBatchMatMul_8x8to32").id == 453


def test_numbers_of_inputs() -> None:
    assert [n for n in range(12) if spec("QuantizedMul_8x8to8").accepts(n)] == [6, 8]
    assert [n for n in range(12) if spec("QuantizedConcat_8").accepts(n)] == [4, 7, 10]
    assert [n for n in range(16) if spec("Supernode_8x8p32to8").accepts(n)] == [12, 13]
    assert [n for n in range(8) if spec("DequantizeOUTPUT_8tof").accepts(n)] == [3, 6]


def test_variadic_operands_by_position() -> None:
    roles = [operand.role for operand in spec("QuantizedConcat_8").roles(7)]
    assert roles == ["axis", "data", "data", "min", "min", "max", "max"]
    roles = [operand.role for operand in spec("QuantizedSplit_8").results(5)]
    assert roles == ["data", "data", "data", "min", "max"]
    roles = [operand.role for operand in spec("QuantizeINPUT_f_to_8").results(6)]
    assert roles == ["data", "min", "max", "data", "min", "max"]


def test_an_unknown_op_is_reported_with_its_neighbors() -> None:
    with pytest.raises(GraphError, match="Supernode_8x8p32to8"):
        spec("Supernode_8x8p32to")


@pytest.mark.parametrize("name", ["nnlib", "onnx"])
def test_reading_entry_by_entry_equals_reading_whole_files(name: str) -> None:
    path = resources.folder("op_tables") / name
    whole = {}
    for file in path.glob("*.yml"):
        whole.update(yaml.safe_load(file.read_text(encoding="utf-8")))
    entries = resources.Entries(path)
    assert dict(entries) == whole
