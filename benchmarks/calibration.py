"""What calibration costs: time against plain float inference, memory against sample count.

    python benchmarks/calibration.py [--model MODEL.onnx] [--samples 100] [--json]

Time: the same samples through plain ONNX Runtime sessions (its default threads, and one thread),
and through `observe`, in one run, one after the other, several times; medians. The time of
`observe` includes opening its session. Memory: the largest resident size of a process that
calibrates 10 samples and of one that calibrates 1,000, drawn one by one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from hexconv.calibrate import measure, observe, synthetic_samples
from hexconv.models.encoder import reference_encoder
from hexconv.onnx_graph import FloatGraph, load

FEW, MANY = 10, 1000
OBSERVERS = ("minmax", "mse", "percentile", "auto")
MEMORY_SCRIPT = """
import sys
from pathlib import Path
from hexconv.calibrate import observe, synthetic_samples
from hexconv.onnx_graph import load
graph = load(sys.argv[1], recognize=False)
observe(graph, synthetic_samples(graph, count=int(sys.argv[2])), sys.argv[3])
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="an ONNX file; default: reference encoder")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or Path(folder) / "encoder.onnx"
        if arguments.model is None:
            onnx.save(reference_encoder(), path)
        figures = {
            **times(path, arguments.samples, arguments.rounds),
            **memory(path),
        }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:45} {figure:10.2f}")


def times(path: Path, count: int, rounds: int) -> dict[str, float]:
    """Milliseconds a sample, and ratios against plain inference on default threads."""
    graph = load(path, recognize=False)
    samples = list(synthetic_samples(graph, count=count))
    runs: dict[str, Callable[[], object]] = {
        "plain, default threads": plain(path, samples, 0),
        "plain, one thread": plain(path, samples, 1),
        "minmax": lambda: observe(graph, samples),
        "mse": lambda: observe(graph, samples, "mse"),
        "percentile": lambda: observe(graph, samples, "percentile"),
        "auto": lambda: both(graph, samples),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    figures = {f"{name}, ms a sample": 1e3 * s / count for name, s in middle.items()}
    for name in OBSERVERS:
        figures[f"{name} / plain"] = middle[name] / middle["plain, default threads"]
    return figures


def both(graph: FloatGraph, samples: Sequence[Mapping[str, Any]]) -> list[object]:
    """What `--observer auto` chooses between: the ranges of two observers, of the same runs."""
    statistics = measure(graph, samples, "mse")
    return [statistics.ranges(observer=observer) for observer in ("minmax", "mse")]


def plain(
    path: Path, samples: Sequence[Mapping[str, object]], threads: int
) -> Callable[[], object]:
    """Plain inference of the file as it is, on the samples."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, samples[0])
    return lambda: [session.run(None, feeds) for feeds in samples]


def memory(path: Path) -> dict[str, float]:
    """Peak megabytes of calibrating few and many samples, each in its own process."""
    figures = {}
    for observer in ("minmax", "mse", "percentile"):
        for count in (FEW, MANY):
            command = [sys.executable, "-c", MEMORY_SCRIPT, str(path), str(count), observer]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[f"{observer}, {count} samples, MB"] = int(done.stdout) / 1024
    return figures


if __name__ == "__main__":
    main()
