"""Conversions to and from the library's depth-32 layout: the numbers do not change."""

from __future__ import annotations

from hexconv.nnlib.graph import Array
from hexconv.simulator.registry import Call, kernel


@kernel(
    "Convert_to_d32",
    "Convert_from_d32",
    "Convert_to_d32_16b",
    "Convert_from_d32_16b",
)
def relayout(call: Call) -> list[Array]:
    """The data as it is: the simulator keeps every tensor as plain BHWD."""
    return [call.inputs[0]]
