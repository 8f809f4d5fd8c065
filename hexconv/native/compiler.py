"""Build the compiled passes from csrc/, once per machine, into the user's cache directory."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from hexconv.distribution import pip_install
from hexconv.files import cache_directory

SOURCES = Path(__file__).with_name("csrc")
# Contracting a product and a sum into one rounding would change floats; traps are not used.
ROUNDING = ("-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno")
FLAGS = ("-O3", "-std=gnu11", *ROUNDING, "-fPIC", "-shared")
TUNINGS = (
    ("-march=native", "-mprefer-vector-width=512"),
    ("-march=native",),
    ("-mcpu=native",),
    (),
)
"""For this exact CPU, in the compiler's options; the last is for CPUs without such an option."""
BUILD_SECONDS = 300


def compilers() -> Iterator[list[str]]:
    """Commands that compile C: `CC`, the system's, or zig of the package ziglang."""
    named = os.environ.get("CC", "").split()
    for command in (named, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            yield command
    if importlib.util.find_spec("ziglang") is not None:
        yield [sys.executable, "-m", "ziglang", "cc"]


@cache
def built_path() -> Path:
    """Where the library built from these sources for this CPU is, or will be."""
    digest = hashlib.sha256(repr((FLAGS, TUNINGS, _cpu())).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return cache_directory() / f"native-{digest.hexdigest()[:20]}.so"


def _cpu() -> str:
    """The features of the CPU: a cache that several machines share has a library for each kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    features = [line for line in lines if line.startswith(("flags", "Features"))]
    return " ".join([platform.machine(), platform.system(), *(features or [platform.processor()])])


def compile_to(target: Path) -> str:
    """Compile to `target`, completely or not at all.

    Returns:
        Why it could not be built; nothing if it was.
    """
    reason = f"no C compiler: install one, or zig: {pip_install('fast')}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as directory:
            made = Path(directory) / target.name
            for compiler in compilers():
                for tuning in TUNINGS:
                    reason = run_compiler([*compiler, *FLAGS, *tuning], made)
                    if not reason:
                        made.replace(target)
                        return ""
    except OSError as error:
        return f"the cache directory cannot be written: {error}"
    return reason


def run_compiler(command: list[str], target: Path) -> str:
    """Why the command did not compile the sources; nothing if it did."""
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    try:
        done = subprocess.run(
            [*command, *sources, "-o", str(target), "-lm"],
            capture_output=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace")[-2000:]
