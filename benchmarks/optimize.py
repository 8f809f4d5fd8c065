"""What optimizing saves: `python -m benchmarks.optimize [--library-file FILE | --library VERSION]`.

Each network as exported (`none`), optimized (`default`), and optimized without one rewrite after
the other: packets of one steady execution, executed nodes, and SQNR on inputs that calibration did
not see. Packets are counted on the emulated library, or predicted by hexconv.cost without one.
Seeded weights: accuracies compare, but are not those of trained networks.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import hexconv
from benchmarks.conversion import Net, conformer
from hexconv import cost
from hexconv.compare.accuracy import accuracy
from hexconv.device import Library
from hexconv.model import Model
from hexconv.models.encoder import EncoderConfig, reference_encoder, sample_speech
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LIBRARIES, LibraryVersion
from hexconv.optimize.registry import REWRITES

Feeds = Mapping[str, np.ndarray]
CALIBRATION, HELD_OUT = 8, 3
# Counts are steady from the third execution on; on a busy machine a worker that wakes late adds
# some, so the least of three counts.
REPEATS = 3


def bert(layers: int = 6, width: int = 256, heads: int = 4, tokens: int = 128) -> onnx.ModelProto:
    """Post-norm Transformer layers with GELU, on embeddings (Devlin et al. 2019)."""
    net = Net(seed=6)

    def norm(x: str) -> str:
        scale, shift = net.tensor(width, offset=1.0), net.tensor(width)
        return net.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)

    def split(x: str, perm: list[int]) -> str:
        shape = net.constant(np.array([1, tokens, heads, width // heads], np.int64))
        return net.op("Transpose", net.op("Reshape", x, shape), perm=perm)

    def attention(x: str) -> str:
        q, k, v = (net.project(x, width, width) for _ in range(3))
        scores = net.op("MatMul", split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]))
        scores = net.op("Div", scores, net.constant(np.float32((width / heads) ** 0.5)))
        mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), split(v, [0, 2, 1, 3]))
        mixed = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
        shape = net.constant(np.array([1, tokens, width], np.int64))
        return net.project(net.op("Reshape", mixed, shape), width, width)

    def gelu(x: str) -> str:
        half, root = net.constant(np.float32(0.5)), net.constant(np.float32(2**0.5))
        erf = net.op("Erf", net.op("Div", x, root))
        plus = net.op("Add", erf, net.constant(np.float32(1.0)))
        return net.op("Mul", net.op("Mul", x, plus), half)

    x = norm("input")
    for _ in range(layers):
        x = norm(net.op("Add", attention(x), x))
        y = net.project(gelu(net.project(x, width, 4 * width)), 4 * width, width)
        x = norm(net.op("Add", y, x))
    return net.model("bert", [1, tokens, width], x, [1, tokens, width])


def mobilenet(size: int = 96, classes: int = 1000) -> onnx.ModelProto:
    """MobileNetV2's plan (Sandler et al. 2018, table 2), batch norm unfolded, a Linear head."""
    net = Net(seed=7)
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def relu6(x: str) -> str:
        return net.op("Clip", x, net.constant(np.float32(0)), net.constant(np.float32(6)))

    def depthwise(x: str, channels: int, stride: int) -> str:
        weight = net.tensor(channels, 1, 3, 3, spread=(2.0 / 9.0) ** 0.5)
        return net.op(
            "Conv",
            x,
            weight,
            kernel_shape=[3, 3],
            strides=[stride] * 2,
            pads=[1] * 4,
            group=channels,
        )

    x, channels = relu6(net.norm(net.conv("input", 3, 32, 3, 2), 32)), 32
    for expand, outputs, repeats, first in plan:
        for index in range(repeats):
            stride, y, hidden = (first if index == 0 else 1), x, channels * expand
            if expand > 1:
                y = relu6(net.norm(net.conv(y, channels, hidden, 1), hidden))
            y = relu6(net.norm(depthwise(y, hidden, stride), hidden))
            y = net.norm(net.conv(y, hidden, outputs, 1), outputs)
            x = net.op("Add", x, y) if stride == 1 and channels == outputs else y
            channels = outputs
    x = relu6(net.norm(net.conv(x, channels, 1280, 1), 1280))
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model("mobilenet", [1, 3, size, size], net.linear(x, 1280, classes), [1, classes])


def hifigan() -> onnx.ModelProto:
    """HiFi-GAN V3, 32 mel frames."""
    from hexconv.models import config, layers, onnx_writer

    form = onnx_writer.VocoderForm(length=32)
    return onnx_writer.write(config.V3, layers.seeded(config.V3), form)


def speech(proto: onnx.ModelProto, count: int, seed: int) -> list[Feeds]:
    """Feature frames."""
    name = proto.graph.input[0].name
    return [{name: x} for x in sample_speech(count, seed=seed)]


def noise(proto: onnx.ModelProto, count: int, seed: int) -> list[Feeds]:
    """Normal values."""
    value = proto.graph.input[0]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    rng = np.random.default_rng(seed)
    return [{value.name: rng.standard_normal(shape).astype(np.float32)} for _ in range(count)]


@dataclass(frozen=True)
class Network:
    """A network, its inputs, and the targets for packets and nodes against `none`."""

    build: Callable[[], onnx.ModelProto]
    inputs: Callable[[onnx.ModelProto, int, int], list[Feeds]]
    packets: float
    nodes: float


NETWORKS = {
    "encoder": Network(lambda: reference_encoder(EncoderConfig()), speech, 0.38, 0.46),
    "conformer": Network(conformer, speech, 0.40, 0.5),
    "bert": Network(bert, noise, 0.40, 0.5),
    "hifigan_v3": Network(hifigan, noise, 0.75, 0.6),
    "mobilenet": Network(mobilenet, noise, 0.9, 0.8),
}


@dataclass(frozen=True)
class Figure:
    """One conversion: packets, executed nodes, seconds that converting took, SQNR in dB."""

    packets: float
    nodes: int
    seconds: float
    sqnr: float
    applied: Mapping[str, int]
    by_op: Mapping[str, float] = field(default_factory=dict)


class Bench:
    """Converts one network in several ways and counts."""

    def __init__(self, network: Network, library: Library | None, version: LibraryVersion) -> None:
        self.library, self.version = library, version
        self.proto = network.build()
        self.scored = without_softmax(self.proto)
        self.samples = network.inputs(self.proto, CALIBRATION, 1)
        self.held_out = network.inputs(self.proto, HELD_OUT, 99)

    def figure(self, *, score: bool = True, **settings: Any) -> Figure:
        """Convert with `settings`, count, and score."""
        start = time.perf_counter()
        model = self._converted(self.proto, settings)
        seconds = time.perf_counter() - start
        packets = self._packets(model)
        assert model.conversion is not None
        counts = {name: n for _, name, n in model.conversion.rewrites if name in REWRITES}
        sqnr = self._sqnr(model, settings) if score else float("nan")
        total = sum(sum(values) for values in packets.values())
        by_op = {op: sum(values) for op, values in packets.items()}
        nodes = sum(len(values) for values in packets.values())
        return Figure(total, nodes, seconds, sqnr, counts, by_op)

    def _converted(self, proto: onnx.ModelProto, settings: Mapping[str, Any]) -> Model:
        """Converted for the version that is counted or predicted."""
        return hexconv.convert(proto, samples=self.samples, library=self.version, **settings)

    def _packets(self, model: Model) -> dict[str, list[float]]:
        """Packets of each executed node, by op."""
        found: dict[str, list[float]] = {}
        if self.library is not None:
            for measured in self.library.profile(model, self.samples[0], REPEATS).nodes:
                found.setdefault(measured.op, []).append(measured.packets)
            return found
        for predicted in cost.predict(model, self.version).nodes:
            found.setdefault(predicted.op, []).append(predicted.packets or 0.0)
        return found

    def _sqnr(self, model: Model, settings: Mapping[str, Any]) -> float:
        scored = model
        if self.scored is not self.proto:
            scored = self._converted(self.scored, settings)
        found = accuracy(scored, self.scored, self.held_out, count=HELD_OUT, library=self.version)
        return min(item.sqnr for item in found.values())


def without_softmax(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The network up to its logits: a softmax hides their error."""
    last = proto.graph.node[-1]
    if last.op_type != "Softmax":
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.node.pop()
    copy.graph.output[0].name = last.input[0]
    return copy


def run(name: str, bench: Bench, network: Network, each: bool) -> dict[str, Any]:
    """All figures of one network, printed as they come."""
    plain, best = bench.figure(optimize="none"), bench.figure()
    share, fewer = best.packets / plain.packets, best.nodes / plain.nodes
    good = share <= network.packets and fewer <= network.nodes and best.sqnr >= plain.sqnr
    print(f"\n{name}: {'as required' if good else 'NOT as required'}")
    print(f"{'':24}{'packets':>12}{'nodes':>7}{'SQNR':>8}{'convert':>9}")
    for title, figure in (("none", plain), ("default", best)):
        print(
            f"{title:24}{figure.packets / 1e3:10.0f} k{figure.nodes:7d}{figure.sqnr:6.1f} dB"
            f"{figure.seconds:7.2f} s"
        )
    print(
        f"{'share':24}{share:12.2f}{fewer:7.2f}     at most {network.packets} and {network.nodes}"
    )
    left_out: dict[str, Figure] = {}
    for rewrite, count in best.applied.items() if each else ():
        figure = left_out[rewrite] = bench.figure(without=(rewrite,))
        print(
            f"  {rewrite:22}{(figure.packets - best.packets) / 1e3:+10.0f} k"
            f"{figure.nodes - best.nodes:+7d}{best.sqnr - figure.sqnr:+6.1f} dB  {count} x"
        )
    most_expensive = sorted(best.by_op.items(), key=lambda item: -item[1])[:6]
    print("  rest: " + ", ".join(f"{op} {packets / 1e3:.0f} k" for op, packets in most_expensive))
    return {
        "none": asdict(plain),
        "default": asdict(best),
        "as_asked": good,
        "without": {rewrite: asdict(figure) for rewrite, figure in left_out.items()},
    }


def main() -> None:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.optimize")
    parser.add_argument("--library-file", default=os.environ.get("HEXCONV_LIBRARY"))
    parser.add_argument(
        "--library", choices=LIBRARIES, help="predict for this version, without a file"
    )
    parser.add_argument("--network", action="append", choices=NETWORKS, help="all by default")
    parser.add_argument("--each", action="store_true", help="also without each rewrite in turn")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    file = None if options.library else options.library_file
    library = Library(file) if file else None
    version = library.version if library else options.library or DEFAULT_LIBRARY
    print(f"packets {f'counted on {file}' if library else f'predicted for {version}'}")
    found = {
        name: run(name, Bench(NETWORKS[name], library, version), NETWORKS[name], options.each)
        for name in options.network or NETWORKS
    }
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
