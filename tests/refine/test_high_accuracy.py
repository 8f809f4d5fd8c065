"""`accuracy="high"`: ranges and biases by the simulated error, decided on held-back samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import ConfigError, HexconvWarning
from hexconv.model import Model
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import load
from hexconv.quantize import Bounds
from hexconv.refine import refinement
from hexconv.refine.biases import corrected_biases
from hexconv.refine.held_back import Judge, folds
from hexconv.refine.ranges import mixed_ranges
from hexconv.refine.scores import Score, errors
from tests.cli.converting import run
from tests.lowering.proof import Array, decibels, model, numbers

WIDTH, ROWS = 16, (1, 48, 16)


def attention() -> onnx.ModelProto:
    """Rows weighed by a softmax, whose 256 levels do not sum up to 1, and two Linears."""
    nodes = [
        helper.make_node("MatMul", ["x", "q"], ["a"]),
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "t"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["x", "v"], ["xv"]),
        helper.make_node("Add", ["xv", "vb"], ["w"]),
        helper.make_node("MatMul", ["p", "w"], ["c"]),
        helper.make_node("MatMul", ["c", "o"], ["m"]),
        helper.make_node("Add", ["m", "ob"], ["h"]),
        helper.make_node("LeakyRelu", ["h"], ["l"], alpha=0.1),
        helper.make_node("MatMul", ["l", "e"], ["n"]),
        helper.make_node("Add", ["n", "eb"], ["y"]),
    ]
    names = ("q", "v", "o", "e")
    scales = (0.02, 0.3, 0.3, 0.3)
    consts = {
        n: np.float32(s) * numbers((WIDTH, WIDTH), i)
        for i, (n, s) in enumerate(zip(names, scales, strict=True))
    }
    consts |= {n: 3.0 + numbers((WIDTH,), i) for i, n in enumerate(("vb", "ob", "eb"), 7)}
    return model(nodes, {"x": ROWS}, ["y"], consts)


def feeds(count: int, first: int = 0) -> list[dict[str, Array]]:
    return [{"x": numbers(ROWS, seed)} for seed in range(first, first + count)]


def bias_bytes(graph: Graph) -> list[bytes]:
    return [const.array.tobytes() for const in graph.consts if const.array.dtype == np.int32]


@pytest.fixture(scope="module")
def high() -> Model:
    return hexconv.convert(attention(), samples=feeds(12), accuracy="high")


def test_samples_that_nothing_has_seen_agree(high: Model) -> None:
    """The gain on held-back samples is there on others."""
    plain = hexconv.convert(attention(), samples=feeds(12))
    judge = Judge(load(attention()), feeds(6, first=50), "v66")
    assert judge.score(high.graph).sqnr > judge.score(plain.graph).sqnr + 0.3


def test_the_report_has_each_step_and_whether_it_was_kept(high: Model) -> None:
    assert high.conversion is not None
    steps = high.conversion.refined
    names = [step.name for step in steps]
    assert names[names.index("biases") :][:3] == [
        "biases",
        "weights rounded for their inputs, and biases",
        "ranges, biases and weights together",
    ]
    assert any(step.kept for step in steps)
    assert all(step.after > step.before for step in steps if step.kept)
    assert high.report()["conversion"]["refined"]


def test_the_same_samples_give_the_same_bytes(high: Model) -> None:
    again = hexconv.convert(attention(), samples=feeds(12), accuracy="high")
    assert again.graph.consts == high.graph.consts


def test_only_constants_change_without_extra_packets() -> None:
    plain = hexconv.convert(attention(), samples=feeds(12))
    high = hexconv.convert(attention(), samples=feeds(12), accuracy="high", extra_packets=0.0)
    assert [n.op for n in plain.graph.nodes] == [n.op for n in high.graph.nodes]
    assert bias_bytes(plain.graph) != bias_bytes(high.graph)


def test_simulator_and_library_agree() -> None:
    """`decibels` compares both where the library is at hand."""
    assert decibels(attention(), feeds(12), accuracy="high") > 25.0


def test_ranges_that_are_given_are_used_as_they_are() -> None:
    plain = hexconv.convert(attention(), samples=feeds(8))
    given = {"ranges": plain.ranges, "extra_packets": 0.0}
    made = hexconv.convert(attention(), samples=feeds(12), accuracy="high", **given)
    assert made.ranges == plain.ranges
    assert made.conversion is not None
    assert ["biases" in step.name for step in made.conversion.refined] == [True] * 2


def test_a_model_that_returns_the_same_for_each_sample_stays_as_it_is() -> None:
    """Nothing of the executed graph reads an input, and no tensor of it has an error."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Exp", ["a"], ["e"]),
        helper.make_node("Clip", ["e", "low", "high"], ["y"]),
    ]
    consts = {"w": numbers((WIDTH, WIDTH)), "low": np.float32(-1.0), "high": np.float32(-0.5)}
    proto = model(nodes, {"x": ROWS}, ["y"], consts)
    made = hexconv.convert(proto, samples=feeds(12), accuracy="high")
    assert made.graph == hexconv.convert(proto, samples=feeds(12)).graph


def test_narrowed_ranges_that_are_worse_on_all_samples_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four samples are looked at; others may be cut off."""

    def halved(_: object, ranges: Mapping[str, Bounds], *__: object) -> dict[str, Bounds]:
        return {name: (0.5 * low, 0.5 * high) for name, (low, high) in ranges.items()}

    monkeypatch.setattr(refinement, "searched_ranges", halved)
    made = hexconv.convert(attention(), samples=feeds(12), accuracy="high", extra_packets=0.0)
    assert made.conversion is not None
    steps = {step.name: step for step in made.conversion.refined}
    narrowed = steps["ranges by each tensor's noise"]
    assert narrowed.before == narrowed.after and not narrowed.kept


@pytest.mark.parametrize("narrows", [False, True])
def test_ranges_that_only_folds_narrow_are_not_kept(
    narrows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report named a step that the model had nothing of, and later steps built on it."""

    def narrowed(_: object, ranges: Any, __: object, samples: Any, ___: object) -> Any:
        share = 0.9 if narrows or len(samples) < 12 else 1.0
        return {name: (share * low, share * high) for name, (low, high) in ranges.items()}

    monkeypatch.setattr(refinement, "searched_ranges", narrowed)
    monkeypatch.setattr(refinement.Refinement, "_is_better", lambda self, a, b: a != b)
    monkeypatch.setattr("hexconv.refine.validation.better", lambda pairs: True)
    made = hexconv.convert(attention(), samples=feeds(12), accuracy="high", extra_packets=0.0)
    assert made.conversion is not None
    kept = [step.name for step in made.conversion.refined if step.kept]
    assert ("ranges by each tensor's noise" in kept) is narrows


@pytest.mark.parametrize("samples", [None, feeds(1)])
def test_too_few_samples_are_an_error(samples: list[dict[str, Array]] | None) -> None:
    with pytest.raises(ConfigError, match='accuracy="high" needs'):
        hexconv.convert(attention(), samples=samples, accuracy="high")


@pytest.mark.parametrize("count", [12, 13, 16, 64])
def test_each_sample_is_judged_by_models_that_have_not_seen_it(count: int) -> None:
    samples = [{"x": np.full(1, i)} for i in range(count)]
    parts = folds(samples)
    assert [s["x"][0] for _, judged in parts for s in judged] == list(range(count))
    for fit, judged in parts:
        assert len(fit) + len(judged) == count and len(judged) >= 3
        assert not {id(s) for s in fit} & {id(s) for s in judged}


def test_a_step_is_kept_only_if_it_gains_more_than_two_standard_errors() -> None:
    before = Score(30.0, (1.0, 1.0, 1.0, 1.0))
    assert Score(31.0, (0.8, 0.85, 0.9, 0.8)).beats(before)
    assert not Score(31.0, (0.5, 0.9, 0.9, 1.1)).beats(before)  # 0.9 dB with an error of 0.7
    assert not Score(31.0, (0.1, 0.1, 1.1, 1.1)).beats(before)
    assert not Score(29.0, (0.9, 0.9, 0.9, 3.0)).beats(before)
    assert not before.beats(before)


def test_more_samples_tell_smaller_gains() -> None:
    """Half of the standard deviation of a sample's gain: 16 samples tell 0.53 of it, 64 0.25."""
    for count, kept in ((8, False), (16, False), (20, True), (64, True)):
        gains = np.resize([1.5, -0.5], count)
        after = Score(31.0, tuple(10.0 ** (-0.1 * gains)))
        assert after.beats(Score(30.0, (1.0,) * count)) is False  # not more than half of them
        gains[:2] = 0.6, 0.4
        after = Score(31.0, tuple(10.0 ** (-0.1 * gains)))
        assert after.beats(Score(30.0, (1.0,) * count)) is kept


@pytest.mark.parametrize(
    ("count", "wanted"), [(4, 3.182), (8, 2.365), (9, 2.306), (16, 2.131), (64, 1.998)]
)
def test_standard_errors_are_those_of_students_distribution(count: int, wanted: float) -> None:
    assert errors(count) == pytest.approx(wanted, abs=0.006)


def test_three_samples_are_too_few_to_decide_on() -> None:
    assert not Score(31.0, (0.8, 0.8, 0.8)).beats(Score(30.0, (1.0, 1.0, 1.0)))


def test_a_silent_sample_tells_nothing() -> None:
    """Whatever happened to its noise; three others have to agree."""
    before = Score(30.0, (1.0, 1.0, 1.0, 1e-6), (3,))
    assert Score(30.9, (0.8, 0.82, 0.81, 1e-6), (3,)).beats(before)
    assert Score(30.9, (0.8, 0.82, 0.81, 1e-5), (3,)).beats(before)
    assert not Score(30.9, (0.6, 0.95, 0.9, 1e-6), (3,)).beats(before)
    assert not Score(30.9, (0.8, 0.82, 1e-6, 1e-6), (2, 3)).beats(before)


def test_a_judge_tells_which_samples_are_silent() -> None:
    graph = model([helper.make_node("LeakyRelu", ["x"], ["y"])], {"x": (1, 8)}, ["y"], {})
    loud = [{"x": numbers((1, 8), seed)} for seed in range(3)]
    judge = Judge(load(graph), [*loud, {"x": np.zeros((1, 8), np.float32)}], "v66")
    assert judge.score_of(lambda sample: {"y": sample["x"]}).silent == (3,)


@pytest.mark.parametrize("count", [8, 16, 64])
def test_chance_is_not_kept(count: int) -> None:
    """Of 2000 steps that change the noise at random, by 3 dB and without a mean, 2.5 % are kept."""
    random = np.random.default_rng(0)
    kept = 0
    for _ in range(2000):
        noise = 10.0 ** (0.1 * random.normal(0.0, 3.0, count))
        kept += Score(1.0, tuple(noise)).beats(Score(0.0, (1.0,) * count))
    assert 20 < kept < 75


@pytest.mark.parametrize("as_iterator", [False, True])
def test_with_fewer_than_12_samples_the_default_is_kept(as_iterator: bool) -> None:
    samples = feeds(11)
    plain = hexconv.convert(attention(), samples=samples)
    given = iter(samples) if as_iterator else samples
    with pytest.warns(HexconvWarning, match="11 samples too few .* give 12 or more"):
        made = hexconv.convert(attention(), samples=given, accuracy="high")
    assert made.graph.consts == plain.graph.consts and made.ranges == plain.ranges
    assert made.conversion is not None and made.conversion.refined == ()


@pytest.mark.parametrize("as_iterator", [False, True])
def test_where_no_step_helps_the_default_of_all_samples_is_kept(
    monkeypatch: pytest.MonkeyPatch, as_iterator: bool
) -> None:
    monkeypatch.setattr(Score, "beats", lambda *_: False)
    samples = feeds(12)
    plain = hexconv.convert(attention(), samples=samples)
    given = iter(samples) if as_iterator else samples
    made = hexconv.convert(attention(), samples=given, accuracy="high")
    assert made.graph.consts == plain.graph.consts and made.ranges == plain.ranges
    assert made.conversion is not None and plain.conversion is not None
    assert made.conversion.refined and made.conversion.samples == plain.conversion.samples


def test_each_part_of_the_network_gets_the_ranges_that_are_best_for_it() -> None:
    first = {f"t{i}": (0.0, 2.0) for i in range(16)}
    second = {f"t{i}": (0.0, 1.0) for i in range(16)}
    wanted = {f"t{i}": (0.0, 1.0 if i < 6 else 2.0) for i in range(16)}
    ticks: list[None] = []
    found = mixed_ranges(
        first,
        second,
        lambda ranges: -float(sum(ranges[name] != wanted[name] for name in wanted)),
        lambda: ticks.append(None),
    )
    assert found == wanted and len(ticks) == 10
    assert mixed_ranges(first, dict(first), lambda _: 0.0, lambda: None) == first


def test_a_bias_that_is_wrong_is_corrected() -> None:
    """Every bias is moved; after it the outputs are as before, or better."""
    proto, samples = attention(), feeds(6)
    graph = hexconv.convert(proto, samples=samples).graph
    consts = [
        replace(const, array=const.array + 1024) if const.name.endswith("/bias") else const
        for const in graph.consts
    ]
    spoiled = replace(graph, consts=consts)
    reference = load(proto)
    judge = Judge(reference, samples, "v66")
    assert judge.score(spoiled).sqnr < judge.score(graph).sqnr - 3.0
    fixed, times = corrected_biases(spoiled, reference, samples, "v66")
    # Of each convolution but the sum of the softmax's rows, which the float model does not have.
    biases = [const.name for const in graph.consts if const.name.endswith("/bias")]
    assert times == len([name for name in biases if name != "p_reducesum/bias"]) == 4
    assert judge.score(fixed).sqnr > judge.score(graph).sqnr - 0.5


def test_the_command_line_converts_and_reports(tmp_path: Path) -> None:
    onnx.save(attention(), tmp_path / "m.onnx")
    (tmp_path / "s").mkdir()
    for i, feed in enumerate(feeds(12)):
        np.save(tmp_path / "s" / f"{i}.npy", feed["x"])
    arguments = [str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s"), "--accuracy", "high"]
    done = run(*arguments, "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "held-back samples" in done.output and "biases" in done.output


def test_what_is_clipped_in_front_of_a_layer_moves_no_bias() -> None:
    """A few large values are far off, all to one side: their mean is none of the others'."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.5),
        helper.make_node("MatMul", ["b", "v"], ["c"]),
        helper.make_node("Add", ["c", "bias"], ["y"]),
    ]
    consts = {n: 0.3 * numbers((WIDTH, WIDTH), i) for i, n in enumerate("wv")}
    consts["bias"] = numbers((WIDTH,), 3)
    proto = model(nodes, {"x": ROWS}, ["y"], consts)
    samples = feeds(6)
    for sample in samples:
        sample["x"][0, ::24] = 12.0
    ranges = dict(hexconv.convert(proto, samples=samples).ranges)
    ranges |= dict.fromkeys(("a", "b"), (-5.0, 5.0))
    graph = hexconv.convert(proto, ranges=ranges).graph
    usual, judged = feeds(6), load(proto)
    judge = Judge(judged, usual, "v66")
    fixed, times = corrected_biases(graph, judged, samples, "v66")
    assert times and judge.score(fixed).sqnr > judge.score(graph).sqnr - 0.2
