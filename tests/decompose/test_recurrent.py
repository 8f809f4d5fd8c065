"""LSTM, GRU and RNN of fixed length, unrolled: right in float, rejected with a reason where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.errors import ConfigError, HexconvError, HexconvWarning, UnsupportedOpErrors
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import UNROLLED, Settings
from tests.lowering.proof import float_outputs, matches, model, numbers, unsupported_op

TIME, BATCH, INPUT, HIDDEN = 5, 2, 6, 8
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(
    op: str,
    *,
    time: int = TIME,
    initial: bool = False,
    lengths: list[int] | None = None,
    peepholes: bool = False,
    bias: bool = True,
    outputs: tuple[str, ...] = ("y", "last"),
    **attrs: Any,
) -> onnx.ModelProto:
    count = 2 if attrs.get("direction") == "bidirectional" else 1
    rows = GATES[op] * HIDDEN
    consts = {
        "w": numbers((count, rows, INPUT), 1) / 2,
        "r": numbers((count, rows, HIDDEN), 2) / 3,
        "b": numbers((count, 2 * rows), 3) / 4,
        "h": numbers((count, BATCH, HIDDEN), 4) / 2,
        "c": numbers((count, BATCH, HIDDEN), 5) / 2,
        "p": numbers((count, 3 * HIDDEN), 6) / 4,
        "l": np.array(lengths or [], np.int32),
    }
    names = ["x", "w", "r", "b" if bias else "", "l" if lengths else "", "h" if initial else ""]
    if op == "LSTM":
        names += ["c" if initial else "", "p" if peepholes else ""]
        outputs = (*outputs, "cell")
    node = helper.make_node(op, names, outputs, name="node", hidden_size=HIDDEN, **attrs)
    used = {name: array for name, array in consts.items() if name in names}
    return model([node], {"x": (time, BATCH, INPUT)}, [name for name in outputs if name], used)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"direction": "reverse"},
    {"direction": "bidirectional"},
    {"initial": True},
    {"direction": "bidirectional", "initial": True},
    {"bias": False},
    {"clip": 0.4},
    {"lengths": [TIME, TIME]},
    {"lengths": [TIME - 2, TIME - 2], "direction": "reverse"},
    {"lengths": [2, TIME], "direction": "bidirectional", "initial": True},
    {"bias": False, "initial": True},
]


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_unrolling_is_exact_in_float(op: str, settings: dict[str, Any]) -> None:
    proto = recurrent(op, **settings)
    x = numbers((TIME, BATCH, INPUT))
    graph, _ = prepared(proto, None, Settings())
    assert not any(node.op_type == op for node in graph.nodes)
    results = FloatSession(graph).run({"x": x})
    for info, expected in zip(graph.outputs, float_outputs(proto, {"x": x}), strict=True):
        np.testing.assert_allclose(results[info.name], expected, atol=2e-6)


@pytest.mark.parametrize(
    ("op", "settings"),
    [
        ("LSTM", {"peepholes": True}),
        ("LSTM", {"peepholes": True, "initial": True}),
        ("LSTM", {"input_forget": 1}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 1, "initial": True}),
        ("RNN", {"activations": ["Relu"]}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
        ("RNN", {"activations": ["LeakyRelu"], "activation_alpha": [0.3]}),
        ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.2]}),
        (
            "GRU",
            {
                "activations": ["HardSigmoid", "ScaledTanh"],
                "activation_alpha": [0.3, 1.2],
                "activation_beta": [0.4, 0.7],
            },
        ),
        (
            "LSTM",
            {
                "activations": ["Sigmoid", "Affine", "Elu", "HardSigmoid", "Tanh", "LeakyRelu"],
                "activation_alpha": [0.6, 0.5, 0.3],
                "activation_beta": [0.1],
                "direction": "bidirectional",
            },
        ),
    ],
)
def test_what_only_one_of_them_has(op: str, settings: dict[str, Any]) -> None:
    test_unrolling_is_exact_in_float(op, settings)


@pytest.mark.parametrize("op", GATES)
def test_the_dsp_returns_nearly_the_same_as_float(op: str) -> None:
    """Five steps of 8-bit states: 30 dB."""
    proto = recurrent(op, direction="bidirectional")
    feeds = {"x": numbers((TIME, BATCH, INPUT))}
    converted = matches(proto, 20.0, feeds)
    for found in accuracy(converted, proto, [feeds], library="v60").values():
        assert found.sqnr > 25


@pytest.mark.parametrize("op", GATES)
def test_the_last_state_alone_may_be_requested(op: str) -> None:
    matches(recurrent(op, outputs=("", "last")), 20.0, {"x": numbers((TIME, BATCH, INPUT))})


def test_a_long_sequence_is_rejected() -> None:
    text = unsupported_op(recurrent("GRU", time=UNROLLED + 1))
    assert f"{UNROLLED + 1} frames;" in text and "node 'node' (GRU)" in text


def test_frames_that_are_read_both_ways_are_counted_as_the_user_does() -> None:
    text = unsupported_op(recurrent("GRU", time=UNROLLED - 12, direction="bidirectional"))
    assert f"{UNROLLED - 12} frames both ways, {2 * UNROLLED - 24} steps" in text
    assert f"up to {UNROLLED} steps are unrolled, {UNROLLED // 2} frames\n" in text


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_what_the_hint_names_converts(direction: str) -> None:
    time = 12
    steps = time * (2 if direction == "bidirectional" else 1)
    proto = recurrent("GRU", time=time, direction=direction)
    feeds = {"x": numbers((time, BATCH, INPUT))}
    with pytest.raises(UnsupportedOpErrors, match=f"up to {steps - 1} steps") as raised:
        hexconv.convert(proto, samples=[feeds], unroll=steps - 1)
    hint = raised.value.unsupported[0].hint
    assert f"(--unroll {steps}:" in hint and ("stateful" in hint) == (direction != "bidirectional")
    assert not hexconv.check(proto, unroll=steps - 1).ok
    assert hexconv.check(proto, unroll=steps).ok
    hexconv.convert(proto, samples=[feeds], unroll=steps)


def test_a_long_sequence_is_unrolled_with_a_warning_of_its_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hexconv.decompose.steps.LONG", 11)
    with pytest.warns(HexconvWarning, match=r"'node' of 12 steps: the graph has \d+ nodes and"):
        hexconv.convert(recurrent("GRU", time=12), samples=[{"x": numbers((12, BATCH, INPUT))}])


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_samples_that_calibration_has_not_seen_are_right(op: str, direction: str) -> None:
    """Each step has few values of a sample: those of all steps make the range of each."""
    proto = recurrent(op, time=12, direction=direction, outputs=("y",))
    samples = [{"x": numbers((12, BATCH, INPUT), seed)} for seed in range(3)]
    converted = hexconv.convert(proto, samples=samples[:1])
    found = accuracy(converted, proto, samples[1:], library="v60", estimate=False)
    assert found["y"].sqnr > 18.0


@pytest.mark.parametrize(
    "steps, said",
    [
        (0, "cannot be unrolled up to"),
        (-3, "cannot be unrolled up to"),
        (True, "unroll=True is not a whole number"),
        (2.5, "unroll=2.5 is not a whole number"),
    ],
)
def test_a_limit_that_is_no_number_of_steps_is_an_error(steps: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        hexconv.convert(recurrent("GRU"), unroll=steps)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lengths": [TIME, 0]}, "lengths of sequences"),
        ({"activations": ["Affine"], "activation_alpha": [0.3]}, "Affine without its alpha and"),
    ],
)
def test_what_is_not_unrolled_says_why(settings: dict[str, Any], said: str) -> None:
    text = unsupported_op(recurrent("RNN", **settings))
    assert said in text and "one chunk" not in text


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("hidden", [1, 2 * HIDDEN, 32768])
def test_weights_that_do_not_fit_the_hidden_size_are_rejected(op: str, hidden: int) -> None:
    proto = recurrent(op)
    (size,) = (item for item in proto.graph.node[0].attribute if item.name == "hidden_size")
    size.i = hidden
    assert "is needed" in unsupported_op(proto)


def test_a_chunk_that_is_too_long_asks_for_a_shorter_one() -> None:
    with pytest.raises(HexconvError, match="give the frames of a shorter chunk"):
        hexconv.convert(recurrent("GRU", time=300), stateful=True)
