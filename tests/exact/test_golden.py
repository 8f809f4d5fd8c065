"""Every recorded case of an op that has an exact function: the simulator's bytes, at every level
of ONNX Runtime's optimization, whether ranges are constants or computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hexconv.errors import HexconvError
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP
from hexconv.nnlib.ops import spec
from tests.exact.runs import ALL, NONE, assert_same, fed, known
from tests.golden_cases import RECORDED, Case, cases

ENDS = (INPUT_OP, OUTPUT_OP)
"""The ends of MACE's graphs: tested with whole graphs."""


def covered(op: str) -> list[Case]:
    """The cases that the simulator runs, and whose nodes have functions."""
    found = []
    for case in cases(op):
        try:
            case.run()
        except HexconvError:
            continue
        if known(case.graph(), case.library):
            found.append(case)
    return found


COVERED = {op: covered(op) for op in RECORDED if op not in ENDS}
OPS = [op for op, found in COVERED.items() if found]


def test_most_recorded_cases_are_covered() -> None:
    assert len(OPS) > 60
    assert sum(len(COVERED[op]) for op in OPS) > 400


@pytest.mark.parametrize("level", [ALL, NONE], ids=["all", "none"])
@pytest.mark.parametrize("op", OPS)
def test_recorded_cases_are_exact(op: str, level: object) -> None:
    for case in COVERED[op]:
        graph = case.graph()
        assert_same(graph, fed(graph, case.inputs), case.library, level)


def with_computed_ranges(case: Case) -> Case:
    """The same case, the ranges of its inputs fed and not const."""
    roles = spec(case.op).roles(len(case.inputs))
    fixed = [
        const and not (operand.scalar and not operand.const and not operand.role.startswith("out"))
        for const, operand in zip(case.consts, roles, strict=True)
    ]
    return replace(case, consts=fixed)


@pytest.mark.parametrize("op", OPS)
def test_recorded_cases_are_exact_with_computed_ranges(op: str) -> None:
    for case in COVERED[op]:
        computed = with_computed_ranges(case)
        try:
            computed.run()
        except HexconvError:
            continue  # the library reads these ranges when it prepares the graph
        graph = computed.graph()
        assert_same(graph, fed(graph, case.inputs), case.library)
