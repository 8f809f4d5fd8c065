"""Which tensors share a range: solved together, before anything is lowered.

An op that copies its input's range ties output and input; a join (Concat) ties its output to those
inputs that nothing else reads. Every group gets one range that holds what all its members hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hexconv.lowering.registry import LOWERINGS, Tie
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover

Bounds = tuple[float, float]


def solve(nodes: Iterable[NodeView], observed: Mapping[str, Bounds]) -> dict[str, Range]:
    """Static ranges for all values that were observed.

    Args:
        nodes: the float graph's nodes in order.
        observed: (min, max) of each computed value, as calibrated.

    Returns:
        A range with zero on a whole code for each name; members of one group share it.
    """
    nodes = list(nodes)
    readers = Counter(name for node in nodes for name in node.inputs)
    groups = {name: [name] for name in observed}
    for node in nodes:
        for name, other in _tied(node, readers):
            if name in groups and other in groups and groups[name] is not groups[other]:
                large, small = sorted((groups[name], groups[other]), key=len, reverse=True)
                large += small
                groups.update(dict.fromkeys(small, large))
    ranges: dict[str, Range] = {}
    for group in {id(members): members for members in groups.values()}.values():
        low = min(observed[name][0] for name in group)
        high = max(observed[name][1] for name in group)
        ranges.update(dict.fromkeys(group, cover(low, high)))
    return ranges


def _tied(node: NodeView, readers: Mapping[str, int]) -> list[tuple[str, str]]:
    lowering = LOWERINGS.get(node.op)
    if lowering is None or lowering.tie is Tie.FREE:
        return []
    outputs = [name for name in node.outputs if name]
    if lowering.tie is Tie.COPY:
        return [(node.inputs[0], output) for output in outputs]
    return [(name, outputs[0]) for name in node.inputs if readers[name] == 1]
