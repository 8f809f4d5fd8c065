"""The floor of a quiet input stands right behind the input, where all is flat.

A convolution that reads what a pool or an activation made of an input has a floor for its range in
front of it (lowering/context `at_least`). There it parts two nodes in d32: the data is unpacked and
packed anew.
"""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.graph import INPUT_OP, Graph, Node, Output, Ref
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.prepare.depth32_rules import RULES
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Range

SELECT, PRELU = "Select_8", "QuantizedPRelu_8"
FLOOR_INPUTS = 7


@rewrite(Stage.NNLIB)
def floor_at_input(graph: Graph) -> int:
    """The floor of a quiet input moves in front of what copies the input's range."""
    count = 0
    for floor in [node for node in graph.nodes if node.op == SELECT]:
        builder = Builder.on(graph)
        chain = _chain(floor, graph) if _is_floor(floor) else []
        if any(node.op in RULES for node in chain):
            _move(graph, floor, chain, builder)
            count += 1
    return count


def _is_floor(node: Node) -> bool:
    """Whether a Select takes one operand everywhere (`Builder.floored`)."""
    return len(node.inputs) == FLOOR_INPUTS and node.inputs[0] == node.inputs[4]


def _chain(floor: Node, graph: Graph) -> list[Node]:
    """What lies between the model's input and a floor, first to last, if nothing else reads it."""
    nodes, readers = graph.node_by_id(), graph.consumers()
    chain: list[Node] = []
    reader = floor
    data = floor.inputs[1]
    while (node := nodes.get(data.node)) is not None and node.op != INPUT_OP:
        ports = range(len(node.outputs))
        found = {other.id for port in ports for other, _ in readers.get(Ref(node.id, port), [])}
        copies = spec(node.op).rule_of(len(node.inputs)) is RangeRule.COPIED
        if found != {reader.id} or not (copies or node.op == PRELU):
            return []
        chain.insert(0, node)
        reader, data = node, node.inputs[_data(node)]
    return chain if data.node in nodes else []


def _data(node: Node) -> int:
    position = spec(node.op).position("data", len(node.inputs))
    return 0 if position is None else position


def _move(graph: Graph, floor: Node, chain: list[Node], builder: Builder) -> None:
    """Put the floor in front of a chain."""
    first = chain[0]
    data = first.inputs[_data(first)]
    refs = (data, Ref(data.node, data.port + 1), Ref(data.node, data.port + 2))
    inputs = builder.floored(refs, _range(floor, chain, builder), first.name)
    outputs = (Output(builder.shape(data), "uint8"), *RANGE_OUTPUTS)
    moved = builder.new_node(SELECT, inputs, outputs, name=floor.name, onnx_node=first.onnx_node)
    instead = {ref: Ref(moved.id, port) for port, ref in enumerate(refs)}
    # What the floor read, of which a Split's minimum and maximum are not the ports right behind.
    behind = {Ref(floor.id, port): ref for port, ref in enumerate(floor.inputs[1:4])}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.id == floor.id:
            continue
        if node.id == first.id:
            nodes.append(moved)
            node = _reading(node, instead)
        nodes.append(_reading(node, behind))
    graph.nodes[:] = nodes


def _range(floor: Node, chain: list[Node], builder: Builder) -> Range:
    """The floor of the input: a slope makes what is negative smaller."""
    low, high = (builder.values(ref) for ref in floor.inputs[5:])
    assert low is not None and high is not None  # its own limits are consts
    bottom, top = float(low.flat[0]), float(high.flat[0])
    step = (top - bottom) / 255
    wanted = Range(step, round(-bottom / step))
    for node in chain:
        slopes = builder.values(node.inputs[3]) if node.op == PRELU else None
        if slopes is not None:
            wanted = wanted.scaled(1.0 / float(slopes.min()))
    return wanted


def _reading(node: Node, instead: dict[Ref, Ref]) -> Node:
    inputs = tuple(instead.get(ref, ref) for ref in node.inputs)
    return node if inputs == node.inputs else replace(node, inputs=inputs)
