"""Uses of a value are followed without recursion, and each once."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from hexconv.onnx_graph.uses import leads_only_to


def chain(length: int, last: str) -> tuple[ir.Value, ir.Value]:
    """The first and the last value of `length` nodes that read the one before them twice."""
    first = current = ir.Value(name="x")
    for _ in range(length):
        current = ir.node("Or", [current, current]).outputs[0]
    return first, ir.node(last, [current]).outputs[0]


@pytest.mark.parametrize(("last", "expected"), [("Where", True), ("Cast", False)])
def test_every_use_has_to_be_an_end_or_lead_there(last: str, expected: bool) -> None:
    """Followed once for each way, 5,000 doublings would never end."""
    first, _ = chain(5000, last)
    assert expected is leads_only_to(
        first, lambda node, place: node.op_type == "Where", lambda node, place: node.op_type == "Or"
    )


@pytest.mark.parametrize("or_output", [True, False])
def test_what_is_followed_may_be_an_output_where_that_is_allowed(or_output: bool) -> None:
    first, last = chain(2, "Or")
    ir.Graph([first], [last], nodes=[])
    follows = leads_only_to(
        first,
        lambda node, place: False,
        lambda node, place: node.op_type == "Or",
        or_output=or_output,
    )
    assert follows is or_output
