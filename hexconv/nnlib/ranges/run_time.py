"""Nodes that are right in the ranges that calibration saw of the inputs, and in others not.

MACE's runtime quantizes an input over the data of each run, and ops that copy their input's range
pass that on. What is computed from such a tensor has to be right in every range that may come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from hexconv.nnlib.graph import INPUT_OP, Graph, Node, Ref
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.nnlib.ranges.limits import broken_rules
from hexconv.quantize import Range, cover, run_time_ranges


def broken_in_a_run(graph: Graph, found: FoundRanges) -> Iterator[tuple[Node, str]]:
    """Every node that some range of the model's inputs would break, and the rule.

    Args:
        graph: as it is executed.
        found: its ranges.
    """
    inputs = _inputs(graph)
    dependent = _dependent(graph, found, inputs)
    if not dependent:
        return
    broken: dict[tuple[int, str], tuple[Node, str]] = {}
    for trial in _trials(graph, [*inputs]):
        for node, why in _run(dependent, found, trial):
            broken.setdefault((node.id, why), (node, why))
    yield from broken.values()


def _inputs(graph: Graph) -> dict[int, tuple[Ref, Ref]]:
    """The minimum and maximum of each model input, by its number."""
    node = next((node for node in graph.nodes if node.op == INPUT_OP), None)
    if node is None:
        return {}
    return {
        number: (Ref(node.id, 3 * number + 1), Ref(node.id, 3 * number + 2))
        for number in range(len(graph.inputs))
    }


def _dependent(graph: Graph, found: FoundRanges, inputs: dict[int, tuple[Ref, Ref]]) -> list[Node]:
    """Nodes with a minimum or maximum that depends on the model's inputs, in order."""
    open_refs = {ref for pair in inputs.values() for ref in pair}
    nodes = []
    for node in graph.nodes:
        if any(ref in open_refs for ref in node.inputs):
            nodes.append(node)
            open_refs.update(
                ref
                for port in range(len(node.outputs))
                if (ref := Ref(node.id, port)) not in found.scalars
                and node.outputs[port].shape == (1, 1, 1, 1)
            )
    return nodes


Trial = dict[Ref, float]


def _trials(graph: Graph, numbers: Sequence[int]) -> Iterator[Trial]:
    """Ranges of all inputs: every pair of them in all combinations, the rest as calibrated."""
    refs = _inputs(graph)
    usual = {number: cover(*graph.inputs[number].range) for number in numbers}
    pairs = combinations(numbers, 2) if len(numbers) > 1 else [(numbers[0],)]
    for pair in pairs:
        for ranges in product(*(run_time_ranges(usual[number]) for number in pair)):
            chosen = {**usual, **dict(zip(pair, ranges, strict=True))}
            yield {
                ref: end
                for number in numbers
                for ref, end in zip(refs[number], _ends(chosen[number]), strict=True)
            }


def _ends(value_range: Range) -> tuple[float, float]:
    return value_range.min, value_range.max


def _run(nodes: Sequence[Node], found: FoundRanges, trial: Trial) -> Iterator[tuple[Node, str]]:
    """The rules that are broken where the inputs have the ranges of a trial."""
    now = found.assuming(trial, nodes)
    for node in nodes:
        now.visit(node)
        for why in broken_rules(node, now):
            yield node, why
