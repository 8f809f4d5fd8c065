"""Constants are computed, nodes without effect are removed, names stay, and one form is left."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hexconv.onnx_graph import load
from tests.onnx_graph.models import model, node, ops, same_outputs

I64 = np.int64


def test_shape_arithmetic_folds_away() -> None:
    """As torch's exporter writes x.reshape(x.shape[0], x.shape[1] * x.shape[2], -1)."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "b", axis=0),
        node("Gather", "s one", "c", axis=0),
        node("Gather", "s two", "h", axis=0),
        node("Mul", "c h", "ch"),
        node("Unsqueeze", "b axis", "b1"),
        node("Unsqueeze", "ch axis", "ch1"),
        node("Concat", "b1 ch1 minus", "shape", axis=0),
        node("Reshape", "x shape", "y"),
    ]
    consts = {
        "zero": np.array(0, I64),
        "one": np.array(1, I64),
        "two": np.array(2, I64),
        "axis": np.array([0], I64),
        "minus": np.array([-1], I64),
    }
    graph = same_outputs(model(nodes, {"x": ("b", "c", 3, "w")}, consts=consts), x=(2, 4, 3, 5))
    assert ops(graph) == ["Reshape"]
    assert graph.outputs[0].shape == (2, 12, 5)


def test_masks_made_of_range_expand_and_where_fold_away() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s one", "n", axis=0),
        node("Range", "zero n step", "r"),
        node("Unsqueeze", "r axis", "row"),
        node("Less", "row limit", "keep"),
        node("Where", "keep yes no", "m"),
        node("Expand", "m s", "mask"),
        node("Add", "x mask", "y"),
    ]
    consts = {
        "one": np.array(1, I64),
        "zero": np.array(0, I64),
        "step": np.array(1, I64),
        "axis": np.array([0], I64),
        "limit": np.array(3, I64),
        "yes": 0.0,
        "no": -1e4,
    }
    graph = same_outputs(model(nodes, {"x": ("t", "u")}, consts=consts), x=(4, 5))
    assert ops(graph) == ["Add"]
    mask = graph.const("mask")
    assert mask is not None and mask.shape == (4, 5) and mask[0].tolist() == [0, 0, 0, -1e4, -1e4]


@pytest.mark.parametrize("form", ["value", "value_float", "value_floats"])
def test_constant_nodes_become_initializers(form: str) -> None:
    value = numpy_helper.from_array(np.array([2.5], np.float32))
    attrs = {"value": value, "value_float": 2.5, "value_floats": [2.5]}
    constant = helper.make_node("Constant", [], ["c"], **{form: attrs[form]})
    graph = same_outputs(model([constant, node("Mul", "x c", "y")], {"x": (2, 3)}))
    assert ops(graph) == ["Mul"] and graph.const("c") is not None


def test_half_precision_becomes_float32_and_its_casts_vanish() -> None:
    half = np.array([[1, 2], [3, 4]], np.float16)
    nodes = [
        node("Cast", "x", "h", to=onnx.TensorProto.FLOAT16),
        node("MatMul", "h w", "m"),
        node("Cast", "m", "y", to=onnx.TensorProto.FLOAT),
    ]
    graph = same_outputs(model(nodes, {"x": (3, 2)}, consts={"w": half}), tolerance=5e-3)
    assert ops(graph) == ["MatMul"]
    weights = graph.const("w")
    assert weights is not None and weights.dtype == np.float32


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE"])
def test_inputs_of_other_floats_become_float32(dtype: str) -> None:
    nodes = [node("Relu", "x", "y")]
    code = getattr(onnx.TensorProto, dtype)
    graph = same_outputs(model(nodes, {"x": (3, 2)}, dtype=code), tolerance=5e-3)
    assert graph.inputs[0].dtype == graph.outputs[0].dtype == "float32"


def test_local_functions_are_inlined_also_when_they_use_another_opset() -> None:
    body = helper.make_function(
        "local",
        "Center",
        ["a"],
        ["b"],
        [
            helper.make_node("ReduceMean", ["a"], ["mean"], axes=[-1], keepdims=1),
            helper.make_node("Sub", ["a", "mean"], ["b"]),
        ],
        [helper.make_opsetid("", 13)],
    )
    calls = [
        helper.make_node("Center", ["x"], ["c"], domain="local"),
        helper.make_node("Center", ["c"], ["y"], domain="local"),
    ]
    proto = model(calls, {"x": (2, 5)}, opset=18)
    proto.functions.append(body)
    proto.opset_import.append(helper.make_opsetid("local", 1))
    assert ops(load(proto)) == ["ReduceMean", "Sub", "ReduceMean", "Sub"]


def test_an_if_whose_condition_is_constant_is_decided() -> None:
    def branch(op_type: str, name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op_type, ["x"], [name])], name, [], [out])

    choice = helper.make_node(
        "If", ["c"], ["i"], then_branch=branch("Relu", "a"), else_branch=branch("Neg", "b")
    )
    nodes = [choice, node("Abs", "i", "y")]
    for condition, wanted in ((True, "Relu"), (False, "Neg")):
        proto = model(nodes, {"x": (2, 3)}, consts={"c": np.array(condition)})
        assert ops(same_outputs(proto)) == [wanted, "Abs"]


NAMES = ["aten::add/out", "/layer.0/attn/MatMul:0", "tensor with spaces", "张量", "x.1"]


@pytest.mark.parametrize("name", NAMES)
def test_tensors_keep_names_of_every_kind(name: str) -> None:
    nodes = [
        helper.make_node("Relu", ["in:" + name], [name]),
        helper.make_node("Neg", [name], ["out:" + name]),
    ]
    graph = load(model(nodes, {"in:" + name: (2, 3)}, ["out:" + name]))
    assert graph.inputs[0].name == "in:" + name and graph.outputs[0].name == "out:" + name
    assert name in graph.values()


def test_node_names_become_unique() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="n"),
        helper.make_node("Neg", ["a"], ["b"], name="n"),
        helper.make_node("Abs", ["b"], ["y"]),
    ]
    names = [item.name for item in load(model(nodes, {"x": (2,)})).nodes]
    assert len(set(names)) == 3 and all(names) and names[0] == "n"


def test_nodes_out_of_order_are_put_in_order() -> None:
    nodes = [node("Neg", "a", "y"), node("Relu", "x", "a")]
    assert ops(load(model(nodes, {"x": (2,)}))) == ["Relu", "Neg"]


def test_dead_nodes_and_weights_go_and_equal_weights_are_shared() -> None:
    weights = np.arange(6.0).reshape(2, 3)
    nodes = [
        node("MatMul", "x w1", "a"),
        node("MatMul", "x w2", "b"),
        node("Add", "a b", "y"),
        node("MatMul", "x w3", "dead"),
    ]
    consts = {"w1": weights, "w2": weights.copy(), "w3": weights + 1}
    graph = same_outputs(model(nodes, {"x": (4, 2)}, consts=consts))
    assert sorted(graph.graph.initializers) == ["w1"] and len(graph.nodes) == 3


def test_initializers_that_are_also_inputs_are_initializers() -> None:
    proto = model([node("Mul", "x w", "y")], {"x": (2,), "w": (2,)}, consts={"w": [1.0, 2.0]})
    assert [i.name for i in load(proto).inputs] == ["x"]


def test_unused_integer_inputs_are_dropped_and_named() -> None:
    proto = model([node("Relu", "x", "y")], {"x": (2,)})
    proto.graph.input.append(helper.make_tensor_value_info("lengths", 7, ["n"]))
    graph = load(proto, {"lengths": (1,)})
    assert [i.name for i in graph.inputs] == ["x"] and graph.dropped_inputs == ("lengths",)


SHAPERS = [
    (
        [node("Squeeze", "x one", "a"), node("Unsqueeze", "a one", "b"), node("Flatten", "b", "y")],
        1,
    ),
    ([node("Reshape", "x s1", "a"), node("Reshape", "a s2", "y")], 1),
    ([node("Transpose", "x", "a", perm=[0, 2, 1, 3]), node("Transpose", "a", "y")], 1),
    ([node("Transpose", "x", "a"), node("Transpose", "a", "b"), node("Relu", "b", "y")], 1),
    ([node("Add", "x zero", "a"), node("Mul", "unit a", "b"), node("Div", "b unit", "y")], 1),
    ([node("Pad", "x none", "a"), node("Slice", "a s e", "b"), node("Relu", "b", "y")], 1),
    ([node("Expand", "x shape", "a"), node("Relu", "a", "y")], 1),
]


@pytest.mark.parametrize(("nodes", "left"), SHAPERS)
def test_what_moves_or_changes_nothing_is_gone(nodes: list[onnx.NodeProto], left: int) -> None:
    consts = {
        "one": np.array([1], I64),
        "s1": np.array([0, -1], I64),
        "s2": np.array([6, 4], I64),
        "zero": 0.0,
        "unit": [1.0],
        "none": np.zeros(8, I64),
        "s": np.array([0], I64),
        "e": np.array([2**62], I64),
        "shape": np.array([2, 1, 3, 4], I64),
    }
    proto = model(nodes, {"x": (2, 1, 3, 4)}, consts=consts)
    assert len(same_outputs(proto).nodes) == left


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_constants_come_second(op: str) -> None:
    consts = {"c": np.float32([1.0, -2.0, 3.0])}
    graph = same_outputs(model([node(op, "c x", "y")], {"x": (2, 3)}, consts=consts), x=(2, 3))
    (made,) = graph.nodes
    assert [value.name for value in made.inputs if value is not None] == ["x", "c"]
    assert not graph.recognized  # nothing that a report would have to tell


def test_a_neutral_constant_that_broadcasts_stays() -> None:
    proto = model([node("Add", "x z", "y")], {"x": (3,)}, consts={"z": np.zeros((2, 3))})
    assert ops(same_outputs(proto)) == ["Add"]


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_is_folded_into_convolutions(op_type: str, biased: bool, group: int) -> None:
    generator = np.random.default_rng(2)
    channels = 6
    shape = (channels, 4 // group, 3) if op_type == "Conv" else (4, channels // group, 3)
    read = "x w b" if biased else "x w"
    nodes = [node(op_type, read, "c", group=group), node("BatchNormalization", "c s o m v", "y")]
    consts = {
        "w": generator.standard_normal(shape),
        "b": generator.standard_normal(channels),
        "s": generator.standard_normal(channels),
        "o": generator.standard_normal(channels),
        "m": generator.standard_normal(channels),
        "v": generator.random(channels) + 0.5,
    }
    graph = same_outputs(model(nodes, {"x": (1, 4, 9)}, consts=consts), tolerance=1e-4)
    assert ops(graph) == [op_type]


@pytest.mark.parametrize("transposed", [0, 1])
def test_batch_norm_is_folded_into_gemm(transposed: int) -> None:
    generator = np.random.default_rng(2)
    shape = (5, 3) if transposed else (3, 5)
    nodes = [
        node("Gemm", "x w b", "g", transB=transposed),
        node("BatchNormalization", "g s o m v", "y"),
    ]
    consts = {name: generator.random(5) + 0.5 for name in "bsomv"}
    consts["w"] = generator.standard_normal(shape)
    assert ops(same_outputs(model(nodes, {"x": (2, 3)}, consts=consts))) == ["Gemm"]


def test_a_standalone_batch_norm_stays() -> None:
    consts = {name: np.ones(3) for name in "somv"}
    nodes = [node("Relu", "x", "r"), node("BatchNormalization", "r s o m v", "y")]
    assert ops(same_outputs(model(nodes, {"x": (1, 3, 4)}, consts=consts)))[-1] == nodes[1].op_type


@pytest.mark.parametrize(("value", "merged"), [(0.0, True), (1.0, False)])
def test_zeros_padded_before_a_convolution_become_its_own(value: float, merged: bool) -> None:
    nodes = [node("Pad", "x p v", "a"), node("Conv", "a w", "y", pads=[0, 1, 0, 0])]
    consts = {
        "p": np.array([0, 0, 1, 2, 0, 0, 2, 1], I64),
        "v": value,
        "w": np.random.default_rng(0).standard_normal((2, 3, 3, 3)),
    }
    graph = same_outputs(model(nodes, {"x": (1, 3, 5, 6)}, consts=consts))
    assert ops(graph) == (["Conv"] if merged else ["Pad", "Conv"])


LOWEST = float(np.finfo(np.float32).min)
POOLS = {  # the padded number, attributes of the pool, what remains
    "-infinity": (-np.inf, {"kernel_shape": [3, 3]}, ["MaxPool"]),
    "the lowest float": (LOWEST, {"kernel_shape": [3, 4], "strides": [2, 1]}, ["MaxPool"]),
    "pads of its own": (LOWEST, {"kernel_shape": [4, 4], "pads": [1, 1, 0, 1]}, ["MaxPool"]),
    "a number that data reaches": (-2.0, {"kernel_shape": [3, 3]}, ["Pad", "MaxPool"]),
    "a window of padding alone": (LOWEST, {"kernel_shape": [2, 2]}, ["Pad", "MaxPool"]),
    "a dilated window": (
        LOWEST,
        {"kernel_shape": [3, 3], "dilations": [2, 2]},
        ["Pad", "MaxPool"],
    ),
    "sizes rounded up": (
        LOWEST,
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        ["Pad", "MaxPool"],
    ),
}


@pytest.mark.parametrize("form", POOLS)
def test_numbers_below_all_that_are_padded_before_a_max_pool_become_its_own(form: str) -> None:
    value, attributes, remaining = POOLS[form]
    nodes = [node("Pad", "x p v", "a"), node("MaxPool", "a", "y", **attributes)]
    consts = {"p": np.array([0, 0, 1, 2, 0, 0, 2, 1], I64), "v": np.float32(value)}
    graph = same_outputs(model(nodes, {"x": (1, 3, 7, 8)}, consts=consts))
    assert ops(graph) == remaining


def test_an_output_that_is_a_constant_or_an_input_keeps_its_name() -> None:
    nodes = [node("Shape", "x", "s"), node("Identity", "x", "same"), node("Relu", "x", "y")]
    graph = same_outputs(model(nodes, {"x": (2, 3)}, ["s", "same", "y"]))
    assert [value.name for value in graph.outputs] == ["s", "same", "y"]


def test_macs_count_dot_products() -> None:
    nodes = [
        node("Conv", "x w", "c", group=2),
        node("Reshape", "c s", "r"),
        node("MatMul", "r k", "y"),
    ]
    consts = {"w": np.ones((6, 2, 3)), "s": np.array([6, 7], I64), "k": np.ones((7, 10))}
    graph = load(model(nodes, {"x": (1, 4, 9)}, consts=consts))
    assert graph.macs() == {"n_c": 6 * 7 * 2 * 3, "n_r": 0, "n_y": 6 * 7 * 10}


CONSTANT = {
    "GatherElements of 512 elements": node("GatherElements", "a i", "c", axis=1),
    "GatherElements with fewer indices in another axis": node(
        "GatherElements", "t j", "c", axis=-2
    ),
    "OneHot with a depth of rank 1": node("OneHot", "o depth values", "c", axis=0),
    "Pad with negative pads": node("Pad", "a pads", "c"),
    "L1 norm of negative values": node("LpNormalization", "a", "c", axis=1, p=1),
    "Gelu": node("Gelu", "a", "c"),
}
DRAW = np.random.default_rng(5)
OPERANDS = {
    "a": DRAW.standard_normal((3, 512)),
    "i": DRAW.integers(0, 512, (3, 7)).astype(I64),
    "t": DRAW.standard_normal((4, 5, 3)),
    "j": DRAW.integers(0, 5, (2, 4, 2)).astype(I64),
    "o": DRAW.integers(0, 5, (2, 3)).astype(I64),
    "depth": np.array([5], I64),
    "values": np.array([2, 3], np.float32),
    "pads": np.array([-1, 0, 1, -2], I64),
}


@pytest.mark.parametrize("case", CONSTANT)
def test_a_constant_is_what_onnx_runtime_computes(case: str) -> None:
    """ONNX's reference fails on these, or returns other values."""
    nodes = [CONSTANT[case], node("ReduceMax", "c", "m", keepdims=0), node("Add", "x m", "y")]
    graph = same_outputs(model(nodes, {"x": (2,)}, consts=OPERANDS, opset=20), x=(2,))
    assert ops(graph) == ["Add"]
