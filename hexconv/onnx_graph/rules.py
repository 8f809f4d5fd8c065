"""Rules of the float graph by op, and the passes that apply them.

Three sets: `MODERNIZATIONS` bring a node to the opset of the canonical form, `SIMPLIFICATIONS`
simplify and recognize what exporters write as several nodes, `DECOMPOSITIONS` decompose an op that
the library lacks into ops that it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.graph import FloatGraph
from hexconv.onnx_graph.malformed import MALFORMED, innermost

RuleOutcome = Sequence[ir.Value | None] | bool | None
"""The result of a rule: values that replace the node's outputs (None for an unread one); True
where it changed the graph itself; None or False where it does not apply."""

Function = Callable[[ir.Node, FloatBuilder], RuleOutcome]

ROUNDS = 50
"""Of `simplify`; exporters nest a handful of patterns at most."""


@dataclass(frozen=True)
class Rule:
    """A function of one node.

    Attributes:
        name: of the function.
        function: see `RuleOutcome`.
        below: the first opset that does not need the rule; None where every opset does.
        recognition: whether it makes one op where an exporter wrote several. The others simplify,
            and the DSP would compute the same without them.
        reported: whether it is counted in what is told of a conversion.
    """

    name: str
    function: Function
    below: int | None = None
    recognition: bool = False
    reported: bool = True

    def apply(self, node: ir.Node, builder: FloatBuilder) -> RuleOutcome:
        """Call the function.

        Raises:
            ModelError: the node has not the operands and attributes that its op has.
        """
        try:
            return self.function(node, builder)
        except MALFORMED as error:
            raise ModelError(
                "the operands or attributes of a node are not those that its op has",
                where=f"node '{node.name}' ({qualified(node)})",
                why=f"rule {self.name}: {innermost(error)}",
            ) from error


class RuleSet:
    """Rules by op, in the order in which they were registered.

    Args:
        what: the name of a rule in error messages.
        single: whether an op may have only one rule.
    """

    def __init__(self, what: str, *, single: bool = False) -> None:
        self._what, self._single = what, single
        self._rules: dict[str, list[Rule]] = {}

    def rule(
        self,
        *ops: str,
        below: int | None = None,
        recognition: bool = False,
        reported: bool = True,
    ) -> Callable[[Function], Function]:
        """Register a function for nodes of `ops`.

        An op of another domain is written `com.microsoft::Gelu`.

        Raises:
            ValueError: an op has the same function twice, or a second rule where one is allowed.
        """

        def register(function: Function) -> Function:
            rule = Rule(function.__name__, function, below, recognition, reported)
            for op in ops:
                known = self._rules.setdefault(op, [])
                if (self._single and known) or function in [other.function for other in known]:
                    raise ValueError(f"two {self._what}s of {op}")
                known.append(rule)
            return function

        return register

    def at(self, node: ir.Node) -> Iterator[Rule]:
        """The rules that apply to a node of its op and opset."""
        version = node.version or 0
        for rule in self._rules.get(qualified(node), ()):
            if rule.below is None or version < rule.below:
                yield rule

    def __contains__(self, op: object) -> bool:
        return op in self._rules

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)


MODERNIZATIONS = RuleSet("modernization")
SIMPLIFICATIONS = RuleSet("simplification")
DECOMPOSITIONS = RuleSet("decomposition", single=True)


def qualified(node: ir.Node) -> str:
    """`MatMul`, or `com.microsoft::Gelu`."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def simplify(builder: FloatBuilder, *, recognize: bool) -> dict[str, int]:
    """Apply `SIMPLIFICATIONS` until none applies.

    Returns:
        How often each was applied, by name.
    """
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        changed = False
        for node in list(builder.graph):
            if node.graph is None or node.domain:
                continue
            builder.at(node)
            for rule in SIMPLIFICATIONS.at(node):
                if (recognize or not rule.recognition) and rule.apply(node, builder):
                    counts[rule.name] += int(rule.reported)
                    changed = True
                    break
        if not changed:
            break
    return {name: times for name, times in sorted(counts.items()) if times}


def decompose(graph: FloatGraph, exclude: Collection[ir.Node] = ()) -> dict[str, int]:
    """Apply `DECOMPOSITIONS` to every node, including those that they create.

    Args:
        graph: changed in place.
        exclude: nodes to leave as they are.

    Returns:
        How many nodes of each op were decomposed.
    """
    builder = FloatBuilder(graph.graph)
    counts: Counter[str] = Counter()
    queue = [node for node in graph.nodes if node not in exclude]
    while queue:
        node = queue.pop()
        for rule in DECOMPOSITIONS.at(node):
            values = rule.apply(node, builder.at(node))
            if not isinstance(values, Sequence):
                break
            builder.replace(node, values)
            counts[node.op_type] += 1
            queue += builder.made
    remove_dead(graph.graph)
    return dict(sorted(counts.items()))
