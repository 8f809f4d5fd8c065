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
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.refine import Judge, Score, chosen_ranges, other_ranges
from tests.cli.converting import run
from tests.lowering.proof import Array, model, numbers

WIDTH, ROWS = 32, (1, 64, 32)
LEAST_ERROR, INNER = "ranges of the least squared error", "the same but for outputs"


def linears(last: str) -> onnx.ModelProto:
    """Four Linears; the result is of all their values, or, as fourth powers, of large ones."""
    nodes, at = [], "x"
    for place in range(4):
        nodes.append(helper.make_node("MatMul", [at, f"w{place}"], [f"a{place}"]))
        nodes.append(helper.make_node("LeakyRelu", [f"a{place}"], [f"l{place}"], alpha=0.9))
        at = f"l{place}"
    if last == "large":
        nodes.append(helper.make_node("Mul", [at, at], ["square"]))
        nodes.append(helper.make_node("Mul", ["square", "square"], ["fourth"]))
        at = "fourth"
    nodes.append(helper.make_node("MatMul", [at, "w4"], ["y"]))
    squares = [numbers((WIDTH, WIDTH), place) for place in range(5)]
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
    assert steps(made) == {LEAST_ERROR: observer == "mse", INNER: False}
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
    assert high.conversion.refined[:2] == plain.conversion.refined
    assert not any(step.kept for step in high.conversion.refined[2:])


@dataclass
class Scores:
    """Judges a model, which is its ranges here, by the upper end of each."""

    wanted: dict[str, float]

    def score(self, made: Built) -> Score:
        wrong = sum(made.graph[name][1] != high for name, high in self.wanted.items())
        return Score(30.0 - wrong, (0.1 * wrong,))


@dataclass
class Built:
    """A model that is its ranges."""

    graph: Any


@pytest.mark.parametrize(
    ("ends", "kept"), [((2.0, 2.0), ""), ((1.0, 1.0), LEAST_ERROR), ((1.0, 2.0), INNER)]
)
def test_outputs_may_keep_all_that_was_seen(ends: tuple[float, float], kept: str) -> None:
    seen, narrow = {"h": (0.0, 2.0), "y": (0.0, 2.0)}, {"h": (0.0, 1.0), "y": (0.0, 1.0)}
    judge: Any = Scores(dict(zip(("h", "y"), ends, strict=True)))
    others = other_ranges(seen, narrow, {"y"}, lambda found: found)
    found = chosen_ranges(seen, others, cast("Any", Built), judge.score)
    assert found.ranges == cast("Any", found.model).graph
    assert tuple(found.ranges[name][1] for name in ("h", "y")) == ends
    assert [step.name for step in found.steps if step.kept][-1:] == ([kept] if kept else [])


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
