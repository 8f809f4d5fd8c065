"""The networks, the output that is measured of each, and their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from benchmarks.optimize import mobilenet, noise
from hexconv.models import config, layers, onnx_writer, voice
from hexconv.models.encoder import reference_encoder, sample_speech

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]
FRAMES = 64


@dataclass(frozen=True)
class Task:
    """What a network's users look at.

    Attributes:
        name: with its unit.
        measure: of all held-out samples, what float and 8 bits return.
    """

    name: str
    measure: Callable[[Sequence[Array], Sequence[Array]], float]


@dataclass(frozen=True)
class Case:
    """A network, its output that is measured, and its samples.

    Attributes:
        proto: the network, of fixed shapes.
        output: its name.
        calibration: all that ranges, weights, scales and biases come from.
        held_out: what the figures are of.
        settings: of `hexconv.convert`.
        task: measured beside the SQNR.
    """

    proto: onnx.ModelProto
    output: str
    calibration: Sequence[Feeds]
    held_out: Sequence[Feeds]
    settings: Mapping[str, Any] = field(default_factory=dict)
    task: Task | None = None


def conformer() -> Case:
    """A Conformer block as torch exports it, up to its logits; random weights, smooth inputs."""
    case = conformer_softmax()
    last = next(node for node in case.proto.graph.node if case.output in node.output)
    case.proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    return replace(case, output=last.input[0])


def conformer_softmax() -> Case:
    """The same with its softmax on the DSP."""
    return _exported("conformer-dynamo18")


def _exported(name: str) -> Case:
    """A network of the tests, on smooth random inputs."""
    from tests.networks.exports import load, sample

    proto = load(name)
    feed = proto.graph.input[0].name
    samples = [{feed: sample(name, seed)} for seed in range(24)]
    return Case(proto, proto.graph.output[0].name, samples[:16], samples[16:])


def mobilenet_v1() -> Case:
    """MobileNet of 10 classes at 64 x 64; random weights."""
    return _exported("mobilenet_v1")


def mobilenet_slices() -> Case:
    """The same, its output in four slices."""
    case = mobilenet_v1()
    return replace(case, settings={"output_slices": {case.output: 4}})


def encoder() -> Case:
    """The reference encoder up to its logits; random weights."""
    proto = reference_encoder()
    proto.graph.output.append(
        onnx.helper.make_tensor_value_info("logits/add", onnx.TensorProto.FLOAT, [1, 144, 287])
    )
    calibration, held_out = (
        [{"speech": x} for x in sample_speech(count, seed=seed)]
        for count, seed in ((16, 1), (8, 2))
    )
    return Case(proto, "logits/add", calibration, held_out)


def encoder_softmax() -> Case:
    """The reference encoder as it is, its softmax on the DSP."""
    logits = encoder()
    del logits.proto.graph.output[1]
    return Case(logits.proto, "fa_out", logits.calibration, logits.held_out)


def mobilenet_v2() -> Case:
    """MobileNetV2 at 96 x 96; random weights."""
    proto = mobilenet()
    return Case(proto, proto.graph.output[0].name, noise(proto, 16, 1), noise(proto, 8, 2))


def hifigan_v3() -> Case:
    """HiFi-GAN V3, 64 frames; random weights, log-mels as 2 N(0,1) - 5."""
    form = onnx_writer.VocoderForm(length=FRAMES)
    proto = onnx_writer.write(config.V3, layers.seeded(config.V3), form)
    calibration, held_out = (
        [{name: np.float32(2 * x - 5) for name, x in feeds.items()} for feeds in noise(proto, n, s)]
        for n, s in ((16, 1), (6, 2))
    )
    return Case(proto, proto.graph.output[0].name, calibration, held_out)


def small_voice() -> Case:
    """The trained small voice on chunks of two sentences; two others are held out."""
    proto, mels = voice.onnx_model(FRAMES), voice.mels()
    name, starts = (
        proto.graph.input[0].name,
        lambda mel: range(0, mel.shape[2] - FRAMES + 1, FRAMES),
    )

    def chunks(*names: str) -> list[Feeds]:
        return [{name: mels[n][:, :, i : i + FRAMES]} for n in names for i in starts(mels[n])]

    output = proto.graph.output[0].name
    return Case(proto, output, chunks("en_f4", "zh"), chunks("en_us", "zh_f2"))


CASES: dict[str, Callable[[], Case]] = {
    "conformer, logits": conformer,
    "conformer, softmax": conformer_softmax,
    "mobilenet": mobilenet_v1,
    "mobilenet, slices": mobilenet_slices,
    "mobilenet_v2": mobilenet_v2,
    "encoder, logits": encoder,
    "encoder, fa_out": encoder_softmax,
    "hifigan_v3": hifigan_v3,
    "voice": small_voice,
}
