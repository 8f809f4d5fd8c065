"""What `check` rejects, by the message that the user reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexconv.errors import GraphError
from hexconv.nnlib import Const, Graph, Interface, Layout, Node, Output, Padding, Ref
from hexconv.nnlib.check import check, problems

ONE = Output((1, 1, 1, 1), "float32")
SEQUENCE = Layout(((), (0,), (1,), (2,)))


def scalar(index: int, name: str, number: float) -> Const:
    return Const(index, name, np.full((1, 1, 1, 1), number, np.float32))


def data(*shape: int) -> Output:
    b, h, w, d = shape
    return Output((b, h, w, d), "uint8")


def chain(count: int) -> Graph:
    """input, then `count` convolutions and additions in turn, then output."""
    consts = [
        scalar(0, "low", -1.0),
        scalar(1, "high", 1.0),
        Const(2, "weights", np.zeros((1, 1, 32, 32), np.uint8)),
        Const(3, "stride", np.zeros((1, 1, 1, 1), np.uint8), shape_only=True),
        Const(4, "bias", np.zeros((1, 1, 1, 32), np.int32)),
    ]
    low, high, outputs = Ref(0), Ref(1), (data(1, 1, 8, 32), ONE, ONE)
    nodes = [Node(10, "input", "QuantizeINPUT_f_to_8", (), outputs)]
    for index in range(count):
        x, x_min, x_max = (Ref(10 + index, port) for port in range(3))
        if index % 2:
            op, padding = "QuantizedAdd_8p8to8", Padding.NA
            inputs = (x, x, x_min, x_max, x_min, x_max, low, high)
        else:
            op, padding = "Supernode_8x8p32to8", Padding.SAME
            inputs = (x, Ref(2), x_min, x_max, low, high, Ref(3), Ref(4), low, high, low, high)
        nodes.append(Node(11 + index, f"n{index}", op, inputs, outputs, padding))
    ends = tuple(Ref(10 + count, port) for port in range(3))
    nodes.append(Node(11 + count, "output", "DequantizeOUTPUT_8tof", ends, ()))
    tensor = Interface("x", (1, 8, 32), SEQUENCE)
    return Graph("chain", consts, nodes, [tensor], [tensor])


def changed(graph: Graph, index: int, **fields: object) -> Graph:
    """The graph with fields of node `index` replaced."""
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **fields)  # type: ignore[arg-type]
    return Graph(graph.name, graph.consts, nodes, graph.inputs, graph.outputs)


def single(op: str, inputs: list[Output | Const], *outputs: Output, pad: str = "NA") -> Graph:
    """One node, its run-time inputs from a node that the check does not know."""
    consts = [replace(item, id=i) for i, item in enumerate(inputs) if isinstance(item, Const)]
    feeds = [item for item in inputs if isinstance(item, Output)]
    refs, fed = [], 0
    for index, item in enumerate(inputs):
        refs.append(Ref(index) if isinstance(item, Const) else Ref(100, fed))
        fed += not isinstance(item, Const)
    node = Node(101, "node", op, tuple(refs), outputs, Padding[pad])
    return Graph("single", consts, [Node(100, "feed", "Feed", (), tuple(feeds)), node])


def says(graph: Graph) -> str:
    """The problems of `single`'s node, joined."""
    return "\n".join(line for line in problems(graph) if "'node'" in line)


def ints(*values: int) -> Const:
    return Const(0, "ints", np.array(values, np.int32).reshape(1, 1, 1, -1))


def number(value: float) -> Const:
    return scalar(0, "number", value)


def test_a_sound_graph_passes() -> None:
    check(chain(6))


def test_every_problem_is_listed_at_once_with_its_node() -> None:
    graph = changed(chain(6), 2, inputs=chain(6).nodes[2].inputs[:7])
    graph = changed(graph, 3, padding=Padding.NA)
    with pytest.raises(GraphError) as error:
        check(graph)
    message = str(error.value)
    assert "2 problems" in message
    assert "'n1' (QuantizedAdd_8p8to8" in message and "7 inputs; it takes 6 or 8" in message
    assert "'n2' (Supernode_8x8p32to8" in message and "padding NA is not supported" in message


def test_a_node_that_is_not_there_is_named() -> None:
    graph = changed(chain(1), 1, inputs=(Ref(77), *chain(1).nodes[1].inputs[1:]))
    assert "input 0 is node 77, which does not exist" in problems(graph)[0]


def test_a_port_that_is_not_there_is_named() -> None:
    graph = changed(chain(1), 1, inputs=(Ref(10, 3), *chain(1).nodes[1].inputs[1:]))
    assert "output 3 of node 10, which has 3" in problems(graph)[0]


def test_an_id_taken_twice_is_rejected() -> None:
    graph = changed(chain(2), 1, id=12)
    assert any("the id 12 is taken twice" in line for line in problems(graph))


def test_a_cycle_is_reported_by_its_nodes() -> None:
    graph = chain(4)
    looped = changed(graph, 1, inputs=(Ref(13), *graph.nodes[1].inputs[1:]))
    assert any("cycle" in line and "n0" in line and "n2" in line for line in problems(looped))


def test_nodes_before_what_they_read_are_rejected() -> None:
    graph = chain(4)
    graph.nodes[1], graph.nodes[2] = graph.nodes[2], graph.nodes[1]
    assert any("execution order" in line for line in problems(graph))


def test_a_declared_shape_that_the_library_will_not_compute_is_rejected() -> None:
    graph = changed(chain(1), 1, outputs=(data(1, 1, 9, 32), ONE, ONE))
    assert any("declared [1, 1, 9, 32], will be [1, 1, 8, 32]" in line for line in problems(graph))


def test_the_interface_must_match_the_input_node() -> None:
    graph = chain(1)
    graph.inputs.append(Interface("y", (1, 8, 32), SEQUENCE))
    assert any("2 tensors need 3 each" in line for line in problems(graph))


def test_types_are_checked_by_role() -> None:
    graph = chain(1)
    graph.consts[4] = Const(4, "bias", np.zeros((1, 1, 1, 32), np.uint8))
    assert any("input 7 (bias) is uint8, must be int32" in line for line in problems(graph))


def test_a_min_must_be_one_number() -> None:
    graph = chain(1)
    graph.consts[0] = Const(0, "low", np.zeros((1, 1, 1, 2), np.float32))
    assert any("(w_min) must be a scalar" in line for line in problems(graph))


def test_a_const_of_rank_3_is_rejected() -> None:
    graph = chain(1)
    graph.consts[4] = Const(4, "bias", np.zeros((1, 1, 32), np.int32))
    assert any("not four sizes" in line for line in problems(graph))


def test_an_unknown_op_is_named_with_its_neighbors() -> None:
    assert any(
        "no op 'Supernode_8x8p32to9'" in line
        for line in problems(changed(chain(1), 1, op="Supernode_8x8p32to9"))
    )


def test_an_op_that_only_prepare_makes_is_rejected() -> None:
    graph = changed(chain(1), 1, op="Supernode_8x8p32to8_d32")
    assert any("only the library's own prepare" in line for line in problems(graph))


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (-3.0, 5.0), (-20.0, 20.0), (-0.5, 0.7)])
def test_requantize_8to8_needs_an_integer_zero_point(low: float, high: float) -> None:
    """U Requantize_8to8/001, 003, 005, 007."""
    inputs = [data(1, 1, 1, 8), number(-1), number(1), number(low), number(high)]
    assert "exact zero" in says(single("Requantize_8to8", inputs, data(1, 1, 1, 8), ONE, ONE))


@pytest.mark.parametrize(
    "low, high", [(-1.0, 1.007874), (-3.018868, 5.0), (-20.0, 20.157482), (-0.5, 0.702830), (0, 6)]
)
def test_the_ranges_that_the_library_proposes_instead_are_accepted(low: float, high: float) -> None:
    inputs = [data(1, 1, 1, 8), number(-1), number(1), number(low), number(high)]
    assert says(single("Requantize_8to8", inputs, data(1, 1, 1, 8), ONE, ONE)) == ""


def test_an_infinite_range_is_rejected_where_it_would_be_echoed() -> None:
    """T Requantize_32to8/008."""
    inputs = [Output((1, 1, 1, 8), "int32"), number(-1), number(1)]
    inputs += [number(-np.inf), number(np.inf)]
    assert "finite range" in says(single("Requantize_32to8", inputs, data(1, 1, 1, 8), ONE, ONE))


@pytest.mark.parametrize(
    "shape, begin, end, step, out",
    [
        ((2, 4, 5, 33), (0, 3, 0, 0), (2, -1, 5, 33), (1, -1, 1, 1), (2, 4, 5, 33)),
        ((1, 5, 5, 7), (0, 0, 0, 6), (1, 5, 5, -1), (1, 1, 1, -2), (1, 5, 5, 4)),
    ],
)
def test_a_negative_end_is_an_index_from_the_back(
    shape: tuple[int, ...],
    begin: tuple[int, ...],
    end: tuple[int, ...],
    step: tuple[int, ...],
    out: tuple[int, ...],
) -> None:
    """U QuantizedStridedSlice_8/002, 008."""
    inputs = [data(*shape), ints(*begin), ints(*end), ints(*step), ints(0), ints(0), ints(0)]
    inputs += [number(-1), number(1)]
    assert "is empty" in says(single("QuantizedStridedSlice_8", inputs, data(*out), ONE, ONE))


@pytest.mark.parametrize("op", ["QuantizedAdd_8p8to8", "QuantizedSub_8p8to8"])
def test_broadcasting_both_ways_is_rejected_for_add_and_sub(op: str) -> None:
    inputs = [data(1, 4, 1, 8), data(1, 1, 5, 8), *(number(x) for x in (-1, 1, -1, 1, -2, 2))]
    assert "one sided broadcast" in says(single(op, inputs, data(1, 4, 5, 8), ONE, ONE))


def test_batch_matmul_needs_equal_batches_and_k() -> None:
    inputs = [data(1, 2, 5, 16), data(1, 1, 32, 8), *(number(x) for x in (-1, 1, -1, 1))]
    out = Output((1, 2, 5, 8), "int32")
    told = says(single("QuantizedBatchMatMul_8x8to32", inputs, out, ONE, ONE))
    assert "a.h is 2, b.h is 1" in told and "a.d is 16, b.w is 32" in told


def test_an_uneven_split_is_rejected() -> None:
    inputs = [ints(3), data(1, 1, 1, 7), number(-1), number(1)]
    half = data(1, 1, 1, 4)
    assert "does not split into 2" in says(single("QuantizedSplit_8", inputs, half, half, ONE, ONE))


def test_a_prelu_slope_of_128_is_rejected() -> None:
    """U QuantizedPRelu_8/013."""
    slopes = Const(0, "alpha", np.full((1, 1, 1, 8), 128, np.float32))
    inputs = [data(1, 1, 1, 8), number(-1), number(1), slopes]
    assert "prelu alpha" in says(single("QuantizedPRelu_8", inputs, data(1, 1, 1, 8), ONE, ONE))


@pytest.mark.parametrize("top, fits", [(2.0**-12, True), (2.0**-17, False)])
def test_a_prelu_whose_range_is_too_fine_is_rejected(top: float, fits: bool) -> None:
    """op_prelu_v2_d32.c shifts a product of 16 bits, of slopes up to 1, left by 24."""
    slopes = Const(0, "alpha", np.full((1, 1, 1, 8), 255, np.uint8))
    inputs = [data(1, 1, 1, 8), *map(number, (0, 255)), slopes, *map(number, (0, 1, 0, top))]
    told = says(single("QuantizedPRelu_8_V2", inputs, data(1, 1, 1, 8), ONE, ONE))
    assert ("prelu gain" not in told) == fits


def test_a_slice_of_batches_that_lands_elsewhere_is_rejected() -> None:
    inputs = [data(2, 6, 7, 8), ints(0, 1, 2, 1), ints(2, 3, 4, 6), number(-1), number(1)]
    assert "slice batches" in says(single("QuantizedSlice_8", inputs, data(2, 3, 4, 6), ONE, ONE))
    square = [data(2, 6, 7, 8), ints(0, 1, 2, 1), ints(2, 4, 4, 6), number(-1), number(1)]
    assert not says(single("QuantizedSlice_8", square, data(2, 4, 4, 6), ONE, ONE))


def test_a_mean_whose_range_is_too_fine_is_rejected() -> None:
    inputs = [data(1, 1, 1, 4), number(-8), number(8), ints(3), number(-1), number(1)]
    assert "mean scale" in says(single("QuantizedMean_8", inputs, data(1, 1, 1, 1), ONE, ONE))


@pytest.mark.parametrize("rows", [1, 2])
def test_an_instance_norm_of_few_rows_is_rejected(rows: int) -> None:
    """The library's statistics read rows 2 and 3 whatever the height (run on v60, v65 and v66)."""

    def norm(height: int) -> Graph:
        x = data(1, height, 16, 32)
        return single("QuantizedInstanceNorm_8", [x, number(-1), number(1)], x, ONE, ONE)

    assert f"height is {rows}" in says(norm(rows))
    assert "height" not in says(norm(3))


def test_a_range_is_followed_through_the_ops_that_copy_it() -> None:
    """Sqrt needs a range from zero, and sees through Relu, which keeps its input's."""
    graph = chain(1)
    outputs = graph.nodes[1].outputs
    relu = Node(50, "relu", "QuantizedRelu_8", tuple(Ref(11, p) for p in range(3)), outputs)
    root = Node(51, "sqrt", "QuantizedSqrt_8", tuple(Ref(50, p) for p in range(3)), outputs)
    graph.nodes[2:2] = [relu, root]
    assert [line for line in problems(graph) if "range from zero" in line]


def test_an_empty_requested_range_is_rejected() -> None:
    graph = chain(1)
    graph.consts[1] = scalar(1, "high", -1.0)
    assert any("is empty" in line for line in problems(graph))
