"""Whole networks end to end: floors on SQNR, output by output and node by node.

Floors are about 3 dB below what was measured (2026-11): they catch a conversion or a kernel that
goes wrong, not a tenth of a dB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.compare import Report, verify
from hexconv.models import voice
from tests.networks import exports


def normal(shape: tuple[int, ...]) -> Callable[[onnx.ModelProto], list[dict[str, np.ndarray]]]:
    """Six normal samples."""

    def make(model: onnx.ModelProto) -> list[dict[str, np.ndarray]]:
        draw = np.random.default_rng(0)
        name = model.graph.input[0].name
        return [{name: draw.standard_normal(shape).astype(np.float32)} for _ in range(6)]

    return make


def mels(model: onnx.ModelProto) -> list[dict[str, np.ndarray]]:
    """Six excerpts of held-out speech."""
    whole = next(iter(voice.mels().values()))
    pieces = [whole[:, :, start : start + 32] for start in range(0, 6 * 16, 16)]
    return [{"inputs": np.ascontiguousarray(piece)} for piece in pieces]


def of_images(name: str) -> onnx.ModelProto:
    """A stored CNN, for images of 64x64: it ends in a global pooling, so any size fits."""
    proto = exports.load(name)
    for axis, size in enumerate(exports.IMAGE):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    del proto.graph.value_info[:]
    return proto


def conformer() -> onnx.ModelProto:
    torch = pytest.importorskip("torch")
    from tests.networks.conformer import conformer
    from tests.networks.export import export

    return export(conformer(), torch.zeros(1, 144, 40))


def measured(build: Callable[[], onnx.ModelProto], feeds: Callable[..., list]) -> Report:
    model = build()
    samples = feeds(model)
    converted = hexconv.convert(model, samples=samples[:3])
    return verify(converted, model, samples[:3], held_out=samples[3:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "feeds", "least", "own"),
    [
        pytest.param(
            lambda: of_images("mobilenet-legacy17"),
            normal(exports.IMAGE),
            40.0,
            33.0,
            id="mobilenet",
        ),
        pytest.param(
            lambda: of_images("resnet-legacy17"),
            normal(exports.IMAGE),
            34.0,
            33.0,
            id="resnet",
        ),
        pytest.param(lambda: voice.onnx_model(32), mels, 20.0, 18.0, id="voice"),
    ],
)
def test_networks_keep_their_signal(
    build: Callable[[], onnx.ModelProto], feeds: Callable[..., list], least: float, own: float
) -> None:
    report = measured(build, feeds)
    assert report.failures({"sqnr": least, "cosine": 0.99}) == []
    assert min(row.worst.own.sqnr for row in report.layers) > own
    assert report.unmatched == ()


@pytest.mark.slow
def test_a_conformer_errs_in_its_softmaxes_not_elsewhere() -> None:
    """Seeded weights spread 287 labels evenly: each probability is about one level of 1/255."""
    report = measured(conformer, normal((1, 144, 40)))
    assert report.failures({"sqnr": 8.0, "top1": 0.6, "cosine": 0.93}) == []
    assert "Softmax" in report.layers[0].op
    logits = next(row for row in report.layers if row.tensor == "/output/Add_output_0")
    assert logits.worst.accumulated is not None and logits.worst.accumulated.sqnr > 20
