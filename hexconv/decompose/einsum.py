"""Einsum as transposes, sums and matrix products."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@dataclass(frozen=True)
class Term:
    """A value and one letter for each of its axes."""

    value: ir.Value
    labels: str

    @property
    def sizes(self) -> dict[str, int]:
        """The size of the axis of each letter."""
        return dict(zip(self.labels, shape_of(self.value), strict=True))


@DECOMPOSITIONS.rule("Einsum")
def products_and_sums(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Multiply operands from left to right; a letter is summed once nothing else needs it."""
    parsed = _parsed(node)
    if parsed is None:
        return None
    terms, result = parsed
    current = terms[0]
    for position, right in enumerate(terms[1:], start=1):
        later = set(result).union(*(term.labels for term in terms[position + 1 :]))
        current = _product(current, right, later, builder)
    current = _summed(current, set(result), builder)
    return [_arranged(current, result, builder).value]


def _parsed(node: ir.Node) -> tuple[list[Term], str] | None:
    """Operands with their letters, and those of the result; None for a diagonal or a broadcast."""
    equation = node.attributes["equation"].as_string().replace(" ", "")
    left, arrow, result = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(node.inputs):
        return None
    exclude = [letter for letter in string.ascii_letters if letter not in equation]
    widths = [
        len(shape_of(value)) - len(part.replace("...", ""))
        for part, value in zip(parts, node.inputs, strict=True)
        if "..." in part
    ]
    dots = "".join(exclude[: max(widths, default=0)])
    terms = []
    sizes: dict[str, int] = {}
    for part, value in zip(parts, node.inputs, strict=True):
        assert value is not None
        width = len(shape_of(value)) - len(part.replace("...", ""))
        labels = part.replace("...", dots[len(dots) - width :] if "..." in part else "")
        if len(labels) != len(shape_of(value)) or len(set(labels)) != len(labels):
            return None
        for label, size in zip(labels, shape_of(value), strict=True):
            if sizes.setdefault(label, size) != size:
                return None
        terms.append(Term(value, labels))
    if not arrow:
        letters = "".join(term.labels for term in terms)
        once = sorted(label for label in set(letters) - set(dots) if letters.count(label) == 1)
        return terms, dots + "".join(once)
    return terms, result.replace("...", dots)


def _product(left: Term, right: Term, later: set[str], builder: FloatBuilder) -> Term:
    """Shared letters that are needed later are batch axes; the other shared ones are summed."""
    left = _summed(left, later | set(right.labels), builder)
    right = _summed(right, later | set(left.labels), builder)
    shared = [label for label in left.labels if label in right.labels]
    batch = "".join(label for label in shared if label in later)
    inner = "".join(label for label in shared if label not in later)
    rows = "".join(label for label in left.labels if label not in shared)
    columns = "".join(label for label in right.labels if label not in shared)
    sizes = left.sizes | right.sizes
    a = _matrix(left, (batch, rows, inner), builder)
    b = _matrix(right, (batch, inner, columns), builder)
    labels = batch + rows + columns
    if not inner and not rows and not columns:
        flat = [sizes[label] for label in batch]
        factors = [_shaped(a, flat, builder), _shaped(b, flat, builder)]
        return Term(builder.op("Mul", factors), batch)
    product = builder.op("MatMul", [a, b])
    return Term(_shaped(product, [sizes[label] for label in labels], builder), labels)


def _matrix(term: Term, groups: tuple[str, str, str], builder: FloatBuilder) -> ir.Value:
    """The value as [batch..., rows, columns]; the last two are the products of their letters."""
    value = _arranged(term, "".join(groups), builder).value
    sizes = term.sizes
    batch = [sizes[label] for label in groups[0]]
    ends = [prod(sizes[label] for label in group) for group in groups[1:]]
    return _shaped(value, [*batch, *ends], builder)


def _summed(term: Term, needed: set[str], builder: FloatBuilder) -> Term:
    axes = [axis for axis, label in enumerate(term.labels) if label not in needed]
    if not axes:
        return term
    value = builder.op("ReduceSum", [term.value, np.array(axes, np.int64)], {"keepdims": 0})
    return Term(value, "".join(label for label in term.labels if label in needed))


def _arranged(term: Term, labels: str, builder: FloatBuilder) -> Term:
    if term.labels == labels:
        return term
    perm = [term.labels.index(label) for label in labels]
    return Term(builder.op("Transpose", [term.value], {"perm": perm}), labels)


def _shaped(value: ir.Value, shape: Sequence[int], builder: FloatBuilder) -> ir.Value:
    if shape_of(value) == tuple(shape):
        return value
    return builder.op("Reshape", [value, np.array(shape, np.int64)])
