"""How loud an input may be in a run: MACE quantizes it over whatever the run brings.

Requantize_8to8 multiplies by at most 2^15 (op_requantize.c); beyond that the library does not
return. Convolutions wrap their sums not far above. The limit is an error before a run, the same
for the simulator and the library.
"""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import INPUT_OP, Graph, Node, Ref
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.ranges.operands import ranged_inputs

LOUDEST = 2.0**15
REQUANTIZE = "Requantize_8to8"


def widest_inputs(graph: Graph) -> dict[str, float]:
    """How wide a range each input may have, by name, where there is a limit.

    Args:
        graph: as it is appended, with the calibrated ranges of its inputs.
    """
    widest = {
        item.name: LOUDEST * _width(*item.range)
        for item in graph.inputs
        if item.range[0] < item.range[1]
    }
    nodes, consts = graph.node_by_id(), graph.const_by_id()
    for node in graph.nodes:
        number = _input_number(node, nodes) if node.op == REQUANTIZE else None
        if number is None or number >= len(graph.inputs):
            continue
        limits = [consts.get(ref.node) for ref in node.inputs[3:5]]
        low, high = (None if item is None else float(item.array.flat[0]) for item in limits)
        if low is not None and high is not None:
            name = graph.inputs[number].name
            widest[name] = min(widest.get(name, float("inf")), LOUDEST * (high - low))
    return widest


def check_loudness(graph: Graph, widest: Mapping[str, float], feeds: Mapping[str, Array]) -> None:
    """Refuse inputs of a run that are too loud for the graph.

    Args:
        graph: that is run.
        widest: by input name (`widest_inputs`).
        feeds: data by input name.

    Raises:
        GraphError: naming the input, its values and the limit.
    """
    for item in graph.inputs:
        array = feeds[item.name]
        if item.name not in widest or not array.size:
            continue
        low, high = float(array.min()), float(array.max())
        if _width(low, high) >= widest[item.name]:
            raise GraphError(
                f"the input '{item.name}' is too loud: {low:.4g} to {high:.4g}, where calibration "
                f"saw {item.range[0]:.4g} to {item.range[1]:.4g}",
                why="the library never returns, or sums wrap, where it is requantized by 2^15",
                hint="limit the input before it reaches the DSP, or calibrate with samples as loud",
            )


def _input_number(node: Node, nodes: Mapping[int, Node]) -> int | None:
    """The number of the model input whose range a node reads, moved at most."""
    low: Ref = node.inputs[1]
    while (maker := nodes.get(low.node)) is not None:
        if maker.op == INPUT_OP:
            return (low.port - 1) // 3
        count = len(maker.inputs)
        if spec(maker.op).rule_of(count) is not RangeRule.COPIED or not ranged_inputs(
            maker.op, count
        ):
            return None
        low = maker.inputs[ranged_inputs(maker.op, count)[0].low]
    return None


def _width(low: float, high: float) -> float:
    """Of the range that holds zero too."""
    return max(high, 0.0) - min(low, 0.0)
