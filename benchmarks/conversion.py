"""How long a conversion takes and how much memory: `python -m benchmarks.conversion`.

Imports included: each conversion runs in a fresh process, as a user's would. Seeded random
weights, ONNX nodes without torch; models and ranges are made once, outside of the measurement.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hexconv.models.encoder import EncoderConfig, reference_encoder


class Net:
    """Appends nodes and seeded weights; every method returns the name of its output."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One node; its output is named after it."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"/{name}", **attributes))
        return name

    def tensor(self, *shape: int, spread: float = 0.1, offset: float = 0.0) -> str:
        """A float initializer of random values."""
        values = self.rng.standard_normal(shape, np.float32) * np.float32(spread)
        return self.constant(values + np.float32(offset))

    def constant(self, values: np.ndarray) -> str:
        """An initializer."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> str:
        """A square 2-D convolution with bias."""
        spread = (2.0 / (inputs * kernel * kernel)) ** 0.5
        weight = self.tensor(outputs, inputs, kernel, kernel, spread=spread)
        return self.op(
            "Conv",
            x,
            weight,
            self.tensor(outputs),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def norm(self, x: str, channels: int) -> str:
        """Batch normalization."""
        scale, mean = self.tensor(channels, offset=1.0), self.tensor(channels)
        variance = self.constant(np.ones(channels, np.float32))
        return self.op("BatchNormalization", x, scale, self.tensor(channels), mean, variance)

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """A fully connected layer of a 2-D tensor."""
        weight = self.tensor(outputs, inputs, spread=inputs**-0.5)
        return self.op("Gemm", x, weight, self.tensor(outputs), transB=1)

    def project(self, x: str, inputs: int, outputs: int) -> str:
        """A Linear on 3-D input: MatMul and bias."""
        weight = self.tensor(inputs, outputs, spread=inputs**-0.5)
        return self.op("Add", self.tensor(outputs), self.op("MatMul", x, weight))

    def model(self, name: str, x: list[int], y: str, out: list[int]) -> onnx.ModelProto:
        """The whole graph, `input` to `y`."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, out)],
            self.weights,
        )
        opset = helper.make_opsetid("", 17)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def vgg19() -> onnx.ModelProto:
    """VGG-19: 144 M weights, 124 M of them in three Linear layers."""
    net, x, channels = Net(), "input", 3
    for outputs, repeats in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(repeats):
            x = net.op("Relu", net.conv(x, channels, outputs, 3))
            channels = outputs
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Flatten", x)
    x = net.op("Relu", net.linear(x, 25088, 4096))
    x = net.op("Relu", net.linear(x, 4096, 4096))
    return net.model("vgg19", [1, 3, 224, 224], net.linear(x, 4096, 1000), [1, 1000])


def resnet50() -> onnx.ModelProto:
    """ResNet-50 with batch norm as exported in training form."""
    net, channels = Net(), 64
    x = net.op("Relu", net.norm(net.conv("input", 3, 64, 7, 2), 64))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for width, repeats, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(repeats):
            step = stride if index == 0 else 1
            y = net.op("Relu", net.norm(net.conv(x, channels, width, 1), width))
            y = net.op("Relu", net.norm(net.conv(y, width, width, 3, step), width))
            y = net.norm(net.conv(y, width, 4 * width, 1), 4 * width)
            if index == 0:
                x = net.norm(net.conv(x, channels, 4 * width, 1, step), 4 * width)
            channels = 4 * width
            x = net.op("Relu", net.op("Add", y, x))
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model("resnet50", [1, 3, 224, 224], net.linear(x, 2048, 1000), [1, 1000])


def conformer(width: int = 144, heads: int = 4, frames: int = 144) -> onnx.ModelProto:
    """Two Conformer layers between projections, layer norms as ONNX has them."""
    net = Net()

    def norm(x: str) -> str:
        scale, shift = net.tensor(width, offset=1.0), net.tensor(width)
        return net.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def swish(x: str) -> str:
        return net.op("Mul", x, net.op("Sigmoid", x))

    def feed_forward(x: str) -> str:
        y = net.project(swish(net.project(norm(x), width, 4 * width)), 4 * width, width)
        return net.op("Add", x, net.op("Mul", y, net.constant(np.float32(0.5))))

    def split(x: str, perm: list[int]) -> str:
        shape = net.constant(np.array([1, frames, heads, width // heads], np.int64))
        return net.op("Transpose", net.op("Reshape", x, shape), perm=perm)

    def attention(x: str) -> str:
        y = norm(x)
        q, k, v = (net.project(y, width, width) for _ in range(3))
        scores = net.op("MatMul", split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]))
        scale = net.constant(np.float32((width / heads) ** 0.5))
        weights = net.op("Softmax", net.op("Div", scores, scale), axis=-1)
        mixed = net.op("MatMul", weights, split(v, [0, 2, 1, 3]))
        mixed = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
        shape = net.constant(np.array([1, frames, width], np.int64))
        return net.op("Add", x, net.project(net.op("Reshape", mixed, shape), width, width))

    def pointwise(x: str, outputs: int) -> str:
        weight = net.tensor(outputs, width, 1, spread=width**-0.5)
        return net.op("Conv", x, weight, net.tensor(outputs), kernel_shape=[1])

    def convolution(x: str) -> str:
        y = pointwise(net.op("Transpose", norm(x), perm=[0, 2, 1]), 2 * width)
        halves = [
            net.op("Slice", y, *(net.constant(np.array([n], np.int64)) for n in ends))
            for ends in ((0, width, 1), (width, 2 * width, 1))
        ]
        y = net.op("Mul", halves[0], net.op("Sigmoid", halves[1]))
        weight = net.tensor(width, 1, 15, spread=15**-0.5)
        y = net.op(
            "Conv", y, weight, net.tensor(width), kernel_shape=[15], pads=[7, 7], group=width
        )
        y = pointwise(swish(net.norm(y, width)), width)
        return net.op("Add", x, net.op("Transpose", y, perm=[0, 2, 1]))

    x = net.project("input", 40, width)
    for _ in range(2):
        x = norm(feed_forward(convolution(attention(feed_forward(x)))))
    y = net.op("Softmax", net.project(x, width, 287), axis=-1)
    return net.model("conformer", [1, frames, 40], y, [1, frames, 287])


def encoder() -> onnx.ModelProto:
    """The reference encoder, for comparison."""
    return reference_encoder(EncoderConfig())


LARGEST_FILE = 2**31 - 1


@dataclass(frozen=True)
class Job:
    """A model and the limits of its conversion: seconds and MB; None without a limit."""

    build: Callable[[], onnx.ModelProto]
    seconds: float | None
    megabytes: float | None = None


def chain(count: int = 20_000) -> onnx.ModelProto:
    """Consecutive element-wise nodes: what every stage costs for a node."""
    net, x = Net(), "input"
    factor = net.constant(np.float32(1.5))
    for _ in range(count // 2):
        x = net.op("Mul", net.op("Sigmoid", x), factor)
    return net.model("chain", [1, 4, 8, 32], x, [1, 4, 8, 32])


def linear_layers(width: int = 8448, count: int = 8) -> onnx.ModelProto:
    """Large matrices: 2.3 GB of float32, more than one ONNX file can have."""
    net, x = Net(), "input"
    for _ in range(count):
        x = net.op("Relu", net.op("MatMul", x, net.tensor(width, width, spread=width**-0.5)))
    return net.model("linear_layers", [1, width], x, [1, width])


JOBS = {
    "vgg19": Job(vgg19, 5.0, 800.0),
    "resnet50": Job(resnet50, 2.5),
    "conformer": Job(conformer, 1.2),
    "encoder": Job(encoder, None),
    "nodes_20000": Job(chain, 10.0),
    "linear_layers": Job(linear_layers, None, 1.2 * 8 * 8448**2 * 4 / 2**20),
}


@dataclass(frozen=True)
class Figure:
    """One conversion: wall clock and CPU seconds, peak resident MB, imports included."""

    model: str
    wall: float
    cpu: float
    peak: float
    limit_seconds: float | None
    limit_megabytes: float | None


def measure(name: str, folder: Path, repeats: int, options: list[str]) -> Figure:
    """The best of several conversions."""
    source, ranges = folder / f"{name}.onnx", folder / f"{name}.ranges"
    if not ranges.exists():
        # In a separate process: a child's peak includes its parent's memory at the fork.
        make = multiprocessing.get_context("spawn").Process(target=prepare, args=(source, ranges))
        make.start()
        make.join()
    command = [
        sys.executable,
        "-m",
        "hexconv",
        "convert",
        str(source),
        "--ranges",
        str(ranges),
        "-o",
        str(folder / "out"),
        "--no-accuracy",
        "-q",
        *options,
    ]
    # Bytecode is cached, as Python does for every user, but not in the source tree.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "pycache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    _timed(command, environment)
    runs = [_timed(command, environment) for _ in range(repeats)]
    wall, cpu, peak = (min(run[part] for run in runs) for part in range(3))
    return Figure(name, wall, cpu, peak, JOBS[name].seconds, JOBS[name].megabytes)


def prepare(source: Path, ranges: Path) -> None:
    """Write a model and its range file, as a first conversion leaves it."""
    from hexconv.calibrate import write_ranges
    from hexconv.conversion import convert
    from hexconv.onnx_graph import load

    _save(JOBS[source.stem].build(), source)
    graph = load(source, recognize=False)
    sample = {info.name: np.random.default_rng(2).random(info.shape) for info in graph.inputs}
    write_ranges(ranges, convert(source, samples=[sample]).ranges)


def _save(model: onnx.ModelProto, path: Path) -> None:
    """One file, or external data where that would be too large."""
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    onnx.save(model, path, save_as_external_data=size > LARGEST_FILE, location=f"{path.name}.data")


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", choices=[*JOBS, []], default=[])
    parser.add_argument("--folder", type=Path, help="keep models here (4 GB)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--options", default="", help="more options of hexconv convert")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        figures = [
            measure(name, folder, chosen.repeats, chosen.options.split())
            for name in chosen.models or JOBS
        ]
    if chosen.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=1))
        return
    print(f"{'model':<12}{'wall s':>8}{'CPU s':>8}{'limit s':>9}{'peak MB':>9}{'limit MB':>10}")
    for f in figures:
        seconds, megabytes = (str(v or "-") for v in (f.limit_seconds, f.limit_megabytes))
        print(f"{f.model:<12}{f.wall:8.2f}{f.cpu:8.2f}{seconds:>9}{f.peak:9.0f}{megabytes:>10}")


if __name__ == "__main__":
    main()
