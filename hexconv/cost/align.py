"""Two runs row by row: which node of one corresponds to which of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from hexconv.cost.logs import Log
from hexconv.cost.prediction import Cost


@dataclass(frozen=True)
class Pair:
    """A row of either run, and its counterpart in the other; None where there is none."""

    op: str
    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """How much more it costs than before."""
        return (self.after or 0.0) - (self.before or 0.0)


def pair_logs(before: Log, after: Log) -> list[Pair]:
    """Align the rows of two logs in the order of execution."""
    return _pair(
        [(node.op, node.name, node.value) for node in before.nodes],
        [(node.op, node.name, node.value) for node in after.nodes],
    )


def pair_prediction(cost: Cost, soc: str, log: Log) -> list[Pair]:
    """Align a prediction in milliseconds with a log; `before` is the prediction."""
    said = [
        (node.op, node.onnx_node or node.name, cost.node_time(node, soc).milliseconds)
        for node in cost.nodes
    ]
    return _pair(said, [(node.op, node.name, node.value) for node in log.nodes])


Row = tuple[str, str, float]


def _pair(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    """Match the longest equal sequences of ops; rows between them have no counterpart."""
    matcher = SequenceMatcher(a=[r[0] for r in before], b=[r[0] for r in after], autojunk=False)
    pairs = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            both = zip(before[a0:a1], after[b0:b1], strict=True)
            pairs += [Pair(one[0], one[1] or two[1], one[2], two[2]) for one, two in both]
            continue
        pairs += [Pair(op, name, value, None) for op, name, value in before[a0:a1]]
        pairs += [Pair(op, name, None, value) for op, name, value in after[b0:b1]]
    return pairs
