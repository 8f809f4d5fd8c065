"""Correct graphs that prepare would break: always, at every level of optimization.

It breaks five things: rows that a depthwise convolution shifted, a window on the one row that a
Concat makes, a PRelu behind a convolution of few channels, the activation or the factor of a
convolution that is given one range with all others of a Concat, and the table that reads a Relu
which a convolution takes in.
"""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.check import check as check_graph
from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.prepare import Prepared, trace
from hexconv.nnlib.prepare.left_padding import require_unshifted, shifted
from hexconv.nnlib.prepare.prelu_input import overrunning_prelus
from hexconv.nnlib.prepare.row_padding import readers_short_of_rows
from hexconv.nnlib.ranges.consistency import PreparedRanges, range_source
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.nnlib.ranges.operands import RangedOperand, own_limits, ranged_inputs
from hexconv.optimize.on_nnlib.tidy import tidied
from hexconv.quantize import cover

ROUNDS = 8
CONCAT = "QuantizedConcat_8"


def executable(graph: Graph) -> tuple[Graph, int]:
    """A lowered graph that the library prepares and runs as it is meant.

    Returns:
        The graph, and the number of convolutions that were parted for it (`legalize`).

    Raises:
        GraphError: the library would reject it, or make another graph of it.
    """
    check_graph(graph)
    final, executed, ranges, parted = legalize(graph)
    if parted:
        check_graph(final)
    require_unshifted(executed.graph)
    ranges.check()
    return final, parted


def legalize(graph: Graph) -> tuple[Graph, Prepared, PreparedRanges, int]:
    """Part nodes of which prepare would make others than were meant.

    Returns:
        The graph, what the library makes of it, the ranges of both, and how many nodes were put in
        between.
    """
    count, prepared = 0, trace(graph)
    ranges = PreparedRanges(graph, prepared)
    for _ in range(ROUNDS):
        parted = (
            _unshift(graph, prepared)
            or _keep_factors(graph, ranges)
            or _part_shared_ranges(graph, prepared, ranges)
            or _keep_relus(graph, ranges)
        )
        if not parted:
            break
        count += parted
        graph = tidied(graph)
        prepared = trace(graph)
        ranges = PreparedRanges(graph, prepared)
    return graph, prepared, ranges, count


def _part_shared_ranges(graph: Graph, prepared: Prepared, ranges: PreparedRanges) -> int:
    """Part a Concat from a convolution that must keep its own range.

    prepare looks for the convolutions behind a Concat and gives them one range
    (nnlib/prepare/fake_concat); it does not look through a Requantize_8to8.

    Returns:
        How many requantizes were put in.
    """
    if not any(node.op == CONCAT for node in graph.nodes):
        return 0
    wronged = ranges.wronged_convolutions()
    return _parted(graph, prepared.graph, wronged) if wronged else 0


def _parted(graph: Graph, executed: Graph, wronged: set[int]) -> int:
    """Put a requantize behind one part of each Concat that reads a convolution of `wronged`."""
    builder, found = Builder.on(graph), FoundRanges.of(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == CONCAT:
            parts = ranged_inputs(node.op, len(node.inputs))
            makers = [range_source(executed, node.id, part.data) for part in parts]
            mine = [part for part, maker in zip(parts, makers, strict=True) if maker in wronged]
            if mine:
                own, node = _requantized(node, mine[0], builder, found)
                nodes.append(own)
        nodes.append(node)
    count = len(nodes) - len(graph.nodes)
    graph.nodes[:] = nodes
    return count


def _requantized(
    node: Node, part: RangedOperand, builder: Builder, found: FoundRanges
) -> tuple[Node, Node]:
    """A part of a Concat in the range of all parts, and the Concat that reads it."""
    refs = [node.inputs[at] for at in (part.data, part.low, part.high)]
    site = found.site(node)
    given = {Ref(0): found.scalars[refs[1]], Ref(1): found.scalars[refs[2]]}
    union = site.output_scalars() or given
    own = builder.new_node(
        "Requantize_8to8",
        (*refs, *builder.minmax(f"{node.name}/apart", cover(*union.values()))),
        (Output(builder.shape(refs[0]), "uint8"), *RANGE_OUTPUTS),
        name=f"{node.name}/apart",
        onnx_node=node.onnx_node,
    )
    inputs = list(node.inputs)
    for port, at in enumerate((part.data, part.low, part.high)):
        inputs[at] = Ref(own.id, port)
    return own, replace(node, inputs=tuple(inputs))


def _unshift(graph: Graph, prepared: Prepared) -> int:
    """Part depthwise convolutions, and Concats, from the nodes that would misread their d32 rows.

    A reshape to the same shape runs flat, so the library unpacks the rows and packs them again,
    with the left padding that every node expects (nnlib/prepare/left_padding).

    Returns:
        The number of reshapes inserted.
    """
    return _put_flat_before(graph, _misread_nodes(graph, prepared))


def _keep_factors(graph: Graph, ranges: PreparedRanges) -> int:
    """Part requantizes that read a factor from the Requantize_32to8 that prepare looks for.

    Returns:
        The number of reshapes inserted.
    """
    return _put_flat_before(graph, {item.node.id for item in ranges.bypassed()})


def _keep_relus(graph: Graph, ranges: PreparedRanges) -> int:
    """Part Relus from the convolutions that take them in, where a reader was built for the range.

    prepare gives such a convolution the range from 0 on; what looks a value up in a table needs the
    one in front of it.

    Returns:
        The number of reshapes inserted.
    """
    return _put_flat_before(graph, ranges.wronging_relus())


def _put_flat_before(graph: Graph, readers: set[int]) -> int:
    """A reshape to the same shape in front of some nodes; returns how many."""
    if not readers:
        return 0
    builder, makers = Builder.on(graph), graph.node_by_id()
    nodes: list[Node] = []
    for node in graph.nodes:
        maker = makers[node.inputs[0].node] if node.id in readers else None
        nodes += [node] if maker is None else _behind_flat(node, maker, builder)
    graph.nodes[:] = nodes
    return len(readers)


def _misread_nodes(graph: Graph, prepared: Prepared) -> set[int]:
    """Nodes that their d32 input does not suit; of fused ones the first, the reader."""
    wrong = {node.id for node, _ in shifted(prepared.graph)}
    wrong |= {node.id for node in readers_short_of_rows(prepared.graph)}
    wrong |= {node.id for node in overrunning_prelus(prepared.graph)}
    holders = {node.id: prepared.holder(node.id) for node in graph.nodes}
    return {
        node.id
        for node in graph.nodes
        if holders[node.id] in wrong and holders.get(node.inputs[0].node) != holders[node.id]
    }


def _behind_flat(node: Node, maker: Node, builder: Builder) -> list[Node]:
    """A reshape to the same shape, and the node that reads it, in the limits that it did."""
    data = node.inputs[0]
    shape = builder.shape(data)
    target = builder.ints(f"{node.name}/flat_shape", shape)
    flat = builder.new_node(
        "QuantizedReshape",
        (data, target, *own_limits(maker, data.port)),
        (Output(shape, "uint8"), *RANGE_OUTPUTS),
        name=f"{node.name}/flat",
        onnx_node=node.onnx_node,
    )
    inputs = tuple(Ref(flat.id) if ref == data else ref for ref in node.inputs)
    return [flat, replace(node, inputs=inputs)]
