"""Where the library misreads data for want of padding: measured here, node by node."""

from __future__ import annotations

import pytest

from hexconv.compare.agreement import Trial, agree
from hexconv.device import Library
from tests import real_library
from tests.nnlib.short_padding import ENOUGH, SHORT

pytestmark = real_library.NEEDED


@pytest.mark.parametrize("name", [*SHORT, *ENOUGH])
def test_the_library_misreads_what_conversions_correct_and_nothing_else(name: str) -> None:
    chain = (SHORT | ENOUGH)[name]()
    result = agree(Library(), Trial(name, "padding", chain.graph(), chain.feeds()))
    assert result.exact == (name in ENOUGH), result
