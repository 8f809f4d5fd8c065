"""A joined output in every form: the part that is lost is named with its figure.

Under strict it is an error.

Each form joins boxes of hundreds with scores below 1, and does something to one or the other.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.errors import AccuracyError, FloorError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.joins import NOTHING, joined
from tests.lowering.proof import Array, model, numbers

node = helper.make_node
SHAPE = (1, 8, 6)
FIRST = (
    node("MatMul", ["x", "loud"], ["boxes"]),
    node("MatMul", ["x", "quiet"], ["logits"]),
    node("Tanh", ["logits"], ["scores"]),
)
WEIGHTS = {"loud": 100 * numbers((6, 4)), "quiet": np.float32(0.1) * numbers((6, 4), 1)}
SAMPLES = [{"x": numbers(SHAPE, seed)} for seed in range(2)]
LAST = node("Concat", ["boxes", "scores"], ["j"], axis=2)
ROWS = node("Concat", ["boxes", "scores"], ["j"], axis=1)
ARRAYS = {
    "row": np.array([1, 64]),
    "half": np.array([1, 32]),
    "axis": np.array([2]),
    "from": np.array([1]),
    "to": np.array([7]),
    "last": np.array([12]),
    "first": np.array([0]),
    "picked": np.array([5, 1, 0, 7]),
    "pads": np.array([0, 0, 0, 0, 1, 0]),
    "twice": np.array([1, 2, 1]),
    "behind": np.array([3]),
    "ones": np.ones((1, 8, 1), np.float32),
    "number": np.float32(0.5),
    "factors": np.linspace(0.5, 2.0, 8, dtype=np.float32),
    "columns": np.linspace(0.5, 2.0, 8, dtype=np.float32).reshape(1, 8, 1),
    "mask": np.arange(32).reshape(1, 8, 4) % 2 == 0,
}
FORMS: dict[str, list[onnx.NodeProto]] = {
    "last axis": [node("Concat", ["boxes", "scores"], ["y"], axis=-1)],
    "other axis": [node("Concat", ["boxes", "scores"], ["y"], axis=1)],
    "batch": [node("Concat", ["boxes", "scores"], ["y"], axis=0)],
    "nested": [LAST, node("Concat", ["j", "logits"], ["y"], axis=2)],
    "nested behind Transpose": [
        LAST,
        node("Transpose", ["j"], ["t"], perm=[0, 2, 1]),
        node("Transpose", ["boxes"], ["b"], perm=[0, 2, 1]),
        node("Concat", ["t", "b"], ["y"], axis=1),
    ],
    "Transpose": [LAST, node("Transpose", ["j"], ["y"], perm=[2, 0, 1])],
    "Reshape": [ROWS, node("Reshape", ["j", "row"], ["y"])],
    "Slice": [LAST, node("Slice", ["j", "from", "to", "axis"], ["y"])],
    "Slice behind Transpose": [
        ROWS,
        node("Transpose", ["j"], ["t"], perm=[0, 2, 1]),
        node("Slice", ["t", "from", "last", "axis"], ["s"]),
        node("Squeeze", ["s", "first"], ["y"]),
    ],
    "Split": [ROWS, node("Split", ["j"], ["y", "rest"], axis=2, num_outputs=2)],
    "Gather": [LAST, node("Gather", ["j", "picked"], ["y"], axis=2)],
    "Pad": [LAST, node("Pad", ["j", "pads"], ["y"])],
    "Tile": [LAST, node("Tile", ["j", "twice"], ["y"])],
    "parts reshaped": [
        node("Reshape", ["boxes", "half"], ["b"]),
        node("Reshape", ["scores", "half"], ["scores_1"]),
        node("Concat", ["b", "scores_1"], ["y"], axis=1),
    ],
    "stacked": [
        node("Unsqueeze", ["boxes", "behind"], ["b"]),
        node("Unsqueeze", ["scores", "behind"], ["scores_1"]),
        node("Concat", ["b", "scores_1"], ["y"], axis=3),
    ],
    "integers": [
        node("ArgMax", ["scores"], ["best"], axis=2),
        node("Cast", ["best"], ["class"], to=onnx.TensorProto.FLOAT),
        node("Concat", ["boxes", "scores", "class"], ["y"], axis=2),
    ],
    "constant": [node("Concat", ["ones", "boxes", "scores"], ["y"], axis=2)],
    "Relu": [LAST, node("Relu", ["j"], ["y"])],
    "number": [LAST, node("Mul", ["j", "number"], ["y"])],
    "factor by channel": [LAST, node("Mul", ["factors", "j"], ["y"])],
    "divisor by row": [LAST, node("Div", ["j", "columns"], ["y"])],
    "Where": [node("Where", ["mask", "boxes", "scores"], ["y"])],
}


def in_form(form: str) -> onnx.ModelProto:
    nodes = [*FIRST, *FORMS[form]]
    read = {name for item in nodes for name in item.input}
    consts = {name: array for name, array in {**WEIGHTS, **ARRAYS}.items() if name in read}
    return model(nodes, {"x": SHAPE}, ["y"], consts)


@pytest.mark.parametrize("form", FORMS)
def test_the_part_that_is_lost_is_an_error_with_its_figure(form: str) -> None:
    lost = r"joins 'scores(_1)?' with .*, 0\.0 dB where 8 bits of its own range allow [34]\d\.\d"
    with pytest.raises((AccuracyError, FloorError), match=lost) as raised:
        hexconv.convert(in_form(form), samples=SAMPLES, strict=True)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("form", ["last axis", "Slice", "Tile", "number"])
def test_parts_of_like_ranges_are_no_error(form: str) -> None:
    proto = in_form(form)
    for item in proto.graph.initializer:
        if item.name == "loud":
            item.CopyFrom(onnx.numpy_helper.from_array(WEIGHTS["quiet"], "loud"))
    made = hexconv.convert(proto, samples=SAMPLES, strict=True)
    names = [part.tensor for part in accuracy(made, proto, SAMPLES)["y"].parts]
    assert names == ["boxes", "scores"]


def places(nodes: list[onnx.NodeProto], *, computed: bool = False, **consts: Array) -> Array | None:
    """Of which part each element of y is, for x and z (1, 2)."""
    graph = load(model(nodes, {"x": (1, 2), "z": (1, 2)}, ["y"], consts))
    found = joined(graph.graph.outputs[0], computed=computed)
    return None if found is None else found.places


def test_constants_leave_elements_in_place_unless_they_repeat_or_divide_by_them() -> None:
    join = node("Concat", ["x", "z"], ["j"], axis=1)
    four = np.arange(1.0, 5.0, dtype=np.float32)
    for op in ("Add", "Sub", "Mul", "Div"):
        found = places([join, node(op, ["j", "four"], ["y"])], computed=True, four=four)
        assert found is not None and found.tolist() == [[0, 0, 1, 1]]
        assert places([join, node(op, ["j", "four"], ["y"])], four=four) is None
    repeats = [join, node("Mul", ["j", "tall"], ["y"])]
    assert places(repeats, computed=True, tall=np.ones((2, 1), np.float32) * 2) is None
    assert places([join, node("Div", ["four", "j"], ["y"])], computed=True, four=four) is None


def test_a_pad_adds_no_part() -> None:
    nodes = [
        node("Concat", ["x", "z"], ["j"], axis=1),
        node("Pad", ["j", "pads"], ["p"]),
        node("Tanh", ["z"], ["t"]),
        node("Concat", ["p", "t"], ["y"], axis=1),
    ]
    found = places(nodes, pads=np.array([0, 1, 0, 0]))
    assert found is not None and found.tolist() == [[NOTHING, 0, 0, 1, 1, 2, 2]]


def test_a_part_that_a_slice_leaves_out_is_none() -> None:
    nodes = [
        node("Concat", ["x", "z", "x"], ["j"], axis=1),
        node("Slice", ["j", "from", "to", "axis"], ["y"]),
    ]
    ends = {name: np.array([end]) for name, end in (("from", 3), ("to", 6), ("axis", 1))}
    found = places(nodes, **ends)
    assert found is not None and found.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("inputs", [("j", "number"), ("number", "j")])
def test_a_number_is_divided_by_no_part(inputs: tuple[str, str]) -> None:
    nodes = [node("Concat", ["x", "z"], ["j"], axis=1), node("Div", inputs, ["y"])]
    found = places(nodes, computed=True, number=np.float32(3))
    assert (found is None) == (inputs[0] == "number")


def test_what_moves_by_its_values_has_no_parts() -> None:
    nodes = [
        node("Concat", ["x", "z"], ["j"], axis=1),
        node("Unsqueeze", ["j", "axis"], ["u"]),
        node("MaxPool", ["u"], ["y"], kernel_shape=[2]),
    ]
    assert places(nodes, axis=np.array([1])) is None


def test_a_thousand_joins_of_joins_are_followed() -> None:
    nodes = [node("Concat", ["x", "z"], ["j0"], axis=1)]
    nodes += [node("Concat", [f"j{k}", "x"], [f"j{k + 1}"], axis=1) for k in range(1200)]
    nodes[-1].output[0] = "y"
    found = places(nodes)
    assert found is not None and (found[:, 2:4] == 1).all() and found.shape == (1, 2404)
