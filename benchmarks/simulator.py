"""The simulator against ONNX Runtime's float inference: `python -m benchmarks.simulator`.

Same model, same inputs, same cores, one run: float and simulated inferences take turns, so that
other load on the machine affects both. Warm: the first inference of each is not counted. Memory
is the peak of two fresh processes that do nothing but open the model and infer. `verify` compares
a set of 256 samples, in turn with float inference of the same set: every tensor of the first ones,
of the others the outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx

CORES = os.cpu_count() or 1
MEMORY_INFERENCES = 4
TARGET = 2.0
"""How many times the float inference a simulated one may take."""
MEMORY_TARGET = 2.0
VERIFY_TARGET = 4.0
"""How many times the float inference `verify` may take."""
VERIFY_SAMPLES = 256
ROUNDS = 3


def hifigan() -> onnx.ModelProto:
    """HiFi-GAN V1, seeded weights, 32 mel frames (8,192 samples: 0.37 s of sound)."""
    from hexconv.models import config, layers, onnx_writer

    form = onnx_writer.VocoderForm(length=32)
    return onnx_writer.write(config.V1, layers.seeded(config.V1), form)


def mobilenet() -> onnx.ModelProto:
    """MobileNetV2, seeded weights, 224 x 224."""
    import torch

    from tests.networks.export import export
    from tests.networks.vision import mobilenet as network

    return export(network(full=True), torch.zeros(1, 3, 224, 224))


def conformer() -> onnx.ModelProto:
    """Two Conformer blocks, 144 frames of 40 bands."""
    import torch

    from tests.networks.conformer import conformer as network
    from tests.networks.export import export

    return export(network(), torch.zeros(1, 144, 40))


NETWORKS = {
    "hifigan_v1": hifigan,
    "mobilenet_v2": mobilenet,
    "conformer": conformer,
}


@dataclass(frozen=True)
class Row:
    """One network. Times are medians of one inference in s (`cpu`: of all threads), ratios theirs.

    `memory` are peaks in MB.
    """

    name: str
    float_wall: float
    simulated_wall: float
    float_cpu: float
    simulated_cpu: float
    ratio: float
    cpu_ratio: float
    float_memory: float
    simulated_memory: float
    memory_ratio: float
    verify_ratio: float
    verify_cpu_ratio: float

    @property
    def holds(self) -> bool:
        """Whether all targets are met."""
        found = (self.ratio, self.memory_ratio, self.verify_ratio)
        return all(a <= b for a, b in zip(found, (TARGET, MEMORY_TARGET, VERIFY_TARGET)))  # noqa: B905


def samples(model: onnx.ModelProto, count: int) -> list[dict[str, Any]]:
    """Seeded normal inputs."""
    draw = np.random.default_rng(11)
    shapes = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
        for info in model.graph.input
    }
    return [
        {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(count)
    ]


def float_runner(path: Path) -> Callable[[dict[str, Any]], Any]:
    """ONNX Runtime on all cores, with default options."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def simulated_runner(path: Path) -> Callable[[dict[str, Any]], Any]:
    """hexconv's simulator of MACE's files, its passes compiled."""
    import hexconv
    from hexconv import native
    from hexconv.simulator import Simulator

    native.ensure()
    return Simulator(hexconv.load(path)).run


RUNNERS = {"float": float_runner, "simulated": simulated_runner}


def verified(source: Path, built: Path, feeds: list[dict[str, Any]]) -> tuple[float, float]:
    """Wall and CPU time of `verify`, both sides open, as ratios of float inference: medians."""
    import hexconv
    from hexconv.compare.layers import Bench
    from hexconv.pipeline import prepared
    from hexconv.settings import Settings

    model, float_run = hexconv.load(built), float_runner(source)
    shapes = {item.name: item.shape for item in model.graph.inputs}
    bench = Bench(model.graph, prepared(source, shapes, Settings())[0])
    float_run(feeds[0])
    bench.measure(feeds[:CORES])
    ratios = []
    for _ in range(ROUNDS):
        plain = timed(lambda many: [float_run(one) for one in many], feeds)
        compared = timed(bench.measure, feeds)
        ratios.append([ours / theirs for ours, theirs in zip(compared, plain, strict=True)])
    wall, cpu = np.median(ratios, axis=0)
    return float(wall), float(cpu)


def timed(run: Callable[[Any], Any], feeds: Any) -> tuple[float, float]:
    """Wall and CPU seconds of one inference."""
    cpu, wall = time.process_time(), time.perf_counter()
    run(feeds)
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(name: str, count: int, folder: Path) -> Row:
    """Convert once, then time both sides and compare them."""
    import hexconv

    model = NETWORKS[name]()
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    feeds = samples(model, count + 1)
    hexconv.convert(path, samples=feeds[:4]).save(folder)
    built = folder / f"{name}.pb"
    np.savez(folder / "feeds.npz", **feeds[0])
    runners = {kind: make(built if kind == "simulated" else path) for kind, make in RUNNERS.items()}
    for run in runners.values():
        run(feeds[0])
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in runners}
    for sample in feeds[1:]:
        for kind, run in runners.items():
            times[kind].append(timed(run, sample))
    wall, cpu = (
        {kind: float(np.median([t[i] for t in ts])) for kind, ts in times.items()} for i in (0, 1)
    )
    peak = {k: peak_memory(k, built if k == "simulated" else path, folder) for k in RUNNERS}
    return Row(
        name,
        wall["float"],
        wall["simulated"],
        cpu["float"],
        cpu["simulated"],
        wall["simulated"] / wall["float"],
        cpu["simulated"] / cpu["float"],
        peak["float"],
        peak["simulated"],
        peak["simulated"] / peak["float"],
        *verified(path, built, list(islice(cycle(feeds[1:]), VERIFY_SAMPLES))),
    )


def peak_memory(kind: str, path: Path, folder: Path) -> float:
    """Peak resident MB of a fresh process that runs a few inferences."""
    words = ["-m", "benchmarks.simulator", "--child", kind, str(path), str(folder)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return float(done.stdout)


def child(kind: str, path: Path, folder: Path) -> None:
    """What the fresh process does."""
    with np.load(folder / "feeds.npz") as stored:
        feeds = dict(stored)
    run = RUNNERS[kind](path)
    for _ in range(MEMORY_INFERENCES):
        run(feeds)
    # Not ru_maxrss: a process inherits that from the one that started it.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    """Measure, print a table, and fail if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=int, default=32)
    parser.add_argument("--only", choices=NETWORKS, action="append")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    options = parser.parse_args()
    if options.child:
        kind, path, folder = options.child
        child(kind, Path(path), Path(folder))
        return
    from hexconv import native

    rows = []
    machine = f"{CORES} cores, {native.status()}, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, {options.inputs} inputs")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or NETWORKS:
            row = measure(name, options.inputs, Path(folder))
            rows.append(row)
            print(
                f"{name:13} float {row.float_wall * 1e3:7.1f} ms, simulated"
                f" {row.simulated_wall * 1e3:8.1f} ms: {row.ratio:5.2f}x (target {TARGET:g}x),"
                f" CPU time {row.cpu_ratio:5.2f}x; memory {row.float_memory:.0f} MB,"
                f" {row.simulated_memory:.0f} MB: {row.memory_ratio:.2f}x"
                f" (target {MEMORY_TARGET:g}x); verify {row.verify_ratio:.2f}x"
                f" (target {VERIFY_TARGET:g}x), CPU time {row.verify_cpu_ratio:.2f}x",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if not all(row.holds for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
