"""`optimize="all"`: never more expensive, never less accurate than stated, always the same."""

from __future__ import annotations

from hexconv.optimize.registry import REWRITES
from hexconv.optimize.search import MORE_PACKETS, TOLERANCE_DB, Choice, search


class Stub:
    """What a search sees of conversions: a cost and an accuracy for each choice."""

    def __init__(self, best: str, sqnr: float) -> None:
        self.best, self.sqnr, self.built = best, sqnr, 0

    def build(self, choice: Choice) -> Choice:
        self.built += 1
        return choice

    def score(self, choice: Choice) -> tuple[float, float, float]:
        turned = self.best in choice.without | choice.also
        return (5.0, 100.0, self.sqnr) if turned else (10.0, 100.0, 30.0)


def found(stub: Stub) -> Choice:
    result = search(stub.build, stub.score, Choice(frozenset()))  # type: ignore[arg-type]
    assert isinstance(result, Choice)
    return result


def test_a_cheaper_form_of_the_same_accuracy_is_kept() -> None:
    assert found(Stub("linear", 30.0)) == Choice(frozenset({"linear"}))


def test_a_form_that_costs_accuracy_is_not() -> None:
    assert found(Stub("linear", 30.0 - 2 * TOLERANCE_DB)) == Choice(frozenset())


def test_it_converts_once_a_rewrite_at_most() -> None:
    stub = Stub("linear", 30.0)
    found(stub)
    assert stub.built <= len(REWRITES) + 1


def test_packets_may_hardly_grow() -> None:
    assert 1.0 <= MORE_PACKETS <= 1.05
