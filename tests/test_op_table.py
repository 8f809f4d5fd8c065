"""The op-support table: complete, consistent, bilingual, quick to read."""

from __future__ import annotations

import json
import re

import onnx.defs
import pytest

from hexconv import op_table
from hexconv.nnlib.ops import catalogue, spec
from hexconv.op_table import Kind

TABLE = op_table.load()
ASKED_FOR = [  # issue convert, 3
    *("Identity", "Unsqueeze", "Conv", "Relu", "Transpose", "Constant", "Reshape", "Pow"),
    *("Cast", "Div", "Sub", "MatMul", "Add", "ReduceMean", "Sqrt"),
]
WRITTEN_FOR = 28  # opset of the onnx that the rows were written with
HAN = re.compile(r"[\u4e00-\u9fff]")


def test_every_op_of_onnx_has_a_row() -> None:
    names = {
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain
    }
    assert names <= set(TABLE)
    assert len(TABLE) == len(list(TABLE))


def test_rows_give_the_opsets_at_which_onnx_defined_the_op() -> None:
    defined: dict[str, set[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            defined.setdefault(schema.name, set()).add(schema.since_version)
    written_for = {op: {v for v in TABLE[op].since if v <= WRITTEN_FOR} for op in defined}
    if onnx.defs.onnx_opset_version() < WRITTEN_FOR:  # it may lack versions of its own opsets
        assert all(versions <= written_for[op] for op, versions in defined.items())
    else:
        known = {op: {v for v in found if v <= WRITTEN_FOR} for op, found in defined.items()}
        assert written_for == known
    assert TABLE["Softmax"].since_opset(12) == 11
    assert TABLE["Gelu"].since_opset(19) is None


@pytest.mark.parametrize("op", ASKED_FOR)
def test_the_rows_that_engineers_work_from_run_in_int8(op: str) -> None:
    assert TABLE[op].int8 in ("yes", "partly")
    assert TABLE[op].glance is not Kind.UNSUPPORTED


@pytest.mark.parametrize("op", sorted(TABLE))
def test_a_row_is_whole(op: str) -> None:
    row = TABLE[op]
    assert row.op == op and row.source and row.since == tuple(sorted(row.since))
    assert row.does.en and row.does.zh and row.forms
    assert row.int8 in ("yes", "partly", "no")
    assert (row.int8 != "yes") <= bool(row.why), "what is not int8 has a reason"
    for text in (row.does, row.why, row.accuracy, row.limits, row.hint):
        assert bool(text.en) == bool(text.zh)
        assert not HAN.search(text.en)
    for form in row.forms:
        nodeless = form.kind in (Kind.FOLDED, Kind.RELABEL, Kind.UNSUPPORTED)
        assert bool(form.nnlib) != nodeless
        assert bool(form.when.en) == bool(form.when.zh)
    assert len(row.forms) == 1 or sum(not form.when for form in row.forms) <= 1
    if row.glance is Kind.UNSUPPORTED:
        assert row.hint, "an unsupported op has a hint"


@pytest.mark.parametrize("op", sorted(TABLE))
def test_every_nnlib_op_named_is_one_that_may_be_emitted(op: str) -> None:
    for name in TABLE[op].nnlib:
        assert name in catalogue() and spec(name).emit == "yes"


def test_unsupported_ops_are_listed_not_missing() -> None:
    for op in ("StringConcat", "SequenceAt", "NonZero", "NonMaxSuppression"):
        assert TABLE[op].glance is Kind.UNSUPPORTED and TABLE[op].int8 == "no"
    assert "NonZero" in TABLE and "Frobnicate" not in TABLE
    with pytest.raises(KeyError):
        TABLE["Frobnicate"]


def test_the_table_is_json() -> None:
    data = json.loads(json.dumps(TABLE.to_dict()))
    assert len(data) == len(TABLE)
    assert "QuantizedMatMul_8x8to32" in data["MatMul"]["nnlib"]
    assert data["MatMul"]["does"]["zh"]


def test_a_lowering_has_a_row_that_is_not_unsupported() -> None:
    import hexconv.lowering  # noqa: F401  (registers them)
    from hexconv.lowering import registry

    own = {op for op in registry.LOWERINGS if op not in TABLE and not onnx.defs.has(op)}
    assert len(own) < 10  # what fusions make, in hexconv's own domain
    for op in set(registry.LOWERINGS) - own:
        assert op in TABLE, f"{op} is lowered but has no row"
        assert TABLE[op].glance is not Kind.UNSUPPORTED, (
            f"{op} is lowered but its row is unsupported"
        )
