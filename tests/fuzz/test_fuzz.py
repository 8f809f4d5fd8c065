"""Random graphs of ordinary ops hold what a conversion promises; `make fuzz` runs more of them."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import shown
from tests.fuzz.graphs import random_case
from tests.fuzz.oracle import failures

COUNT, AT_ONCE = 1000, 50
KNOWN = {
    44: "a sum over a norm adds up what it rounds inside",
    792: "one value of a hundred is within a step of the threshold of a comparison",
}
"""Seeds that are 6 dB and more below what 8 bits allow, and why."""


def test_what_is_known_to_fall_short_still_does() -> None:
    assert all(any(f.kind == "far off" for f in failures(random_case(seed))) for seed in KNOWN)


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_random_graphs_hold(first: int) -> None:
    """`python -m tests.fuzz --seed N --count 1` cuts a failing one down."""
    wrong = [
        f"seed {seed}: {'; '.join(map(str, found[:3]))}\n{shown(case)}"
        for seed in range(first, first + AT_ONCE)
        if seed not in KNOWN and (found := failures(case := random_case(seed), quick=True))
    ]
    assert not wrong, "\n".join(wrong)
