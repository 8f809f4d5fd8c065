"""Whatever opset a model was written for, the canonical form computes the same in one opset."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from hexconv.onnx_graph import load
from hexconv.onnx_graph.builder import OPSET
from tests.onnx_graph.models import model, node, ops, same_outputs

IMAGE = (1, 4, 6, 8)
I64 = np.int64


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, I64)


@pytest.mark.parametrize("opset", [*range(7, OPSET + 1)])
def test_a_small_cnn_of_every_opset(opset: int) -> None:
    weights = np.random.default_rng(1).standard_normal((4, 4, 3, 3)) * 0.3
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c s b m v", "bn"),
        node("Relu", "bn", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f k", "h", transB=1) if opset >= 11 else node("Gemm", "f k z", "h", transB=1),
        node("Softmax", "h", "y", axis=1),
    ]
    ones = np.ones(4)
    consts = {
        "w": weights,
        "s": ones * 2,
        "b": ones,
        "m": ones / 3,
        "v": ones * 4,
        "k": weights[:, 0, 0, :][:, [0, 1, 2, 0]],
        "z": np.zeros(4),
    }
    if opset >= 11:
        consts.pop("z")
    graph = same_outputs(model(nodes, {"x": IMAGE}, consts=consts, opset=opset))
    assert "BatchNormalization" not in ops(graph)
    assert graph.model.opset_imports == {"": OPSET}


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 18])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_over_one_axis_or_all_that_follow(op_type: str, axis: int, opset: int) -> None:
    if axis < 0 and opset < 11:
        pytest.skip("negative axes came with opset 11")
    same_outputs(model([node(op_type, "x", "y", axis=axis)], {"x": (2, 3, 4, 5)}, opset=opset))


@pytest.mark.parametrize("opset", [7, 11, 12, 13])
def test_softmax_without_an_axis(opset: int) -> None:
    same_outputs(model([node("Softmax", "x", "y")], {"x": (2, 3, 4)}, opset=opset))


@pytest.mark.parametrize(("opset", "as_input"), [(7, False), (12, False), (13, True), (21, True)])
def test_axes_of_squeeze_unsqueeze_and_sum(opset: int, as_input: bool) -> None:
    def with_axes(op_type: str, read: str, written: str, name: str, axes: list[int], **more: int):
        if as_input:
            return node(op_type, f"{read} {name}", written, **more)
        return node(op_type, read, written, axes=axes, **more)

    nodes = [
        with_axes("Unsqueeze", "x", "u", "one", [1]),
        with_axes("ReduceSum", "u", "s", "three", [3], keepdims=1),
        with_axes("Squeeze", "s", "y", "three", [3]),
    ]
    consts = {"one": i64(1), "three": i64(3)} if as_input else {}
    same_outputs(model(nodes, {"x": (2, 3, 4)}, consts=consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 11, 13, 17, 18, 20])
@pytest.mark.parametrize(
    "op_type",
    [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceProd",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ],
)
def test_reductions(op_type: str, opset: int) -> None:
    if opset < 18:
        one = node(op_type, "x", "a", axes=[1, 2], keepdims=0)
    else:
        one = node(op_type, "x axes", "a", keepdims=0)
    nodes = [one, node(op_type, "x", "b", keepdims=1)]
    consts = {"axes": i64(1, 2)} if opset >= 18 else {}
    same_outputs(model(nodes, {"x": (2, 3, 4)}, ["a", "b"], consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 9, 10, 13])
def test_slice(opset: int) -> None:
    if opset < 10:
        first = node("Slice", "x", "y", starts=[1, -3], ends=[9, -1], axes=[1, 3])
        consts = {}
    else:
        first = node("Slice", "x s e a", "y")
        consts = {"s": i64(1, -3), "e": i64(9, -1), "a": i64(1, 3)}
    same_outputs(model([first], {"x": IMAGE}, consts=consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 10, 11, 18, 21])
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(mode: str, opset: int) -> None:
    pads = [0, 0, 1, 2, 0, 0, 2, 1]
    if opset < 11:
        nodes, consts = [node("Pad", "x", "y", pads=pads, mode=mode, value=0.5)], {}
    else:
        nodes, consts = [node("Pad", "x p v", "y", mode=mode)], {"p": i64(*pads), "v": 0.5}
    same_outputs(model(nodes, {"x": IMAGE}, consts=consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 11, 12, 13])
@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (None, 0.5), (-0.5, None)])
def test_clip(bounds: tuple[float | None, float | None], opset: int) -> None:
    low, high = bounds
    if opset < 11:
        attrs = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        nodes, consts = [node("Clip", "x", "y", **attrs)], {}
    else:
        given = f"x {'l' if low is not None else '_'} {'h' if high is not None else '_'}"
        nodes = [node("Clip", given, "y")]
        consts = {k: v for k, v in (("l", low), ("h", high)) if v is not None}
    same_outputs(model(nodes, {"x": (3, 4)}, consts=consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 11, 13, 18])
def test_split_in_equal_and_unequal_parts(opset: int) -> None:
    if opset < 13:
        nodes = [node("Split", "x", "a b", axis=1, split=[1, 3]), node("Split", "x", "c d", axis=3)]
        consts = {}
    else:
        equal = {"num_outputs": 2} if opset >= 18 else {}
        nodes = [node("Split", "x s", "a b", axis=1), node("Split", "x", "c d", axis=3, **equal)]
        consts = {"s": i64(1, 3)}
    same_outputs(model(nodes, {"x": IMAGE}, ["a", "b", "c", "d"], consts, opset=opset))


def test_split_whose_last_part_is_smaller() -> None:
    nodes = [node("Split", "x", "a b c", axis=0, num_outputs=3)]
    same_outputs(model(nodes, {"x": (7, 2)}, ["a", "b", "c"], opset=18))


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 19])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_enlarging(mode: str, opset: int) -> None:
    scales = [1.0, 1.0, 2.0, 2.0]
    if opset < 9:
        nodes, consts = [node("Upsample", "x", "y", mode=mode, scales=scales)], {}
    elif opset < 11:
        op_type = "Upsample" if opset < 10 else "Resize"
        nodes, consts = [node(op_type, "x s", "y", mode=mode)], {"s": scales}
    else:
        nodes, consts = (
            [node("Resize", "x r s", "y", mode=mode)],
            {"r": np.zeros(0, "f"), "s": scales},
        )
    same_outputs(model(nodes, {"x": IMAGE}, consts=consts, opset=opset))


@pytest.mark.parametrize("size", [0.5, 0.75])
def test_shrinking_in_opset_10_rounds_up(size: float) -> None:
    nodes = [node("Resize", "x s", "y", mode="nearest")]
    same_outputs(model(nodes, {"x": IMAGE}, consts={"s": [1, 1, size, size]}, opset=10))


@pytest.mark.parametrize("opset", [7, 10, 11])
def test_top_k(opset: int) -> None:
    if opset < 10:
        nodes, consts = [node("TopK", "x", "y i", k=2, axis=1)], {}
    else:
        nodes, consts = [node("TopK", "x k", "y i", axis=1)], {"k": i64(2)}
    same_outputs(model(nodes, {"x": (3, 5)}, ["y"], consts, opset=opset))


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 22])
def test_dropout_is_gone(opset: int) -> None:
    nodes = [node("Dropout", "x", "d"), node("Relu", "d", "y")]
    assert ops(same_outputs(model(nodes, {"x": (3, 5)}, opset=opset))) == ["Relu"]


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_group_norm_with_scales_of_groups_or_channels(opset: int) -> None:
    size = 2 if opset < 21 else 4
    consts = {"s": np.arange(1, size + 1), "b": np.arange(size)}
    consts = {name: array.astype(np.float32) for name, array in consts.items()}
    nodes = [node("GroupNormalization", "x s b", "y", num_groups=2)]
    graph = load(model(nodes, {"x": IMAGE}, consts=consts, opset=opset))
    reference = {"s": np.repeat(consts["s"], 4 // size), "b": np.repeat(consts["b"], 4 // size)}
    for position, name in enumerate("sb", 1):
        value = graph.nodes[-1].inputs[position]
        assert value is not None and value.const_value is not None
        np.testing.assert_array_equal(value.const_value.numpy(), reference[name])


def test_models_of_the_newest_opset_are_read() -> None:
    newest = onnx.defs.onnx_opset_version()
    nodes = [node("Transpose", "x", "t"), node("Celu", "t", "y", alpha=2.0)]
    proto = model(nodes, {"x": (3, 5)}, opset=newest)
    proto.ir_version = onnx.IR_VERSION
    assert ops(load(proto)) == ["Transpose", "Celu"]


def test_recurrent_layers_with_the_batch_first() -> None:
    generator = np.random.default_rng(0)
    consts = {
        "w": generator.standard_normal((1, 12, 5)),
        "r": generator.standard_normal((1, 12, 3)),
    }
    proto = model(
        [node("LSTM", "x w r", "y h", hidden_size=3, layout=1)],
        {"x": (2, 7, 5)},
        ["y", "h"],
        consts,
    )
    graph = load(proto)
    assert [(o.name, o.shape) for o in graph.outputs] == [("y", (2, 7, 1, 3)), ("h", (2, 1, 3))]
