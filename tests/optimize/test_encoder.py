"""The reference encoder: as exported, and optimized."""

from __future__ import annotations

from functools import cache

import onnx
import pytest

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.model import Model
from hexconv.models.encoder import reference_encoder, sample_speech
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.prepare import prepare


@cache
def converted(level: str, *, logits: bool = False) -> Model:
    """Calibrated on eight utterances; with `logits`, without the last softmax."""
    samples = [{"speech": speech} for speech in sample_speech(8)]
    proto = up_to_the_logits() if logits else reference_encoder()
    return hexconv.convert(proto, samples=samples, optimize=level)


def up_to_the_logits() -> onnx.ModelProto:
    """The encoder without its softmax, which hides what the logits lost."""
    proto = reference_encoder()
    softmax = proto.graph.node.pop()
    proto.graph.output[0].name = softmax.input[0]
    return proto


def count(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def test_as_exported_it_is_what_the_field_runs() -> None:
    """The nodes that profiles of phones show (docs/nnlib/costs.md#encoder)."""
    counts = converted("none").graph.histogram()
    assert counts["QuantizedMatMul_8x8to32"] == 26
    assert counts["QuantizedBatchMatMul_8x8to32"] == 8
    assert counts["Requantize_32to8"] == 34
    assert counts["QuantizedMean_8"] == 18
    assert counts["QuantizedSoftmax_8"] == 5
    assert counts["Supernode_8x8p32to8"] == 2
    # Biases 26, residuals 8, epsilon and beta 9 each.
    assert counts["QuantizedAdd_8p8to8"] == 52
    # Nine roots; their reciprocals are tables: the library divides by one scalar alone.
    assert counts["QuantizedSqrt_8"] == counts["Table_8"] == 9


def test_optimized_it_is_few_nodes_and_fewer_conversions() -> None:
    graph = prepare(converted("default").graph)
    assert count(graph, "QuantizedSoftmax_8_d32") == 4  # one is written out, in 20 nodes
    assert len(graph.nodes) <= 191  # one gives the input, of one channel, four times
    assert count(graph, "Convert_to_d32") <= 22
    assert len(prepare(converted("none").graph).nodes) >= 2 * len(graph.nodes)


@pytest.mark.slow
def test_the_logits_are_no_worse_than_unoptimized() -> None:
    """On speech that calibration did not see."""
    proto = up_to_the_logits()
    samples = [{"speech": speech} for speech in sample_speech(3, seed=99)]
    plain, fast = (
        accuracy(converted(level, logits=True), proto, samples, library="v60")["logits/add"].sqnr
        for level in ("none", "default")
    )
    assert fast >= plain >= 24.0
