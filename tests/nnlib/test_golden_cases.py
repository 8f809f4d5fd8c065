"""The catalogue, the shapes and the check against cases recorded from the library itself.

nnlib_cases.jsonl: one case a line; an input is [shape, dtype, is Const, its value or null].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexconv.nnlib import Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.check import problems
from hexconv.nnlib.ops import spec
from hexconv.nnlib.shapes import infer

CASES_FILE = Path(__file__).parents[1] / "golden" / "nnlib_cases.jsonl"
CASES = [json.loads(line) for line in CASES_FILE.read_text("utf-8").splitlines()]
RUNS = [case for case in CASES if not case["refused"]]
UNSUPPORTED = [case for case in CASES if case["refused"]]


def value(shape: list[int], dtype: str, values: list[float] | None) -> Any:
    """An input's array; ones where the file does not hold its data."""
    if values is None:
        return np.ones(shape, dtype)
    return np.array(values, dtype).reshape(shape)


def graph_of(case: dict[str, Any]) -> Graph:
    """The case's node after an imaginary source of its run-time inputs."""
    consts, refs, source = [], [], []
    for index, (shape, dtype, const, values) in enumerate(case["inputs"]):
        if const:
            consts.append(Const(index, f"c{index}", value(shape, dtype, values)))
            refs.append(Ref(index))
        else:
            source.append(Output(tuple(shape), dtype))
            refs.append(Ref(1000, len(source) - 1))
    outputs = tuple(Output(tuple(shape), dtype) for shape, dtype in case["outputs"])
    node = Node(1001, "node", case["op"], tuple(refs), outputs, Padding(case["padding"]))
    return Graph("case", consts, [Node(1000, "source", "Source", (), tuple(source)), node])


def found(case: dict[str, Any]) -> list[str]:
    """Problems of the case's own node."""
    return [line for line in problems(graph_of(case), case["library"]) if "'node'" in line]


@pytest.mark.parametrize("case", RUNS, ids=lambda case: f"{case['library']}-{case['case']}")
def test_what_the_library_runs_is_accepted(case: dict[str, Any]) -> None:
    assert found(case) == []


@pytest.mark.parametrize("case", UNSUPPORTED, ids=lambda case: f"{case['library']}-{case['case']}")
def test_what_the_library_rejects_or_gets_wrong_is_rejected(case: dict[str, Any]) -> None:
    assert found(case)


@pytest.mark.parametrize("case", RUNS, ids=lambda case: f"{case['library']}-{case['case']}")
def test_the_shapes_inferred_are_those_that_the_library_returned(case: dict[str, Any]) -> None:
    consts = [value(s, t, v) if const else None for s, t, const, v in case["inputs"]]
    shapes = infer(
        case["op"],
        [tuple(item[0]) for item in case["inputs"]],
        consts,
        Padding(case["padding"]),
        len(case["outputs"]),
    )
    assert [list(shape) for shape in shapes] == [shape for shape, _ in case["outputs"]]


@pytest.mark.parametrize("case", RUNS, ids=lambda case: f"{case['library']}-{case['case']}")
def test_the_catalogue_names_the_types_that_the_library_took_and_gave(
    case: dict[str, Any],
) -> None:
    known = spec(case["op"])
    assert known.accepts(len(case["inputs"]))
    for operand, (shape, dtype, _, _) in zip(
        known.roles(len(case["inputs"])), case["inputs"], strict=True
    ):
        assert operand.shape_only or not operand.dtypes or dtype in operand.dtypes
        assert not operand.scalar or shape == [1, 1, 1, 1]
    for operand, (_, dtype) in zip(
        known.results(len(case["outputs"])), case["outputs"], strict=True
    ):
        assert not operand.dtypes or dtype in operand.dtypes
