"""Packets spent on tensors in slices: in the order of what they gain, within a budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.noise import TensorNoise
from hexconv.conversion_record import RefineStep
from hexconv.cost import predict
from hexconv.errors import ConfigError
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.pipeline import prepared
from hexconv.refine.budget import Budget
from hexconv.refine.candidates import (
    AtOnce,
    Candidate,
    InSlices,
    OutputInSlices,
    WrittenOut,
    candidates,
)
from hexconv.refine.finer import Spending
from hexconv.refine.held_back import Judge
from hexconv.refine.recipe import BIASES, WEIGHTS, Recipe, Step
from hexconv.schema import check_document
from hexconv.settings import Settings
from tests.lowering.proof import model
from tests.optimize.proof import feeds
from tests.optimize.test_inner_slices import leaky, summed
from tests.optimize.test_sums_at_once import linears

PRICES = {"a": 10.0, "b": 40.0, "c": 5.0}


def packets(recipe: Recipe) -> float:
    return 1000.0 + sum(PRICES[name] * (n - 1) for name, n in recipe.precision.slices)


class Tries:
    """Keeps what is not refused, or what gains too little for itself but not together."""

    def __init__(
        self, refused: str, doubtful: tuple[str, ...] = (), free: tuple[Step, ...] = ()
    ) -> None:
        self.best, self._refused, self._doubtful = Recipe(), refused, doubtful
        self.steps: list[RefineStep] = []
        self.doubtful = list(free)

    def tries(self, step: Step, change: tuple[float, float]) -> bool:
        recipe = step.change(self.best)
        assert change == (packets(self.best), packets(recipe))
        alone = any(step.name.startswith(f"'{name}'") for name in self._doubtful)
        refused = self._refused in step.name
        kept = not refused and not (alone and "," not in step.name)
        self.steps.append(RefineStep(step.name, 30.0, 29.0 if refused else 31.0, kept))
        if kept:
            self.best = recipe
        return kept


def tried(
    extra: float, found: Any, refused: str = "none", doubtful: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, int]]:
    validation: Any = Tries(refused, doubtful)
    Spending(validation, Budget(packets, extra)).run(found)
    names = [
        "".join(name[1] + name[7] for name in step.name.split(", ")) for step in validation.steps
    ]
    return names, dict(validation.best.precision.slices)


def steps(tensor: str, *shares: float) -> list[Candidate]:
    return [InSlices(tensor, n, share) for n, share in enumerate(shares, 2)]


def test_what_removes_most_for_a_packet_is_tried_first() -> None:
    found = [steps("a", 0.1), steps("b", 0.2), steps("c", 0.1)]
    assert tried(10.0, found) == (["c2", "a2", "b2"], {"a": 2, "b": 2, "c": 2})


def test_nothing_is_tried_beyond_the_budget() -> None:
    found = [steps("a", 0.1), steps("b", 0.2), steps("c", 0.1)]
    assert tried(2.0, found) == (["c2", "a2"], {"a": 2, "c": 2})


def test_the_budget_goes_to_what_removes_most_together() -> None:
    """Taken by what a packet removes, "a" would leave no room for twice as much."""
    found = [steps("a", 0.1), steps("b", 0.2), steps("c", 0.01)]
    assert tried(4.5, found) == (["b2", "c2"], {"b": 2, "c": 2})
    # What is left of it is for others where one is refused.
    assert tried(4.5, found, refused="'b'") == (["b2", "a2", "c2"], {"a": 2, "c": 2})


def test_more_slices_are_tried_only_where_fewer_were_kept() -> None:
    found = [steps("a", 0.1, 0.05), steps("c", 0.1, 0.01)]
    assert tried(10.0, found, refused="'a'") == (["c2", "a2", "c3"], {"c": 3})


def test_what_gained_too_little_alone_is_tried_together() -> None:
    found = [steps("a", 0.1), steps("b", 0.1), steps("c", 0.1)]
    names, kept = tried(10.0, found, doubtful=("a", "b"))
    assert names == ["c2", "a2", "b2", "a2b2"]
    assert kept == {"a": 2, "b": 2, "c": 2}
    # What lost is not among them, and one alone was tried already.
    assert tried(10.0, found, refused="'b'", doubtful=("a",))[0] == ["c2", "a2", "b2"]


def test_together_they_stay_in_the_budget() -> None:
    found = [steps("a", 0.1), steps("b", 0.1), steps("c", 0.1)]
    names, kept = tried(4.5, found, doubtful=("a", "b", "c"))
    assert names == ["c2", "a2", "b2", "c2a2"]
    assert kept == {"a": 2, "c": 2}


def test_with_what_gained_too_little_for_no_packets() -> None:
    """One alone, and several that gain too little together; none that lost."""
    validation: Any = Tries("none", ("a",), free=(*BIASES, *WEIGHTS))
    Spending(validation, Budget(packets, 10.0)).run([steps("a", 0.1), steps("c", 0.1)])
    names = ["'c' in 2 slices", "'a' in 2 slices", f"'a' in 2 slices, {WEIGHTS[0].name}"]
    assert [step.name for step in validation.steps] == names
    assert validation.best.weights and dict(validation.best.precision.slices) == {"a": 2, "c": 2}
    lost: Any = Tries("'a'", ("a",), free=BIASES)
    Spending(lost, Budget(packets, 10.0)).run([steps("a", 0.1)])
    assert [step.name for step in lost.steps] == ["'a' in 2 slices"]


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


def test_slices_of_a_sum_remove_the_sums_inside_and_round_its_terms_in_one_range() -> None:
    graph, _ = prepared(summed(), None, Settings())
    ranges = dict.fromkeys(("r", "t", "c2"), (-1.0, 1.0)) | {"l": (-1.0, 1.0)}
    rows = [noise("inside", 0.3, 1.0), noise("t", 0.1, 1.0)]
    (alike,) = candidates(graph, ranges, rows)
    assert alike[0].share == pytest.approx(0.3 * 0.75)
    (unlike,) = candidates(graph, ranges | {"r": (-1.5, 1.0)}, rows)
    assert unlike[0].share == pytest.approx((0.3 - 0.1 * (1.25**2 - 1.0)) * 0.75)


def test_a_sum_at_once_lacks_what_sums_before_it_round_and_widens_its_terms() -> None:
    graph, _ = prepared(linears(2), None, Settings())
    ranges = dict.fromkeys(("x0", "b0", "b1"), (-1.0, 1.0))
    ranges |= {"x1": (-2.0, 2.0), "x2": (-4.0, 4.0)}
    rows = [noise("x2", 0.4, 0.5), noise("b0", 0.1, 1.0), noise("x1", 0.3, 1.0)]
    assert [AtOnce("x2", 3, pytest.approx(0.2 * 0.25))] in candidates(graph, ranges, rows)
    unlike = candidates(graph, ranges | {"b0": (-1.0, 0.8)}, rows)
    share = 0.2 * 0.25 - 0.1 * ((2.0 / 1.8) ** 2 - 1.0)
    assert [AtOnce("x2", 3, pytest.approx(share))] in unlike


@pytest.mark.parametrize(("rows", "counts"), [(48, (2, 4)), (3, (4,))])
def test_an_output_in_slices_has_smaller_steps_but_for_the_margin(
    rows: int, counts: tuple[int, ...]
) -> None:
    """5 % of the range at both ends, 30 % where there are few values; 2 slices gain little then."""
    graph, _ = prepared(one_linear(rows), None, Settings())
    (found,) = candidates(graph, {"y": (-1.0, 1.0)}, [noise("y", 0.8, 0.5)])
    left = {count: ((1.1 if rows == 48 else 1.6) / count) ** 2 for count in counts}
    assert [step.count for step in found if isinstance(step, OutputInSlices)] == list(counts)
    total = sum(step.share for step in found)
    assert total == pytest.approx(0.8 * 0.5 * (1.0 - left[counts[-1]]))
    assert found[0].share == pytest.approx(0.4 * (1.0 - left[counts[0]]))
    # One that the user has in slices stays so.
    assert not candidates(graph, {"y": (-1.0, 1.0)}, [noise("y", 0.8, 0.5)], ["y"])


def one_linear(rows: int = 48) -> onnx.ModelProto:
    """Of whose noise the output's own rounding is most: one of 12 channels is large."""
    weights = np.random.default_rng(5).normal(0, 0.1, (32, 12)).astype(np.float32)
    weights[:, 3] *= 8.0
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    consts = {"w": weights, "b": np.linspace(-0.2, 0.2, 12, dtype=np.float32)}
    return model(nodes, {"x": [1, rows, 32]}, ["y"], consts, opset=17)


def with_and_without(proto: onnx.ModelProto) -> tuple[Model, Model, list[str]]:
    """By high with packets to spend, and without; the steps that the first one kept."""
    found, plain = (
        hexconv.convert(proto, samples=feeds(proto, 16), accuracy="high", extra_packets=percent)
        for percent in (300.0, 0.0)
    )
    assert found.conversion is not None
    return found, plain, [step.name for step in found.conversion.refined if step.kept]


def test_an_output_is_added_up_in_float_where_its_rounding_is_most_of_the_noise() -> None:
    proto = one_linear()
    found, plain, kept = with_and_without(proto)
    assert "the output 'y' in 2 slices, added up in float" in kept
    assert found.graph.outputs == plain.graph.outputs
    judge = Judge(load(proto), feeds(proto, 6, 50), "v66")
    assert judge.score(found.graph).sqnr > judge.score(plain.graph).sqnr + 2.0


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


def test_steps_that_cost_nothing_are_tried_before_slices_and_once_more_behind_them(
    high: Model,
) -> None:
    """Biases are kept before, weights only behind."""
    assert high.conversion is not None
    tried = [(step.name, step.kept) for step in high.conversion.refined]
    place = tried.index(("'l' in 2 slices", True))
    weights = "weights rounded for their inputs, and biases"
    assert ("biases", True) in tried[:place] and (weights, False) in tried[:place]
    assert (weights, True) in tried[place:] and "biases" not in dict(tried[place:])


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


def classes() -> onnx.ModelProto:
    """Probabilities of 40 classes up to about a half, of 32 frames."""
    weights = np.random.default_rng(5).normal(0, 0.28, (16, 40)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"]),
    ]
    return model(nodes, {"x": [1, 32, 16]}, ["p"], {"w": weights}, opset=17)


def test_a_softmax_is_written_out_where_its_rounding_is_most_of_the_noise() -> None:
    proto = classes()
    found, plain, kept = with_and_without(proto)
    assert "the softmax 'p' in the range of its probabilities" in kept
    judge = Judge(load(proto), feeds(proto, 6, 50), "v66")
    before, after = (judge.score(made.graph) for made in (plain, found))
    assert after.sqnr > before.sqnr + 2.0
    # It gains by how probabilities are rounded, which logits do not show.
    assert before.of_logits is not None and after.of_logits is None


def test_a_softmax_written_out_is_rounded_in_steps_of_its_largest_probability() -> None:
    graph, _ = prepared(classes(), None, Settings())
    ((only,),) = candidates(graph, {"p": (0.0, 0.5), "z": (-4.0, 4.0)}, [noise("p", 0.8, 0.5)])
    assert only == WrittenOut("p", pytest.approx(0.8 * 0.5 * 0.75))
