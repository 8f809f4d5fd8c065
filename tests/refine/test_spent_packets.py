"""Packets spent on tensors in slices: in the order of what they gain, within a budget."""

from __future__ import annotations

from typing import Any

import pytest

import hexconv
from hexconv.compare.noise import TensorNoise
from hexconv.cost import predict
from hexconv.errors import ConfigError
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.pipeline import prepared
from hexconv.refine.candidates import Candidate, candidates
from hexconv.refine.finer import Spending
from hexconv.refine.held_back import Judge
from hexconv.refine.recipe import Recipe, Step
from hexconv.schema import check_document
from hexconv.settings import Settings
from tests.optimize.test_inner_slices import feeds, leaky

PRICES = {"a": 10.0, "b": 40.0, "c": 5.0}


def packets(recipe: Recipe) -> float:
    return 1000.0 + sum(PRICES[name] * (n - 1) for name, n in recipe.slices)


class Tries:
    """Keeps what is not refused."""

    def __init__(self, refused: str) -> None:
        self.best, self.names, self._refused = Recipe(), list[str](), refused

    def tries(self, step: Step, change: tuple[float, float]) -> bool:
        recipe, kept = step.change(self.best), self._refused not in step.name
        assert change == (packets(self.best), packets(recipe))
        self.names.append(step.name)
        if kept:
            self.best = recipe
        return kept


def tried(extra: float, found: Any, refused: str = "none") -> tuple[list[str], dict[str, int]]:
    validation: Any = Tries(refused)
    Spending(validation, packets, extra).run(found)
    return [name[1] + name[7] for name in validation.names], dict(validation.best.slices)


def steps(tensor: str, *shares: float) -> list[Candidate]:
    return [Candidate(tensor, n, share) for n, share in enumerate(shares, 2)]


def test_what_removes_most_for_a_packet_is_tried_first() -> None:
    found = [steps("a", 0.1), steps("b", 0.2), steps("c", 0.1)]
    assert tried(10.0, found) == (["c2", "a2", "b2"], {"a": 2, "b": 2, "c": 2})


def test_nothing_is_tried_beyond_the_budget() -> None:
    found = [steps("a", 0.1), steps("b", 0.2), steps("c", 0.1)]
    assert tried(2.0, found) == (["c2", "a2"], {"a": 2, "c": 2})


def test_more_slices_are_tried_only_where_fewer_were_kept() -> None:
    found = [steps("a", 0.1, 0.05), steps("c", 0.1, 0.01)]
    assert tried(10.0, found, refused="'a'") == (["c2", "a2", "c3"], {"c": 3})


def noise(tensor: str, share: float, rounding: float) -> TensorNoise:
    return TensorNoise(tensor, "op", "first", share, rounding, 0.0, 1.0 - rounding, 0.0)


def test_slices_remove_what_the_chain_rounds_but_for_their_own_steps() -> None:
    """A product's rounding throughout, and that of the tensor that is read by its steps."""
    graph, _ = prepared(leaky(), None, Settings())
    rows = [noise("c", 0.4, 0.5), noise("l", 0.2, 1.0)]
    ((two, four),) = candidates(graph, {"l": (-1.0, 1.0)}, rows)
    assert (two.tensor, two.count, four.count) == ("l", 2, 4)
    assert two.share == pytest.approx(0.2 + 0.2 * 0.75)
    assert four.share == pytest.approx(0.2 * (0.25 - 0.0625))


def test_a_tensor_of_no_noise_is_no_candidate() -> None:
    graph, _ = prepared(leaky(), None, Settings())
    assert not candidates(graph, {"l": (-1.0, 1.0)}, [noise("l", 0.001, 1.0)])


@pytest.fixture(scope="module")
def high() -> Model:
    proto = leaky()
    return hexconv.convert(proto, samples=feeds(proto, 12), accuracy="high")


@pytest.fixture(scope="module")
def without() -> Model:
    proto = leaky()
    return hexconv.convert(proto, samples=feeds(proto, 12), accuracy="high", extra_packets=0.0)


def test_samples_that_nothing_has_seen_agree(high: Model, without: Model) -> None:
    judge = Judge(load(leaky()), feeds(leaky(), 6, 50), "v66")
    assert judge.score(high.graph).sqnr > judge.score(without.graph).sqnr + 0.2


def test_the_report_has_the_packets_before_and_after(high: Model, without: Model) -> None:
    report = check_document(high.report(), "report")["conversion"]
    found = [step for step in report["refined"] if "slices" in step["name"]]
    assert found[0]["name"] == "'l' in 2 slices" and found[0]["kept"]
    assert found[0]["packets_before"] == predict(without).packets
    assert [step["packets_after"] for step in found if step["kept"]][-1] == predict(high).packets
    others = [step for step in report["refined"] if "slices" not in step["name"]]
    assert others and all(step["packets_after"] is None for step in others)
    assert report["settings"]["extra_packets"] == 10.0


def test_without_a_budget_the_nodes_stay(without: Model) -> None:
    plain = hexconv.convert(leaky(), samples=feeds(leaky(), 12))
    assert [node.op for node in without.graph.nodes] == [node.op for node in plain.graph.nodes]


def test_a_budget_that_no_step_reads_is_an_error() -> None:
    with pytest.raises(ConfigError, match="has no use with"):
        hexconv.convert(leaky(), extra_packets=5.0)


@pytest.mark.parametrize("percent", [-1.0, float("nan"), 2000.0])
def test_a_budget_is_a_number_of_percent(percent: float) -> None:
    with pytest.raises(ConfigError, match="is not 0 to 1000"):
        hexconv.convert(leaky(), accuracy="high", extra_packets=percent)
