"""Unique names: the first number that is free, however large the graph."""

from __future__ import annotations

import random

from hexconv.names import TakenNames, unique_name


def counted_from_the_start(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def test_names_that_are_freed_are_given_again_as_without_memory() -> None:
    generator = random.Random(0)
    remembered, plain = TakenNames(["a", "a_3", "b_2"]), {"a", "a_3", "b_2"}
    for _ in range(2000):
        if plain and generator.random() < 0.3:
            name = generator.choice(sorted(plain))
            remembered.discard(name)
            plain.discard(name)
        wanted = generator.choice(["a", "b", "a_2", "a_2_2"])
        assert unique_name(wanted, remembered) == counted_from_the_start(wanted, plain)
    assert remembered == plain
