"""`observer="auto"`: ranges of the least squared error where the simulated model is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate import Spread
from hexconv.conversion_record import RefineStep
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.refine import Judge, Score, chosen_ranges
from hexconv.refine.observers import LEAST_ERROR
from hexconv.refine.scores import least_better
from tests.cli.converting import run
from tests.lowering.proof import Array, model, numbers

WIDTH, ROWS = 32, (1, 256, 32)


def linears(last: str) -> onnx.ModelProto:
    """Nine Linears; the result is of all values, or, as fourth powers, of large ones."""
    nodes, at = [], "x"
    for place in range(8):
        nodes.append(helper.make_node("MatMul", [at, f"w{place}"], [f"a{place}"]))
        nodes.append(helper.make_node("LeakyRelu", [f"a{place}"], [f"l{place}"], alpha=0.9))
        at = f"l{place}"
    if last == "large":
        nodes.append(helper.make_node("Mul", [at, at], ["square"]))
        nodes.append(helper.make_node("Mul", ["square", "square"], ["fourth"]))
        at = "fourth"
    nodes.append(helper.make_node("MatMul", [at, "w8"], ["y"]))
    squares = [numbers((WIDTH, WIDTH), place) for place in range(9)]
    weights = {f"w{i}": np.float32(np.linalg.qr(square)[0]) for i, square in enumerate(squares)}
    return model(nodes, {"x": ROWS}, ["y"], weights)


def feeds(count: int, first: int = 0) -> list[dict[str, Array]]:
    return [{"x": np.clip(numbers(ROWS, s), -2.0, 2.0)} for s in range(first, first + count)]


def steps(made: Model) -> dict[str, bool]:
    assert made.conversion is not None
    assert all(step.calibrated for step in made.conversion.refined)
    return {step.name: step.kept for step in made.conversion.refined}


@pytest.mark.parametrize(("last", "observer"), [("all", "mse"), ("large", "minmax")])
def test_the_better_observer_is_chosen(last: str, observer: Any) -> None:
    """On samples that nothing has seen it is the better one too."""
    proto, other = linears(last), "minmax" if observer == "mse" else "mse"
    made = hexconv.convert(proto, samples=feeds(16))
    assert steps(made) == {LEAST_ERROR: observer == "mse"}
    own = hexconv.convert(proto, samples=feeds(16), observer=observer)
    assert made.ranges == own.ranges
    judge = Judge(load(proto), feeds(8, first=50), "v66")
    worse = hexconv.convert(proto, samples=feeds(16), observer=cast("Any", other))
    assert judge.score(made.graph).sqnr > judge.score(worse.graph).sqnr + 0.1


def test_the_ranges_of_the_model_give_it_again() -> None:
    made = hexconv.convert(linears("all"), samples=feeds(12))
    again = hexconv.convert(linears("all"), ranges=made.ranges)
    assert [c.array.tobytes() for c in again.graph.consts] == [
        c.array.tobytes() for c in made.graph.consts
    ]


def test_samples_that_are_drawn_once_are_chosen_on_too() -> None:
    listed = hexconv.convert(linears("all"), samples=feeds(13))
    drawn = hexconv.convert(linears("all"), samples=iter(feeds(13)))
    assert drawn.ranges == listed.ranges and steps(drawn) == steps(listed) and steps(drawn)


@pytest.mark.parametrize(
    ("count", "settings"),
    [(11, {}), (12, {"observer": "minmax"}), (12, {"accuracy": "minmax"})],
)
def test_few_samples_and_other_settings_take_all_that_was_seen(
    count: int, settings: dict[str, Any]
) -> None:
    made = hexconv.convert(linears("all"), samples=iter(feeds(count)), **settings)
    plain = hexconv.convert(linears("all"), samples=feeds(count), observer="minmax")
    assert steps(made) == {} and made.ranges == plain.ranges


def test_where_high_keeps_no_step_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the choice on all samples."""
    monkeypatch.setattr(Score, "beats", lambda self, other: False)
    high = hexconv.convert(linears("all"), samples=feeds(16), accuracy="high")
    plain = hexconv.convert(linears("all"), samples=feeds(16))
    assert high.ranges == plain.ranges
    assert high.conversion is not None and plain.conversion is not None
    assert high.conversion.refined[:1] == plain.conversion.refined
    assert not any(step.kept for step in high.conversion.refined[1:])


def test_what_tells_too_little_alone_may_be_kept_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def beats(self: Score, other: Score) -> bool:
        scored.append(self)
        return len(scored) == together

    monkeypatch.setattr(Score, "beats", beats)
    monkeypatch.setattr("hexconv.refine.scores.agree", lambda gains: True)
    monkeypatch.setattr("hexconv.refine.validation.likely", lambda pairs: False)
    monkeypatch.setattr(Score, "gains_over", lambda self, other: [1.0])
    monkeypatch.setattr("hexconv.conversion.chosen_ranges", first_ranges)
    proto, samples, scored, together = linears("all"), feeds(12), list[Score](), 5
    high = hexconv.convert(proto, samples=samples, accuracy="high", extra_packets=0.0)
    assert high.conversion is not None
    *others, last = high.conversion.refined
    assert "together" in last.name and last.kept and not any(step.kept for step in others)
    assert high.ranges != hexconv.convert(proto, samples=samples, observer="minmax").ranges


def first_ranges(seen: Any, narrow: Any, build: Any, compare: Any) -> Any:
    """In place of `chosen_ranges`: without a choice."""
    return seen, build(seen), RefineStep(LEAST_ERROR, 0.0, 0.0, False)


@dataclass
class Built:
    """A model that is its ranges."""

    graph: Any


@pytest.mark.parametrize(
    ("gain", "better", "kept"), [(0.6, 6, True), (0.6, 5, False), (0.1, 8, False), (-1.0, 0, False)]
)
def test_a_small_gain_and_one_of_few_samples_say_nothing(
    gain: float, better: int, kept: bool
) -> None:
    seen, narrow = {"h": (0.0, 2.0)}, {"h": (0.0, 1.0)}
    noise = {2.0: (0.1,) * 8, 1.0: (0.05,) * better + (0.2,) * (8 - better)}
    levels = {2.0: 30.0, 1.0: 30.0 + gain}

    def compare(*both: Any) -> tuple[Score, Score]:
        first, second = (made.graph["h"][1] for made in both)
        return Score(levels[first], noise[first]), Score(levels[second], noise[second])

    best, made, step = chosen_ranges(seen, narrow, cast("Any", Built), compare)
    assert best == cast("Any", made).graph == (narrow if kept else seen)
    assert step.kept is kept and step.after - step.before == pytest.approx(gain)


@pytest.mark.parametrize(
    ("gain", "factors", "kept"),
    [
        (0.3, (0.93, 0.92, 0.94, 0.93, 0.92, 0.94, 0.93, 0.93), True),
        (0.1, (0.93, 0.92, 0.94, 0.93, 0.92, 0.94, 0.93, 0.93), False),
        (0.3, (0.86, 0.78, 1.47, 0.80, 0.98, 0.96, 0.87, 0.86), False),
    ],
    ids=["alike", "too small", "a vocoder, by chance"],
)
def test_a_gain_of_all_samples_alike_may_be_smaller(
    gain: float, factors: tuple[float, ...], kept: bool
) -> None:
    def compare(*_: Any) -> tuple[Score, Score]:
        return Score(30.0, (0.1,) * 8), Score(30.0 + gain, tuple(0.1 * f for f in factors))

    ranges = {"h": (0.0, 2.0)}, {"h": (0.0, 1.0)}
    _, _, step = chosen_ranges(*ranges, cast("Any", Built), compare)
    assert step.kept is kept


@pytest.mark.parametrize(
    ("count", "worse", "seen"),
    [(8, (0, 1, 2), 3), (8, (0, 1, 7), 8), (8, (3,), 8), (5, (1, 2), 3), (5, (4,), 5)],
)
def test_samples_are_simulated_until_they_tell(
    count: int, worse: tuple[int, ...], seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 samples 6 have to be better, of 5 samples 4."""
    judge, done = Judge(load(linears("all")), feeds(count), "v66"), []

    def noise(self: Judge, run: Any, place: int) -> np.ndarray[Any, Any]:
        done.append(place)
        second = done.count(place) == 2
        return np.array([[2.0 if second and place in worse else 0.5 if second else 1.0]])

    monkeypatch.setattr(Judge, "_noise", noise)
    made = hexconv.convert(linears("all"), samples=feeds(4)).graph
    before, after = judge.compared(made, made)
    assert done == [place for place in range(seen) for _ in range(2)]
    assert len(before.noise) == len(after.noise) == seen
    better = sum(a < b for a, b in zip(after.noise, before.noise, strict=True))
    assert (better >= least_better(seen)) is (len(worse) <= count - least_better(count))


@pytest.mark.parametrize("count", [1, 8, 9, 16, 17, 100])
def test_kept_samples_are_spread_over_all(count: int) -> None:
    spread, samples = Spread(), ({"x": np.full(2, i)} for i in range(count))
    assert [int(sample["x"][0]) for sample in spread.watch(samples)] == list(range(count))
    kept = [int(sample["x"][0]) for sample in spread.kept]
    gaps = set(np.diff([*kept, count])[:-1].tolist())
    assert spread.count == count and kept[0] == 0 and len(gaps) <= 1
    assert min(count, 5) <= len(kept) <= 8 and count - kept[-1] <= max(gaps, default=1)


def test_the_command_says_what_was_chosen(tmp_path: Any) -> None:
    onnx.save(linears("all"), tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", np.stack([feed["x"] for feed in feeds(12)]))
    done = run(
        str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s.npy"), "-o", str(tmp_path / "out")
    )
    assert done.exit_code == 0, done.output
    assert LEAST_ERROR in done.output and "samples of the calibration" in done.output
