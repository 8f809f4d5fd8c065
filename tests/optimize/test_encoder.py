"""The reference encoder: what it is as exported, and what optimizing makes of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime
import pytest

import hexconv
from hexconv.model import Model
from hexconv.models.encoder import reference_encoder, sample_speech
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.prepare import prepare
from tests.lowering.proof import Array

LOGITS = "logits/add"
SHIPPED = ("Convert_to_d32", "QuantizeINPUT_f_to_8", "DequantizeOUTPUT_8tof")


@cache
def converted(level: str) -> Model:
    """Calibrated on eight utterances."""
    samples = [{"speech": speech} for speech in sample_speech(8)]
    return hexconv.convert(reference_encoder(), samples=samples, optimize=level)


def count(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def test_as_exported_it_is_what_the_field_runs() -> None:
    """The table of nodes that profiles of phones show (cost/encoder.md)."""
    counts = converted("none").graph.histogram()
    assert counts["QuantizedMatMul_8x8to32"] == 26
    assert counts["QuantizedBatchMatMul_8x8to32"] == 8
    assert counts["Requantize_32to8"] == 34
    assert counts["QuantizedMean_8"] == 18
    assert counts["QuantizedSoftmax_8"] == 5
    assert 52 <= counts["QuantizedAdd_8p8to8"] <= 53
    assert counts["Supernode_8x8p32to8"] == 2


def test_optimized_it_is_few_nodes_and_fewer_conversions() -> None:
    graph = prepare(converted("default").graph)
    assert len(graph.nodes) <= 190
    assert count(graph, "Convert_to_d32") <= 17
    assert len(prepare(converted("none").graph).nodes) >= 2 * len(graph.nodes)


@pytest.mark.slow
def test_the_logits_are_no_worse_than_unoptimized() -> None:
    plain, fast = sqnr(converted("none")), sqnr(converted("default"))
    assert fast >= plain and fast >= 25.0


def sqnr(model: Model) -> float:
    """Of the logits on speech that calibration did not see, dB."""
    session = onnxruntime.InferenceSession(with_logits())
    signal = noise = 0.0
    for speech in sample_speech(3, seed=99):
        feeds = {"speech": speech}
        wanted: Array = session.run([LOGITS], feeds)[0]
        _, taps = hexconv.simulate(model, feeds, library="v60", taps=True)
        got = logits_of(model, taps)
        signal += float((wanted.astype(np.float64) ** 2).sum())
        noise += float(((got - wanted) ** 2).sum())
    return 10 * np.log10(signal / noise)


def with_logits() -> bytes:
    """The encoder with its logits as a second output."""
    proto = reference_encoder()
    value = proto.graph.output.add()
    value.CopyFrom(proto.graph.output[0])
    value.name = LOGITS
    return proto.SerializeToString()


def logits_of(model: Model, taps: object) -> Array:
    raise NotImplementedError
