"""LSTM, GRU and RNN of fixed length, unrolled: right in float, rejected with a reason where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.compare.accuracy import accuracy
from hexconv.decompose.recurrent import MOST_STEPS
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
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
    text = unsupported_op(recurrent("GRU", time=MOST_STEPS + 1))
    assert f"{MOST_STEPS + 1} frames;" in text and "node 'node' (GRU)" in text


def test_frames_that_are_read_both_ways_are_counted_as_the_user_does() -> None:
    text = unsupported_op(recurrent("GRU", time=MOST_STEPS - 12, direction="bidirectional"))
    assert f"{MOST_STEPS - 12} frames both ways, {2 * MOST_STEPS - 24} steps" in text


def test_sequences_of_different_lengths_are_rejected() -> None:
    assert "different lengths" in unsupported_op(recurrent("LSTM", lengths=[TIME, TIME - 2]))


def test_an_activation_with_parameters_is_rejected() -> None:
    proto = recurrent("RNN", activations=["LeakyRelu"], activation_alpha=[0.3])
    assert "parameters" in unsupported_op(proto)
