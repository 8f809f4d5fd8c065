"""How loud an input may be in a run: MACE quantizes it over whatever the run brings.

Requantize_8to8 multiplies by at most 2^15 (op_requantize.c); beyond that the library does not
return. Convolutions wrap their sums not far above. A product's result is no finer than the product
of its operands' steps (op_mul_d32.c). The limit is an error before a run, the same for the
simulator and the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import INPUT_OP, Graph, Node, Ref
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.nnlib.ranges.operands import ranged_inputs
from hexconv.quantize.ranges import LEVELS

LOUDEST = 2.0**15
SCALED = ("Sub_f", "Mul_f")
"""What makes a range that is as wide as a run's out of it (lowering/elementwise.py)."""
REQUANTIZE, PRODUCT = "Requantize_8to8", "QuantizedMul_8x8to8"


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
    limiting = [node for node in graph.nodes if node.op in (REQUANTIZE, PRODUCT)]
    nodes, known = graph.node_by_id(), FoundRanges.of(graph).scalars if limiting else {}
    for node in limiting:
        for low, width in _limits(node, known):
            number = _input_number(low, nodes)
            if number is not None and number < len(graph.inputs):
                name = graph.inputs[number].name
                widest[name] = min(widest.get(name, float("inf")), width)
    return widest


def _limits(node: Node, known: Mapping[Ref, float]) -> Iterator[tuple[Ref, float]]:
    """Of operands of a node, where their minimum is from and how wide their range may be."""
    asked = spec(node.op).position("out_min", len(node.inputs))
    if asked is None:
        return
    result = _known_width(node.inputs[asked : asked + 2], known)
    if result is None:
        return
    if node.op == REQUANTIZE:
        yield node.inputs[1], LOUDEST * result
        return
    for own, other in ((node.inputs[2:4], node.inputs[4:6]), (node.inputs[4:6], node.inputs[2:4])):
        factor = _known_width(other, known)
        if factor:
            yield own[0], LEVELS * result / factor


def _known_width(limits: Sequence[Ref], known: Mapping[Ref, float]) -> float | None:
    numbers = [known.get(ref) for ref in limits]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[1] - numbers[0]


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
                why="the library fails, never returns, or sums wrap, where a range is that wide",
                hint="limit the input before it reaches the DSP, or calibrate with samples as loud",
            )


def _input_number(low: Ref, nodes: Mapping[int, Node]) -> int | None:
    """The number of the model input whose minimum this is, moved at most."""
    while (maker := nodes.get(low.node)) is not None:
        if maker.op == INPUT_OP:
            return (low.port - 1) // 3
        if maker.op in SCALED:
            low = maker.inputs[0]
            continue
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
