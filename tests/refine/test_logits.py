"""Where outputs are probabilities, a model is judged by the logits that they are computed of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from hexconv.refine import Journal, Judge, Score, chosen_ranges
from hexconv.refine.logits import Logits, WithLogits, logits_of
from hexconv.refine.scores import better, joined
from hexconv.simulator import Simulator
from tests.lowering.proof import ints, model, numbers

FEEDS = [{"x": numbers((1, 3, 8, 8), seed)} for seed in range(16)]


def maps(op: str, *, flat: bool = False, **attrs: Any) -> onnx.ModelProto:
    """A convolution's logits, beside what a function makes of them."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["logits"], pads=[1] * 4),
        helper.make_node("Reshape", ["logits", "rows"], ["read"]),
        helper.make_node(op, ["read" if flat else "logits"], ["made"], **attrs),
        helper.make_node("Reshape", ["made", "shape"], ["p"]),
    ]
    if not flat:
        del nodes[1]
    consts = {
        "w": numbers((6, 3, 3, 3)) / 4,
        "rows": ints(6, 64),
        "shape": ints(1, 6, 64),
    }
    return model(nodes, {"x": (1, 3, 8, 8)}, ["p", "logits"], consts, 17)


@pytest.mark.parametrize(
    ("proto", "found"),
    [
        (maps("Softmax", axis=1), Logits("p", "made", "logits", 1)),
        (maps("Softmax", flat=True, axis=0), Logits("p", "made", "read", 0)),
        (maps("Sigmoid"), None),
        (maps("LogSoftmax", axis=1), None),
        (maps("Tanh"), None),
    ],
    ids=["softmax", "flat softmax", "sigmoid", "logarithms", "tanh"],
)
def test_logits_are_what_a_softmax_at_the_end_reads(
    proto: onnx.ModelProto, found: Logits | None
) -> None:
    assert logits_of(load(proto)) == (() if found is None else (found,))


@pytest.mark.parametrize("library", ["v60", "v66"])
@pytest.mark.parametrize(
    ("proto", "name"),
    [
        (maps("Softmax", axis=1), "logits"),
        (maps("Softmax", flat=True, axis=0), "read"),
    ],
    ids=["of channels", "of rows"],
)
def test_simulated_logits_are_those_that_the_softmax_reads(
    proto: onnx.ModelProto, name: str, library: Any
) -> None:
    made = hexconv.convert(proto, samples=FEEDS[:4], library=library).graph
    (of,) = logits_of(load(proto))
    assert of.tensor == name
    # Of another name: this model returns its logits as well.
    with_logits, plain = (
        WithLogits(made, library, [replace(of, tensor="z")]),
        Simulator(made, library),
    )
    for feeds in FEEDS[:2]:
        outputs, found = plain.run(feeds), with_logits.run(feeds)
        logits = found.pop("z")
        wanted = outputs["logits"].reshape(logits.shape)
        assert found.keys() == outputs.keys()
        assert all(np.array_equal(found[output], outputs[output]) for output in outputs)
        assert np.abs(logits - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_logits_that_are_scaled_for_nothing_are_read_in_their_own_range() -> None:
    proto = maps("Softmax", axis=1)
    proto.graph.node.insert(1, helper.make_node("Mul", ["logits", "loud"], ["scaled"]))
    proto.graph.node[2].input[0] = "scaled"
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.25), "loud"))
    made = hexconv.convert(proto, samples=FEEDS[:4]).graph
    found = WithLogits(made, "v60", logits_of(load(proto))).run(FEEDS[0])
    assert found["scaled"] == pytest.approx(1.25 * found["logits"], rel=1e-5)


def test_logits_that_are_an_output_are_those_that_the_model_returns() -> None:
    proto = maps("Softmax", axis=1)
    made = hexconv.convert(proto, samples=FEEDS[:4]).graph
    assert not WithLogits(made, "v60", logits_of(load(proto)))._places


def test_a_judge_scores_logits_without_what_a_softmax_does_not_see() -> None:
    """The output has 10 dB; its logits 20 dB, moved by 100."""
    proto = maps("Softmax", axis=1)
    del proto.graph.output[1]
    graph, (of,) = load(proto), logits_of(load(proto))
    session = FloatSession(graph, ["p", of.tensor])

    def run(sample: Any) -> Any:
        exact = session.run(sample)
        logits = exact[of.tensor]
        seen = logits - logits.mean(axis=1, keepdims=True)
        return {"p": exact["p"] * (1.0 + 10**-0.5), of.tensor: logits + 0.1 * seen + 100.0}

    score = Judge(graph, FEEDS[:4], "v66").score_of(run)
    assert score.sqnr == pytest.approx(10.0, abs=1e-3)
    assert score.of_logits is not None and score.smooth is score.of_logits
    assert score.of_logits.sqnr == pytest.approx(20.0, abs=1e-3)


ONE = (1.0,) * 4
SMOOTH = (0.80, 0.79, 0.81, 0.80)
WILD = (0.1, 6.0, 0.3, 0.1)


def scored(noise: tuple[float, ...], logits: tuple[float, ...] | None) -> Score:
    inner = None if logits is None else Score(float(-10.0 * np.log10(np.mean(logits))), logits)
    return Score(float(-10.0 * np.log10(np.mean(noise))), noise, (), inner)


@pytest.mark.parametrize(
    ("noise", "logits", "kept"),
    [
        (WILD, SMOOTH, True),
        ((1.2, 0.7, 1.1, 0.9), SMOOTH, True),
        ((1.1, 1.2, 1.1, 1.2), SMOOTH, False),
        (SMOOTH, ONE, True),
        (SMOOTH, None, True),
        (WILD, None, False),
        (WILD, WILD, False),
    ],
    ids=["a flip", "by chance", "outputs lose", "outputs tell", "no logits", "one flip", "both"],
)
def test_a_step_is_kept_if_logits_tell_and_outputs_lose_no_more_than_by_chance(
    noise: tuple[float, ...], logits: tuple[float, ...] | None, kept: bool
) -> None:
    before, after = scored(ONE, None if logits is None else ONE), scored(noise, logits)
    assert better([(before, after)] * 4) is kept


def test_models_of_which_one_has_no_logits_are_judged_by_outputs() -> None:
    assert not better([(scored(ONE, None), scored(WILD, SMOOTH))] * 4)
    assert joined([scored(ONE, ONE), scored(ONE, None)]).of_logits is None
    assert joined([scored(ONE, ONE)] * 2).of_logits == Score(0.0, ONE * 2)


@pytest.mark.parametrize(
    ("noise", "logits", "kept"),
    [(WILD, SMOOTH, True), ((1.1, 1.2, 1.1, 1.2), SMOOTH, False), (WILD, ONE, False)],
)
def test_the_observer_is_chosen_by_logits(
    noise: tuple[float, ...], logits: tuple[float, ...], kept: bool
) -> None:
    class Built:
        def __init__(self, graph: Any) -> None:
            self.graph = graph

    def compare(*_: Any) -> tuple[Score, Score]:
        return scored(ONE * 2, ONE * 2), scored(noise * 2, logits * 2)

    *_, step = chosen_ranges({"h": (0.0, 2.0)}, {"h": (0.0, 1.0)}, cast("Any", Built), compare)
    assert step.kept is kept


def test_a_journal_has_scores_of_logits(tmp_path: Path) -> None:
    path, score = tmp_path / "x.jsonl", scored(WILD, SMOOTH)
    assert Journal(path).score(lambda: score) == score
    assert json.loads(path.read_text())["of_logits"]["noise"] == list(SMOOTH)
    assert Journal(path).score(lambda: scored(ONE, None)) == score
