"""Convolutions and matrix products return what the real library returned, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexconv.nnlib.graph import Output
from hexconv.simulator.run_op import run_op

GOLDEN = Path(__file__).parents[1] / "golden"
OPS = [
    "Supernode_8x8p32to8",
    "DepthwiseSupernode_8x8p32to8",
    "QuantizedTransposeConv2d_8x8p32to8",
    "QuantizedDilatedConv2d_8x8p32to8",
    "QuantizedGroupedConv2d_8x8p32to8",
    "SuperFC_8x8p32to8",
    "QuantizedMatMul_8x8to32",
    "QuantizedBatchMatMul_8x8to32",
    "QuantizedMatMul_8x8p32to16",
    "QuantizedMatMulDims_8x8p32to16",
    "QuantizedBatchNorm_8x8p32to8",
    "QuantizedBatchNorm_8x8p8to8",
    "Supernode_16x16p32to16",
]
CASES = [case for op in OPS for case in json.loads((GOLDEN / f"{op}.json").read_text())]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']} {case['library']}")
def test_the_simulator_returns_what_the_library_returned(case: dict[str, Any]) -> None:
    with np.load(GOLDEN / f"{case['op']}.npz") as data:
        inputs = [data[part["key"]] for part in case["inputs"]]
        expected = [data[part["key"]] for part in case["outputs"]]
    declared = [
        Output(tuple(given["shape"]), output["dtype"])
        for given, output in zip(case["out_defs"], case["outputs"], strict=True)
    ]
    consts = [part["const"] for part in case["inputs"]]
    outputs = run_op(case["op"], inputs, case["padding"], case["library"], declared, consts)
    for output, right in zip(outputs, expected, strict=True):
        assert output.dtype == right.dtype
        np.testing.assert_array_equal(output, right)
