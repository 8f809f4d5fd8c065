"""Node by node: exact, different, or unseen; and where a difference starts."""

from __future__ import annotations

import numpy as np

from hexconv.compare.device import NodeVerdict, compare_taps, first_difference
from hexconv.nnlib.graph import Graph, Node, Output, Ref

PORTS = (Output((1, 1, 1, 4), "uint8"), *[Output((1, 1, 1, 1), "float32")] * 2)
NAMES = ("a", "b", "c", "d")


def chain() -> Graph:
    """a -> b -> c, and d beside them."""
    reads = {"a": (), "b": (Ref(0),), "c": (Ref(1),), "d": (Ref(0),)}
    return Graph(nodes=[Node(i, n, f"Op_{n}", reads[n], PORTS) for i, n in enumerate(NAMES)])


def outputs() -> dict[str, list[np.ndarray]]:
    codes = np.arange(4, dtype=np.uint8).reshape(1, 1, 1, 4)
    low, high = (np.full((1, 1, 1, 1), value, np.float32) for value in (-1, 1))
    return {name: [codes.copy(), low, high] for name in NAMES}


def test_equal_outputs_are_exact() -> None:
    rows = compare_taps(chain(), outputs(), outputs(), {})
    assert [row.verdict for row in rows] == [NodeVerdict.EXACT] * 4
    assert first_difference(rows) is None


def test_a_difference_is_counted_and_traced_to_where_it_starts() -> None:
    ours = outputs()
    ours["b"][0][0, 0, 0, 2:] = (7, 0)
    ours["c"][0][0, 0, 0, 0] = 1
    rows = {row.name: row for row in compare_taps(chain(), outputs(), ours, {})}
    assert (rows["b"].different, rows["b"].elements, rows["b"].largest) == (2, 4, 5.0)
    assert rows["b"].first == (0, 0, 0, 2)
    assert rows["b"].starts_here
    assert not rows["c"].starts_here
    assert rows["d"].verdict == NodeVerdict.EXACT
    assert "starts here" in rows["b"].sentence()
    assert "comes from a node before" in rows["c"].sentence()


def test_ranges_count_as_much_as_values() -> None:
    ours = outputs()
    ours["d"][2] = ours["d"][2] + np.float32(1e-6)
    (row,) = [r for r in compare_taps(chain(), outputs(), ours, {}) if r.name == "d"]
    assert (row.verdict, row.port, row.different) == (NodeVerdict.DIFFERS, 2, 1)


def test_a_difference_is_seen_through_a_node_that_cannot_be_tapped() -> None:
    ours, theirs = outputs(), outputs()
    ours["a"][0][...] = 9
    ours["c"][0][...] = 9
    del theirs["b"]
    rows = {row.name: row for row in compare_taps(chain(), theirs, ours, {"b": "fused"})}
    assert (rows["b"].verdict, rows["b"].note) == (NodeVerdict.UNSEEN, "fused")
    assert rows["a"].starts_here
    assert not rows["c"].starts_here


def test_other_sizes_are_a_difference() -> None:
    ours = outputs()
    ours["a"][0] = ours["a"][0].reshape(1, 1, 4, 1)
    row = compare_taps(chain(), outputs(), ours, {})[0]
    assert row.verdict == NodeVerdict.DIFFERS
    assert "(1, 1, 1, 4) in the library" in row.sentence()


def test_the_same_value_in_other_bits_is_seen() -> None:
    ours, theirs = outputs(), outputs()
    theirs["a"][1] = np.zeros((1, 1, 1, 1), np.float32)
    ours["a"][1] = -theirs["a"][1]
    assert compare_taps(chain(), theirs, ours, {})[0].verdict == NodeVerdict.DIFFERS
