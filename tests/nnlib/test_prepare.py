"""Prepared graphs equal the shipped library's, node for node."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, Node, Output, Padding, Ref
from hexconv.nnlib.prepare import prepare, trace
from hexconv.simulator.golden import recorded
from tests.nnlib.random_graphs import SCALAR, Builder, Generator

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = sorted((GOLDEN / "graphs").glob("*.json"))
RANDOM = json.loads((GOLDEN / "random_graphs.json").read_text())


def ops(graph: Graph) -> list[str]:
    """The ops in order of execution, without the ends."""
    return [node.op for node in graph.nodes if node.op not in ("INPUT", "OUTPUT")]


def source(made: Builder, shape: tuple[int, int, int, int] = (1, 4, 8, 32)) -> list[Ref]:
    """An INPUT with a range."""
    return list(made.quantized("INPUT", [], shape))


def finish(made: Builder, *triples: object) -> Graph:
    """The graph with an OUTPUT."""
    made.append("OUTPUT", [ref for data_min_max in triples for ref in data_min_max], [])
    return made.graph()


def supernode(
    made: Builder,
    x: list[Ref],
    kernel: tuple[int, int],
    depth: int = 32,
    *,
    padding: Padding = Padding.SAME,
    op: str = "Supernode_8x8p32to8",
) -> list[Ref]:
    """A convolution that keeps the shape."""
    channels = 1 if op.startswith("Depthwise") else 32
    weights = made.const(np.full((*kernel, depth, channels), 130), "uint8")
    inputs = [x[0], weights, x[1], x[2], *made.range(-1, 127 / 128), made.size(1, 1)]
    inputs += [made.const(np.zeros(32)), *made.range(-9, 9), *made.range(-4, 4 * 127 / 128)]
    return list(made.quantized(op, inputs, (1, 4, 8, 32), padding))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_graphs_become_what_the_library_made_of_them(path: Path) -> None:
    item = recorded(path)
    assert ops(prepare(item.graph, item.library)) == item.executed


@pytest.mark.parametrize("seed", RANDOM)
def test_random_graphs_become_what_the_library_made_of_them(seed: str) -> None:
    graph, _ = Generator(int(seed)).graph()
    assert ops(prepare(graph)) == RANDOM[seed]["executed"]


@pytest.mark.parametrize("seed", list(RANDOM)[:30])
def test_what_prepare_gives_is_a_graph_in_order_that_reads_only_what_it_has(seed: str) -> None:
    prepared = prepare(Generator(int(seed)).graph()[0])
    have = {Ref(const.id) for const in prepared.consts}
    for node in prepared.nodes:
        assert have.issuperset(node.inputs)
        have |= {Ref(node.id, port) for port in range(len(node.outputs))}
    assert {ref.node for node in prepared.nodes for ref in node.inputs} >= {
        const.id for const in prepared.consts
    }


def test_prepare_leaves_the_graph_that_it_is_given_alone() -> None:
    graph, _ = Generator(7).graph()
    before = list(graph.nodes)
    prepare(graph)
    assert graph.nodes == before


def test_a_relu_moves_into_the_convolution_before_it() -> None:
    made = Builder()
    conv = supernode(made, source(made), (1, 1))
    relu = made.quantized("QuantizedRelu_8", conv, (1, 4, 8, 32))
    after = trace(finish(made, relu))
    assert ops(after.graph) == ["Convert_to_d32", "Supernode_8x8p32to8_d32", "Convert_from_d32"]
    convolution = after.graph.nodes[2]
    consts = after.graph.const_by_id()
    assert consts[convolution.inputs[10].node].array.item() == 0
    assert after.holder(relu[0].node) == convolution.id
    assert after.tensor(relu[1]) == Ref(convolution.id, 1)


def test_a_relu_stays_where_something_else_reads_the_convolution() -> None:
    made = Builder()
    conv = supernode(made, source(made), (1, 1))
    relu = made.quantized("QuantizedRelu_8", conv, (1, 4, 8, 32))
    assert "QuantizedRelu_8" in ops(prepare(finish(made, relu, conv)))


def test_a_relu_stays_after_a_depthwise_convolution() -> None:
    made = Builder()
    conv = supernode(made, source(made), (3, 3), op="DepthwiseSupernode_8x8p32to8")
    relu = made.quantized("QuantizedRelu_8", conv, (1, 4, 8, 32))
    assert "QuantizedRelu_8" in ops(prepare(finish(made, relu)))


@pytest.mark.parametrize(
    ("kernel", "padding", "padded"),
    [
        ((1, 7), Padding.SAME, False),
        ((1, 9), Padding.SAME, True),
        ((1, 9), Padding.VALID, False),
        ((1, 8), Padding.SAME_CAFFE, True),
        ((9, 1), Padding.SAME, False),
        ((11, 1), Padding.SAME, True),
        ((9, 3), Padding.SAME, True),
    ],
)
def test_a_kernel_wider_than_the_layout_has_room_for_is_padded_before(
    kernel: tuple[int, int], padding: Padding, padded: bool
) -> None:
    made = Builder()
    conv = supernode(made, source(made), kernel, padding=padding)
    prepared = prepare(finish(made, conv))
    assert ("QuantizedPadForConv_8_d32" in ops(prepared)) is padded
    convolution = next(node for node in prepared.nodes if node.op == "Supernode_8x8p32to8_d32")
    assert (convolution.padding is Padding.VALID) is (padded or padding is Padding.VALID)


def test_d32_data_goes_from_node_to_node_without_conversions() -> None:
    made = Builder()
    x = source(made)
    for _ in range(3):
        x = supernode(made, x, (1, 3))
    assert ops(prepare(finish(made, x))) == [
        "Convert_to_d32",
        *["Supernode_8x8p32to8_d32"] * 3,
        "Convert_from_d32",
    ]


def test_one_conversion_serves_all_later_readers_but_not_the_same_node_twice() -> None:
    made = Builder()
    x = source(made)
    both = [x[0], x[0], x[1], x[2], x[1], x[2], *made.range(-2, 2)]
    doubled = made.quantized("QuantizedSub_8p8to8", both, (1, 4, 8, 32))
    again = supernode(made, x, (1, 1))
    counts = prepare(finish(made, doubled, again)).histogram()
    assert counts["Convert_to_d32"] == 2


@pytest.mark.parametrize(("depth", "form"), [(3, "flat"), (4, "d32")])
def test_add_of_few_channels_stays_flat_with_one_operand_in_d32(depth: int, form: str) -> None:
    made = Builder()
    shape = (1, 4, 8, depth)
    x = source(made, shape)
    pooled = made.quantized("QuantizedMaxPool_8", [*x, made.size(1, 1), made.size(1, 1)], shape)
    inputs = [x[0], pooled[0], x[1], x[2], pooled[1], pooled[2], *made.range(-2, 2)]
    total = made.quantized("QuantizedAdd_8p8to8", inputs, shape)
    assert ("QuantizedAdd_8p8to8_d32" in ops(prepare(finish(made, total)))) is (form == "d32")


def test_a_convolution_without_bias_is_fused_with_a_bias_of_zeros() -> None:
    made = Builder()
    x = source(made)
    weights = made.const(np.full((1, 3, 32, 32), 130), "uint8")
    inputs = [x[0], weights, x[1], x[2], *made.range(-1, 127 / 128), made.size(1, 1)]
    acc = made.wide("QuantizedConv2d_8x8to32", inputs, (1, 4, 8, 32), Padding.SAME)
    out = made.quantized("Requantize_32to8", [*acc, *made.range(-3, 3)], (1, 4, 8, 32))
    prepared = prepare(finish(made, out))
    assert "Supernode_8x8p32to8_d32" in ops(prepared)
    convolution = next(node for node in prepared.nodes if "Supernode" in node.op)
    assert not prepared.const_by_id()[convolution.inputs[7].node].array.any()


def test_a_concat_of_whole_32s_of_depth_is_written_in_place() -> None:
    made = Builder()
    x = source(made)
    left, right = supernode(made, x, (1, 1)), supernode(made, x, (1, 3))
    inputs = [made.const(3), *(ref for pair in zip(left, right, strict=True) for ref in pair)]
    joined = made.quantized("QuantizedConcat_8", inputs, (1, 4, 8, 64))
    assert ops(prepare(finish(made, joined)))[-3:] == [
        "QuantizedFakeConcat_8_d32",
        "Convert_from_d32",
        "Sink",
    ]


def test_nodes_that_nothing_reads_are_dropped() -> None:
    made = Builder()
    x = source(made)
    supernode(made, x, (1, 3))
    relu = made.quantized("QuantizedRelu_8", x, (1, 4, 8, 32))
    assert ops(prepare(finish(made, relu))) == ["QuantizedRelu_8"]


def test_an_input_that_no_earlier_node_makes_is_an_error_that_names_the_node() -> None:
    node = Node(1, "lonely", "QuantizedRelu_8", (Ref(9), Ref(9, 1), Ref(9, 2)), (SCALAR,))
    with pytest.raises(GraphError, match="lonely"):
        prepare(Graph("g", [], [node]))


def test_weights_that_are_not_const_are_an_error_that_names_the_node() -> None:
    made = Builder()
    x = source(made)
    inputs = [*x[:1], x[0], *x[1:], *x[1:], made.size(1, 1), *x, *x[1:]]
    made.append("Supernode_8x8p32to8", inputs, [Output((1, 4, 8, 32), "uint8"), SCALAR, SCALAR])
    made.append("OUTPUT", [Ref(made.nodes[-1].id)], [])
    with pytest.raises(GraphError, match="Const"):
        prepare(made.graph())
