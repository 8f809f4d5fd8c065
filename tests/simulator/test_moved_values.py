"""Kernels of activations, pools, norms, layout moves, resizes: the library's own outputs."""

import json
from pathlib import Path

import numpy as np
import pytest

import hexconv.simulator.kernels.activation
import hexconv.simulator.kernels.argmax
import hexconv.simulator.kernels.concat_split
import hexconv.simulator.kernels.instance_norm
import hexconv.simulator.kernels.l2_normalize
import hexconv.simulator.kernels.layout_ops
import hexconv.simulator.kernels.lrn
import hexconv.simulator.kernels.pool
import hexconv.simulator.kernels.resize
import hexconv.simulator.kernels.slice_pad
import hexconv.simulator.kernels.softmax  # noqa: F401
from hexconv.nnlib.graph import Output, Padding
from hexconv.simulator.registry import KERNELS, KernelCall

GOLDEN = Path(__file__).parents[1] / "golden"
OPS = (
    "ArgMax_8",
    "ArgMax_8toInt32",
    "BatchToSpaceND_8",
    "DepthToSpace_8",
    "L2Normalize_8",
    "MirrorPad_8",
    "QuantizedAvgPool_8",
    "QuantizedConcat_8",
    "QuantizedInstanceNormBG_8",
    "QuantizedInstanceNorm_8",
    "QuantizedL2Pool_8",
    "QuantizedLRN_8",
    "QuantizedMaxPool_8",
    "QuantizedPad_8",
    "QuantizedReshape",
    "QuantizedResizeBilinear_8",
    "QuantizedSigmoid_8",
    "QuantizedSlice_8",
    "QuantizedSoftmax_8",
    "QuantizedSplit_8",
    "QuantizedStridedSlice_8",
    "QuantizedTanh_8",
    "QuantizedTile_8",
    "ResizeNearestNeighbor_8",
    "SpaceToBatchND_8",
    "SpaceToDepth_8",
    "Transpose_8",
)
MOVES = {"Convert_to_d32", "Convert_from_d32"}


def executed(case):
    """The node that does the work; changes of the physical layout keep every value."""
    (op,) = [op for op in case["post"] if op not in MOVES]
    return op


@pytest.mark.parametrize("op", OPS)
def test_it_returns_the_bits_of_the_library(op):
    arrays = np.load(GOLDEN / f"{op}.npz")
    for case in json.loads((GOLDEN / f"{op}.json").read_text()):
        expected = [arrays[entry["key"]] for entry in case["outputs"]]
        call = KernelCall(
            op=executed(case),
            inputs=[arrays[entry["key"]] for entry in case["inputs"]],
            padding=Padding(case["padding"]),
            outputs=tuple(
                Output(tuple(entry["shape"]), str(array.dtype))
                for entry, array in zip(case["out_defs"], expected, strict=True)
            ),
            # The open build's compiler took the v65 forms of what a version changes.
            library=case["library"],
        )
        for got, want in zip(KERNELS[call.op](call), expected, strict=True):
            assert got.dtype == want.dtype, case["case"]
            np.testing.assert_array_equal(got, want, case["case"])
