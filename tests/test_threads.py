"""Work side by side: in order, each state used by one call at a time, failures of the first."""

from __future__ import annotations

import threading
import time

import pytest

from hexconv.threads import side_by_side


@pytest.mark.parametrize("states", [1, 2, 4])
def test_results_come_in_order(states: int) -> None:
    def run(_: int, number: int, item: str) -> str:
        time.sleep(0.002 * (number % 3 == 0))
        return f"{number}{item}"

    assert list(side_by_side(run, range(states), "abcdefgh")) == [
        f"{number}{item}" for number, item in enumerate("abcdefgh")
    ]


def test_no_state_is_used_twice_at_a_time() -> None:
    states = [threading.Lock() for _ in range(3)]

    def run(state: threading.Lock, number: int, item: int) -> None:
        assert state.acquire(blocking=False)
        time.sleep(0.001)
        state.release()

    assert len(list(side_by_side(run, states, range(30)))) == 30


def test_no_more_items_are_drawn_than_run() -> None:
    drawn, done = 0, 0

    def items():
        nonlocal drawn
        for item in range(20):
            drawn += 1
            yield item

    for done, _ in enumerate(side_by_side(lambda s, n, i: i, "ab", items()), 1):
        assert drawn <= done + 2


def test_the_first_failure_is_raised() -> None:
    def run(_: int, number: int, item: int) -> int:
        if number >= 3:
            time.sleep(0.01 * (10 - number))
            raise ValueError(f"item {number}")
        return item

    found = []
    with pytest.raises(ValueError, match="item 3"):
        for item in side_by_side(run, range(4), range(10)):
            found.append(item)
    assert found == [0, 1, 2]
