"""One model and one input in Python's ONNX Runtime and in the C++ runner: times and equality."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv.arrays import NOT_IN_FLOAT32, are_numbers, not_in_float32
from hexconv.cpp import onnxruntime as places
from hexconv.cpp.platforms import (
    NDK,
    Command,
    Job,
    build_commands,
    emulated,
    prepare_emulation,
    run_commands,
)
from hexconv.errors import ConfigError, FileError, HexconvError, RangeError, system_reason
from hexconv.numpy_files import read_npy
from hexconv.onnx_runtime import opened, quiet_options, runtime_errors
from hexconv.paths import check_is_file, is_file
from hexconv.raw_tensors import SUFFIXES, read_raw

Feed = NDArray[np.float32]

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Two runtimes agree when no value differs by more than ABSOLUTE + RELATIVE * |value|."""

BUILD_SECONDS, RUN_SECONDS = 600, 1800


@dataclass(frozen=True)
class Timing:
    """Python or C++ over one input: milliseconds of one run (mean), and the output's shape."""

    milliseconds: float
    shape: tuple[int, ...]


@dataclass(frozen=True)
class BenchOutcome:
    """Both timings, and their differences (None without C++)."""

    python: Timing
    cpp: Timing | None = None
    largest_difference: float | None = None
    close: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_feed(path: Path, model: Path | None = None) -> Feed:
    """A .npy, or a raw file for a model's one input, as float32.

    Raises:
        FileError: not a .npy of real numbers.
        RangeError: empty, or not finite; a raw file without a shape, or of another size.
    """
    if path.suffix in SUFFIXES and is_file(path) and model is not None:
        return _finite(read_raw(path, _shape(model, path)), path)
    stored = read_npy(path, "the input")
    if not are_numbers(stored.dtype):
        raise FileError("the input is not a .npy of real numbers", where=str(path))
    return _finite(stored, path)


def _finite(stored: np.ndarray[Any, Any], path: Path) -> Feed:
    if (lost := not_in_float32(stored)) is not None:
        raise RangeError(f"the input contains {lost}", where=str(path), why=NOT_IN_FLOAT32)
    with np.errstate(over="ignore"):  # past float32 it is infinite, and an error
        feed = np.ascontiguousarray(stored, np.float32)
    if not feed.size or not np.isfinite(feed).all():
        raise RangeError("the input is empty, or not finite", where=str(path))
    return feed


def _shape(model: Path, feed: Path) -> tuple[int, ...]:
    """The shape of a model's one input; one dynamic size is that of the raw file."""
    with _of_runtime(model):
        declared = _session(model, "disable").get_inputs()[0].shape
    sizes = [size if isinstance(size, int) else 0 for size in declared]
    if sizes.count(0) > 1:
        raise RangeError(
            "a raw file has no shape, and the model's input has more than one dynamic size",
            where=str(feed),
            hint="give a .npy",
        )
    fixed = math.prod(size for size in sizes if size)
    return tuple(size or max(feed.stat().st_size // (4 * fixed), 1) for size in sizes)


def run_python(
    model: Path, feed: Feed, graph: str, runs: int, warmup: int, threads: int
) -> tuple[Timing, Feed]:
    """Time ONNX Runtime in Python, as the C++ runner does.

    Raises:
        FileError: ONNX Runtime cannot run the model or read the input.
    """
    with _of_runtime(model):
        session = _session(model, graph, threads)
        feeds = {session.get_inputs()[0].name: feed}
        for _ in range(warmup):
            session.run(None, feeds)
        began = perf_counter()
        for _ in range(runs):
            output = session.run(None, feeds)[0]
        spent = perf_counter() - began
    made = np.asarray(output, np.float32)
    return Timing(1000 * spent / runs, made.shape), made


@contextmanager
def _of_runtime(model: Path) -> Iterator[None]:
    failures: tuple[type[Exception], ...] = (OSError, *runtime_errors())
    try:
        check_is_file(model)
        str(model).encode()  # ONNX Runtime takes names that are UTF-8
        yield
    except failures as error:
        why = system_reason(error).splitlines()[0]
        raise FileError("ONNX Runtime cannot run this", where=str(model), why=why) from error


def _session(model: Path, graph: str, threads: int = 0) -> Any:
    import onnxruntime

    options = quiet_options()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_{_level(graph)}"
    )
    return opened(model, options)


def _level(graph: str) -> str:
    return "DISABLE_ALL" if graph == "disable" else f"ENABLE_{graph.upper()}"


def prepare(platform: str, folder: Path, *, dry: bool) -> dict[str, Any]:
    """What a job of `platform` needs on this machine: library, headers, NDK.

    With `dry`, missing paths are replaced by the environment variables that set them.

    Raises:
        ConfigError: no ONNX Runtime or no NDK.
    """
    ndk = ""
    if platform == "android":
        ndk = os.environ.get(NDK, "")
        if not ndk and not dry:
            raise ConfigError(
                "building for Android needs the NDK",
                hint=f"set {NDK} to it; --dry-run shows what would be done",
            )
        ndk = ndk or f"${NDK}"
        toolchain = Path(ndk) / "build/cmake/android.toolchain.cmake"
        if not dry and not toolchain.is_file():
            raise ConfigError("this is not an Android NDK", where=f"{NDK}={ndk}")
    try:
        found = places.find(platform, folder / "onnxruntime")
        library, headers, origin = str(found.library), found.headers, found.origin
    except ConfigError:
        if not dry:
            raise
        library, origin = f"${places.ROOT}/lib/libonnxruntime.so", f"${places.ROOT}"
        headers = Path(f"${places.ROOT}/include")
    return {
        "library": library,
        "headers": str(headers) if headers else None,
        "ndk": ndk,
        "origin": origin,
    }


def run_cpp(job: Job, say: Callable[[str], None]) -> tuple[Timing, Feed]:
    """Build and run the C++ runner.

    Raises:
        ConfigError: a tool is missing.
        HexconvError: a command failed; shows the command's own output.
    """
    _require(job)
    for command in build_commands(job):
        _call(command, BUILD_SECONDS)
    if emulated(job):
        prepare_emulation(job, os.cpu_count() or 1)
    printed = ""
    for command in run_commands(job):
        printed += _call(command, RUN_SECONDS)
    for line in printed.splitlines():
        say(line)
    time = re.search(r"^c\+\+ cost time: ([0-9.]+) ms", printed, re.MULTILINE)
    if time is None:
        raise HexconvError("the C++ runner printed no time", why=printed[-500:])
    made = read_feed(Path(job.output))
    return Timing(float(time[1]), made.shape), made


TOOLS = {
    "linux": {"cmake": "cmake", "c++": "g++"},
    "aarch64": {"cmake": "cmake", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"},
    "android": {"cmake": "cmake", "adb": "adb"},
}
"""What each platform's commands need, and the Debian packages that contain it."""


def _require(job: Job) -> None:
    needed = dict(TOOLS[job.platform])
    if emulated(job):
        needed["qemu-aarch64"] = "qemu-user"
    missing = {tool: package for tool, package in needed.items() if shutil.which(tool) is None}
    if missing:
        raise ConfigError(
            f"{job.platform} needs {', '.join(missing)}",
            hint=f"apt-get install {' '.join(missing.values())}",
        )


def _call(command: Command, seconds: int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise HexconvError(
            f"a command did not end within {seconds} s", where=shlex.join(command)
        ) from error
    if done.returncode:
        raise HexconvError(
            "a command failed",
            where=shlex.join(command),
            why=(done.stderr or done.stdout).strip()[-2000:],
        )
    return done.stdout


def compare(python: tuple[Timing, Feed], cpp: tuple[Timing, Feed]) -> BenchOutcome:
    """Times, shapes and differences of both outputs.

    Raises:
        HexconvError: the shapes differ.
    """
    (python_time, true), (cpp_time, made) = python, cpp
    if true.shape != made.shape:
        raise HexconvError(f"Python returned {true.shape}, C++ {made.shape}")
    return BenchOutcome(
        python_time,
        cpp_time,
        float(np.abs(true - made).max(initial=0)),
        float(np.isclose(made, true, rtol=RELATIVE, atol=ABSOLUTE).mean()),
    )
