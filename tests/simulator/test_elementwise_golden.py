"""Elementwise, requantize, reduction, lookup and 16-bit ops return what the library returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexconv.nnlib.graph import Output
from hexconv.simulator.run_op import run_op

GOLDEN = Path(__file__).parents[1] / "golden"
OPS = """
    QuantizedAdd_8p8to8 QuantizedSub_8p8to8 QuantizedMul_8x8to8 QuantizedMul_8x8to32
    QuantizedAdd_8p8to32 QuantizedMaximum_8 QuantizedMinimum_8 Select_8
    QuantizedDiv_8 QuantizedRecip_8 QuantizedSqrt_8
    QuantizedEqual_8 QuantizedNotEqual_8 QuantizedLess_8 QuantizedLessEqual_8
    QuantizedGreater_8 QuantizedGreaterEqual_8
    QuantizedMean_8 QuantizedSum_8to32 Moments_8to32
    QuantizedNeg_8 QuantizedRelu_8 QuantizedReluX_8 QuantizedClamp_8
    QuantizedPRelu_8 QuantizedPRelu_8_V2 QuantizedHardSwish_8
    Requantize_32to8 Requantize_8to8 Requantize_32to16 QuantizeDownAndShrinkRange_32to8
    Quantize Dequantize AutoQuantize QuantizeINPUT_f_to_8 DequantizeOUTPUT_8tof
    Quantize_16 Quantize_u16 Dequantize_16 Dequantize_u16
    Convert_8_16 Convert_8_u16 Convert_16_8 Convert_u16_8
    QuantizedAdd_16 QuantizedSub_16 QuantizedMul_16
    QuantizedAdd_u16 QuantizedSub_u16 QuantizedMul_u16
    QuantizedTanh_16 QuantizedSigmoid_16 QuantizedLayerNorm_i16
    CastUInt8ToInt32 Gather_8 Table_8
"""
CASES = [case for op in OPS.split() for case in json.loads((GOLDEN / f"{op}.json").read_text())]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']} {case['library']}")
def test_values_and_ranges_equal_the_librarys(case: dict[str, Any]) -> None:
    with np.load(GOLDEN / f"{case['op']}.npz") as data:
        inputs = [data[part["key"]] for part in case["inputs"]]
        expected = [data[part["key"]] for part in case["outputs"]]
    declared = [
        Output(tuple(given["shape"]), output["dtype"])
        for given, output in zip(case["out_defs"], case["outputs"], strict=True)
        if case["op"] != "DequantizeOUTPUT_8tof"  # that one writes the graph's outputs
    ]
    consts = [part["const"] for part in case["inputs"]]
    outputs = run_op(case["op"], inputs, case["padding"], case["library"], declared, consts)
    for output, right in zip(outputs, expected, strict=True):
        assert output.dtype == right.dtype
        np.testing.assert_array_equal(output, right)
