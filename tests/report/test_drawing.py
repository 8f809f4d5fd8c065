"""Graphs are drawn in layers: what is read stands above its reader, no two nodes overlap."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.report.drawing import drawing


def nodes(inputs: list[list[int]]) -> list[dict[str, Any]]:
    """Nodes with ids that are not their positions."""
    return [
        {"id": 10 * index + 7, "inputs": [10 * source + 7 for source in sources]}
        for index, sources in enumerate(inputs)
    ]


@given(st.data())
def test_readers_are_below_and_boxes_apart(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 25))
    inputs = [
        sorted(data.draw(st.sets(st.integers(0, index - 1), max_size=3))) if index else []
        for index in range(count)
    ]
    found = drawing(nodes(inputs))
    width, height = found["box"]
    places = found["places"]
    assert [list(edge) for edge in found["lines"]] == [
        [source, index] for index, sources in enumerate(inputs) for source in sources
    ]
    assert all(places[a][1] + height < places[b][1] for a, b in found["lines"])
    for a in range(count):
        x, y = places[a]
        assert 0 <= x <= found["width"] - width and 0 <= y <= found["height"] - height
        for b in range(a):
            apart = abs(places[b][0] - x) >= width or abs(places[b][1] - y) >= height
            assert apart


def test_a_source_that_is_not_drawn_has_no_line() -> None:
    assert drawing([{"id": 1, "inputs": [99]}])["lines"] == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_graph_of_nothing_is_drawn(count: int) -> None:
    assert len(drawing(nodes([[]] * count))["places"]) == count
