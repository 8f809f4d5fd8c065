"""Data of one row or column on which a window finds less padding than it reads.

tests/device/test_short_padding.py holds the same cases against the library.
"""

from __future__ import annotations

import pytest

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.prepare.left_padding import require_unshifted, shifted
from hexconv.nnlib.prepare.row_padding import readers_short_of_rows
from tests.nnlib.short_padding import ENOUGH, SHORT, row


def is_short(graph: Graph) -> bool:
    """Whether a node of the prepared graph reads padding that is not there."""
    executed = prepare(graph)
    return any(readers_short_of_rows(executed)) or any(shifted(executed))


@pytest.mark.parametrize("name", SHORT)
def test_what_the_library_misreads_is_found(name: str) -> None:
    assert is_short(SHORT[name]().graph())


@pytest.mark.parametrize("name", ENOUGH)
def test_what_it_reads_correctly_is_not_changed(name: str) -> None:
    assert not is_short(ENOUGH[name]().graph())


def test_the_error_names_the_node_and_what_to_do() -> None:
    chain = row("DepthToSpace").window("Depthwise", (3, 5))
    with pytest.raises(GraphError, match="too few rows of padding") as caught:
        require_unshifted(prepare(chain.graph()))
    assert str(chain.x[0].node) in caught.value.where
    assert "flat" in caught.value.hint
