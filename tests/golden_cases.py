"""The recorded single-node cases, as `run_op` takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import OUTPUT_OP, Output
from hexconv.simulator.run_op import run_op, single

GOLDEN = Path(__file__).with_name("golden")
RECORDED = sorted(path.stem for path in GOLDEN.glob("*.json") if path.with_suffix(".npz").exists())
"""Every op with recorded cases."""


@dataclass(frozen=True)
class Case:
    """One recorded execution: the op, its inputs and what it declares of its outputs."""

    name: str
    op: str
    padding: str
    library: str
    inputs: list[Array]
    expected: list[Array]
    declared: list[Output] | None
    consts: list[bool]

    def run(self) -> list[Array]:
        """What the simulator computes."""
        given = (self.padding, self.library, self.declared, self.consts)
        return run_op(self.op, self.inputs, *given)

    def graph(self) -> Any:
        """The graph that `run` prepares and executes."""
        return single(self.op, self.inputs, self.padding, self.declared, self.consts)


def cases(op: str) -> list[Case]:
    """All of an op."""
    rows = json.loads((GOLDEN / f"{op}.json").read_text())
    with np.load(GOLDEN / f"{op}.npz") as data:
        return [_case(row, data) for row in rows]


def all_cases(ops: Iterable[str] = RECORDED) -> list[Case]:
    """All of several ops."""
    return [case for op in ops for case in cases(op)]


def _case(row: dict[str, Any], data: Any) -> Case:
    declared = [
        Output(tuple(given["shape"]), output["dtype"])
        for given, output in zip(row["out_defs"], row["outputs"], strict=True)
        if row["op"] != OUTPUT_OP  # that one writes the graph's outputs
    ]
    return Case(
        f"{row['case']} {row['library']}",
        row["op"],
        row["padding"],
        row["library"],
        [data[part["key"]] for part in row["inputs"]],
        [data[part["key"]] for part in row["outputs"]],
        declared,
        [part["const"] for part in row["inputs"]],
    )
