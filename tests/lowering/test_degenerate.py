"""Invalid models are rejected with the name of the node, before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests.lowering.proof import ints, matches, numbers, one, unsupported_op

SHAPE = (2, 4, 6, 5)


def of(op: str, *consts: Any, **attrs: Any) -> onnx.ModelProto:
    return one(op, SHAPE, *consts, **attrs)


def scales(*values: float) -> Any:
    return np.array(values, np.float32)


CASES: dict[str, onnx.ModelProto] = {
    "kernel 0": of("MaxPool", kernel_shape=[0, 3]),
    "kernel larger than the input": of("MaxPool", kernel_shape=[9, 9]),
    "stride 0": of("AveragePool", kernel_shape=[2, 2], strides=[0, 1]),
    "stride below 0": of("AveragePool", kernel_shape=[2, 2], strides=[-1, 1]),
    "dilation 0": of("MaxPool", kernel_shape=[2, 2], dilations=[0, 1]),
    "pads of another rank": of("MaxPool", kernel_shape=[2, 2], pads=[1, 1]),
    "pads as wide as the window": of("AveragePool", kernel_shape=[2, 2], pads=[3, 3, 3, 3]),
    "an unknown auto_pad": of("AveragePool", kernel_shape=[2, 2], auto_pad="FOO"),
    "norm of order 0": of("LpPool", opset=18, kernel_shape=[2, 2], p=0),
    "norm of order -1": of("GlobalLpPool", opset=18, p=-1),
    "norm of order 3": of("LpNormalization", p=3),
    "an axis out of range": of("ReduceMean", ints(7)),
    "an axis twice": of("Slice", ints(0, 0), ints(2, 2), ints(1, 1)),
    "step 0": of("Slice", ints(0), ints(2), ints(1), ints(0)),
    "an empty slice": of("Slice", ints(3), ints(3), ints(1)),
    "parts that do not add up": of("Split", ints(1, 1), outputs=2, axis=1),
    "an empty part": of("Split", ints(0, 4), outputs=2, axis=1),
    "a Pad that crops all": of("Pad", ints(0, 0, -6, 0, 0, 0, 0, 0)),
    "an unknown pad mode": of("Pad", ints(1, 1, 1, 1, 1, 1, 1, 1), mode="foo"),
    "a pad value that is no number": of("Pad", ints(*[1] * 8), np.float32(np.nan)),
    "a pad of 2^40": of("Pad", ints(2**40, *[0] * 7)),
    "an edge of 2^31": of("Pad", ints(2**31, *[0] * 7), mode="edge"),
    "0 repeats": of("Tile", ints(1, 1, 0, 1)),
    "2^31 repeats": of("Tile", ints(1, 1, 2**31, 1)),
    "a shape that does not expand": of("Expand", ints(3, 4, 6, 5)),
    "blocksize 0": of("DepthToSpace", blocksize=0),
    "channels that are no blocks": of("DepthToSpace", blocksize=3),
    "an image that is no blocks": of("SpaceToDepth", blocksize=4),
    "an unknown order of blocks": of("DepthToSpace", blocksize=2, mode="XXX"),
    "scale 0": of("Resize", None, scales(1, 1, 0, 1)),
    "scale that is no number": of("Resize", None, scales(1, 1, np.nan, 1)),
    "scale 10^9": of("Resize", None, scales(1, 1, 1e9, 1e9)),
    "an unknown resize": of("Resize", None, scales(1, 1, 2, 2), mode="foo"),
    "a cropping resize": of(
        "Resize",
        scales(0, 0, 0, 0, 1, 1, 1, 1),
        scales(1, 1, 2, 2),
        coordinate_transformation_mode="tf_crop_and_resize",
    ),
    "an index out of range": of("GatherND", ints([5])),
    "indices of another rank": of("GatherElements", ints(1)),
    "batches that differ": of("GatherND", ints([1]), batch_dims=3),
    "no entry kept": of("Compress", np.array([False, False]), axis=1),
    "too few lengths": of("ReverseSequence", ints(1, 2, 3)),
    "a length beyond the sequence": of("ReverseSequence", ints(9, 2, 3, 1)),
    "time and batch on one axis": of("ReverseSequence", ints(1, 2), batch_axis=0, time_axis=0),
    "updates of another shape": of("ScatterND", ints([1]), np.ones((1, 2), np.float32)),
    "a running sum along axis 9": of("CumSum", np.array(9)),
    "scales of other channels": of("InstanceNormalization", numbers(3), numbers(4)),
    "groups that do not divide": of(
        "GroupNormalization", numbers(4), numbers(4), opset=21, num_groups=3
    ),
    "0 groups": of("GroupNormalization", numbers(4), numbers(4), opset=21, num_groups=0),
    "a window of 0 channels": of("LRN", size=0),
    "a norm along axis 9": of("LayerNormalization", numbers(5), axis=9),
    "moments along axis 9": of("MeanVarianceNormalization", axes=[9]),
    "a permutation with repeats": of("Transpose", perm=[0, 0, 1, 2]),
    "a permutation of two axes": of("Transpose", perm=[0, 1]),
    "two sizes to be found": of("Reshape", ints(-1, -1)),
    "a size that is not 1": of("Squeeze", ints(0)),
    "the 9 largest of 5": of("TopK", ints(9), outputs=2),
}


@pytest.mark.parametrize("case", CASES)
def test_degenerate_ops_are_rejected_by_name(case: str) -> None:
    text = unsupported_op(CASES[case])
    assert "node" in text or "NaN" in text, text
    assert "ONNXRuntimeError" not in text


def test_a_norm_over_no_space_is_rejected() -> None:
    assert "no space" in unsupported_op(
        one("InstanceNormalization", (2, 4), numbers(4), numbers(4))
    )


LOW = {
    "GroupNormalization": lambda shape: one(
        "GroupNormalization", shape, numbers(3), numbers(3), opset=21, num_groups=1
    ),
    "DepthToSpace": lambda shape: one("DepthToSpace", shape, blocksize=2),
    "SpaceToDepth": lambda shape: one("SpaceToDepth", shape, blocksize=2),
    "ScatterND": lambda shape: one("ScatterND", shape, np.array(0), np.float32(1)),
    "BatchNormalization": lambda shape: one("BatchNormalization", shape, *[numbers(3)] * 4),
    "InstanceNormalization": lambda shape: one("InstanceNormalization", shape, *[numbers(3)] * 2),
    "Conv": lambda shape: one("Conv", shape, np.ones((3, 3, 1), np.float32)),
}


@pytest.mark.parametrize("op", LOW)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_tensor_of_too_low_a_rank_is_rejected_by_name(op: str, shape: tuple[int, ...]) -> None:
    assert "node" in unsupported_op(LOW[op](shape))


def test_axes_may_repeat_in_a_reduction() -> None:
    """ONNX Runtime takes each once."""
    matches(of("ReduceMax", ints(1, -3)))
