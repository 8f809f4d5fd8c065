"""Loop and Scan with a known number of iterations: their nodes once for each of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import ModelError, UnsupportedOpError
from hexconv.onnx_graph import load, loops
from tests.lowering.proof import Array, decibels, model, numbers

SHAPE = (1, 4, 8)
FLOATS = {"w": numbers((8, 8), 2) / 3, "half": np.array(0.5, np.float32)}
TRUE, FALSE = np.array(True), np.array(False)


def body(
    *nodes: onnx.NodeProto, carried: int = 1, outputs: list[str], go: str = "go_on"
) -> onnx.GraphProto:
    """Inputs i, go_on, h0, h1...; it returns `go` and the outputs."""
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        *(helper.make_tensor_value_info(f"h{n}", TensorProto.FLOAT, None) for n in range(carried)),
    ]
    returned = [helper.make_empty_tensor_value_info(name) for name in ("more", *outputs)]
    passed = helper.make_node("Identity", [go], ["more"])
    return helper.make_graph([*nodes, passed], "body", inputs, returned)


STEP = [
    helper.make_node("MatMul", ["h0", "w"], ["product"]),
    helper.make_node("Tanh", ["product"], ["t"]),
    helper.make_node("Add", ["t", "x"], ["h"]),
]


def looped(
    graph: onnx.GraphProto, count: int | None = 3, condition: Array | None = TRUE, outputs: int = 1
) -> onnx.ModelProto:
    names = [f"y{n}" for n in range(outputs)]
    given = ["count" if count is not None else "", "cond" if condition is not None else "", "x"]
    loop = helper.make_node("Loop", given, names, name="loop", body=graph)
    consts = dict(FLOATS)
    if count is not None:
        consts["count"] = np.array(count, np.int64)
    proto = model([loop], {"x": SHAPE}, names, consts, opset=17)
    if condition is not None:
        proto.graph.initializer.append(numpy_helper.from_array(condition, "cond"))
    return proto


def samples() -> list[dict[str, Array]]:
    return [{"x": numbers(SHAPE, seed)} for seed in range(4)]


@pytest.mark.parametrize("condition", [TRUE, None], ids=["true", "none"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_value_is_carried_through_all_iterations(count: int, condition: Array | None) -> None:
    assert decibels(looped(body(*STEP, outputs=["h"]), count, condition), samples()) > 28.0


def test_what_iterations_collect_is_stacked() -> None:
    graph = body(*STEP, outputs=["h", "t"])
    proto = looped(graph, outputs=2)
    assert decibels(proto, samples()) > 28.0
    converted = hexconv.convert(proto, samples=samples())
    assert hexconv.simulate(converted, samples()[0])["y1"].shape == (3, *SHAPE)


def test_the_number_of_the_iteration_is_a_constant() -> None:
    cast = helper.make_node("Cast", ["i"], ["number"], to=TensorProto.FLOAT)
    scaled = helper.make_node("Mul", ["number", "half"], ["amount"])
    graph = body(cast, scaled, helper.make_node("Add", ["h0", "amount"], ["h"]), outputs=["h"])
    assert decibels(looped(graph), samples()) > 35.0


def test_a_loop_that_never_runs_returns_what_it_was_given() -> None:
    for count, condition in ((0, TRUE), (3, FALSE)):
        assert decibels(looped(body(*STEP, outputs=["h"]), count, condition), samples()) > 35.0


def test_an_if_inside_is_decided_in_every_iteration() -> None:
    def taken(op: str) -> onnx.GraphProto:
        returned = [helper.make_empty_tensor_value_info("b")]
        return helper.make_graph([helper.make_node(op, ["h0"], ["b"])], op, [], returned)

    first = helper.make_node("Equal", ["i", "zero"], ["is_first"])
    zero = helper.make_node("Constant", [], ["zero"], value_int=0)
    choice = helper.make_node(
        "If", ["is_first"], ["h"], then_branch=taken("Relu"), else_branch=taken("Neg")
    )
    assert decibels(looped(body(zero, first, choice, outputs=["h"])), samples()) > 35.0


@pytest.mark.parametrize(
    ("graph", "count", "what"),
    [
        (body(*STEP, outputs=["h"]), None, "a Loop that does not end"),
        (body(*STEP, outputs=["h"]), 10_000_000, "a Loop of 10000000 iterations of 4 nodes"),
        (
            body(
                *STEP,
                helper.make_node("ReduceMax", ["h"], ["peak"], keepdims=0),
                helper.make_node("Less", ["peak", "half"], ["small"]),
                outputs=["h"],
                go="small",
            ),
            3,
            "whose iterations decide whether it goes on",
        ),
    ],
    ids=["no limit", "too often", "decided by data"],
)
def test_other_loops_are_refused_with_the_reason(
    graph: onnx.GraphProto, count: int | None, what: str
) -> None:
    with pytest.raises(UnsupportedOpError, match=what) as caught:
        load(looped(graph, count))
    assert "where: node 'loop' (Loop)" in str(caught.value)


def less(one: str, other: str, out: str = "less") -> onnx.NodeProto:
    return helper.make_node("Less", [one, other], [out])


N = helper.make_node("Constant", [], ["n"], value_int=3)
"""The number 3 in a body."""


@pytest.mark.parametrize("count", [None, np.iinfo(np.int64).max, 100])
@pytest.mark.parametrize("condition", [TRUE, None], ids=["true", "none"])
def test_a_condition_of_the_number_of_the_iteration_ends_a_loop(
    condition: Array | None, count: int | None
) -> None:
    one = helper.make_node("Constant", [], ["one"], value_int=1)
    following = helper.make_node("Add", ["i", "one"], ["next"])
    graph = body(*STEP, N, one, following, less("next", "n"), outputs=["h", "t"], go="less")
    proto = looped(graph, count, condition, outputs=2)
    converted = hexconv.convert(proto, samples=samples())
    assert hexconv.simulate(converted, samples()[0])["y1"].shape == (3, *SHAPE)
    assert decibels(proto, samples()) > 28.0


def test_a_limit_below_what_the_condition_allows_ends_a_loop_first() -> None:
    proto = looped(body(*STEP, N, less("i", "n"), outputs=["h", "t"], go="less"), 2, outputs=2)
    assert load(proto).outputs[1].shape == (2, *SHAPE)


def counting(step: str = "one", limit: str = "size") -> onnx.ModelProto:
    """TensorFlow's while loop: a counter and a limit are carried, compared as floats."""
    counter = [
        helper.make_node("Constant", [], ["one"], value_int=1),
        helper.make_node("Add", ["h1", step], ["count"]),
        helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["h2"], ["most"], to=TensorProto.FLOAT),
        less("counted", "most"),
        helper.make_node("Not", ["less"], ["ended"]),
        helper.make_node("Not", ["ended"], ["not_ended"]),
        helper.make_node("And", ["less", "not_ended"], ["both"]),
    ]
    graph = body(*STEP, *counter, carried=3, outputs=["h", "count", "h2", "t"], go="both")
    for item in graph.input[3:]:
        item.type.tensor_type.elem_type = TensorProto.INT64
    sized = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["size"], axis=0),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["data"], to=TensorProto.INT64),
    ]
    loop = helper.make_node(
        "Loop",
        ["", "go", "x", "start", limit],
        ["y", "ended", "limit", "rows"],
        name="loop",
        body=graph,
    )
    starts = {"start": np.array(0), "first": np.array(1), "go": TRUE}
    return model([*sized, loop], {"x": SHAPE}, ["y", "rows"], FLOATS | starts, opset=17)


def test_a_counter_that_is_carried_ends_a_loop() -> None:
    assert load(counting()).outputs[1].shape == (4, *SHAPE)
    assert decibels(counting(), samples()) > 28.0


@pytest.mark.parametrize(
    "proto", [counting(limit="data"), counting(step="data")], ids=["limit", "step"]
)
def test_a_counter_of_data_is_refused(proto: onnx.ModelProto) -> None:
    with pytest.raises(UnsupportedOpError, match="whose iterations decide whether it goes on"):
        load(proto)


def test_a_condition_that_lets_a_loop_run_too_often_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = helper.make_node("Constant", [], ["many"], value_int=1000)
    monkeypatch.setattr(loops, "MOST_NODES", 20)
    with pytest.raises(UnsupportedOpError, match="a Loop of 4 iterations or more of 6 nodes"):
        load(looped(body(*STEP, many, less("i", "many"), outputs=["h"], go="less"), None))


def test_a_body_of_other_inputs_is_an_invalid_model() -> None:
    with pytest.raises(ModelError, match="its body has 4 inputs, the node 3"):
        load(looped(body(*STEP, carried=2, outputs=["h"])))


def test_loops_inside_of_loops_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = looped(body(*STEP, outputs=["h"]), 100).graph.node[0]
    inner.input[:] = ["many", "go_on", "h0"]
    inner.output[:] = ["h"]
    many = helper.make_node("Constant", [], ["many"], value_int=100)
    nested = looped(body(many, inner, outputs=["h"]), 5)
    load(nested)
    monkeypatch.setattr(loops, "MOST_IN_ALL", 1500)
    with pytest.raises(UnsupportedOpError, match="a Loop of 100 iterations"):
        load(nested)


def scanned(axis: int, backwards: int, inputs: int = 1) -> onnx.ModelProto:
    """A running sum over slices of x along `axis`, returned last and stacked along the same."""
    part = [size for place, size in enumerate(SHAPE) if place != axis]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, part) for name in names]
        for names in (("h", "s"), ("sum", "out"))
    ]
    steps = [
        helper.make_node("Add", ["h", "s"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["out"]),
    ]
    scan = helper.make_node(
        "Scan",
        ["start", *["x"] * inputs],
        ["last", "y"],
        name="scan",
        body=helper.make_graph(steps, "body", *ends),
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_input_directions=[backwards],
        scan_output_axes=[axis],
        scan_output_directions=[backwards],
    )
    start = {"start": np.zeros(part, np.float32)}
    return model([scan], {"x": SHAPE}, ["last", "y"], start, opset=17)


@pytest.mark.parametrize("backwards", [0, 1])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_scan_runs_once_for_each_slice(axis: int, backwards: int) -> None:
    assert decibels(scanned(axis, backwards), samples()) > 28.0


@pytest.mark.parametrize(
    ("name", "numbers", "why"),
    [
        ("scan_input_axes", [9], r"scan_input_axes \[9\] of inputs of shape \[\(1, 4, 8\)\]"),
        ("scan_input_axes", [1, 1], "scan_input_axes has 2 numbers, for 1 tensors"),
        ("scan_output_directions", [], "scan_output_directions has 0 numbers, for 1 tensors"),
    ],
)
def test_axes_that_no_tensor_of_a_scan_has_are_an_invalid_model(
    name: str, numbers: list[int], why: str
) -> None:
    proto = scanned(1, 0)
    (given,) = (attr for attr in proto.graph.node[0].attribute if attr.name == name)
    given.ints[:] = numbers
    with pytest.raises(ModelError, match=why):
        load(proto)


def test_a_scan_of_other_inputs_than_its_body_is_an_invalid_model() -> None:
    with pytest.raises(ModelError, match="its body has 2 inputs, the node 4"):
        load(scanned(1, 0, inputs=3))
