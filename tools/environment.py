"""Make the virtual environment that a `make` target needs, or say what is missing for it.

`python3 tools/environment.py demo|test|lint|docs|all|oldest`. Standard library only, and no syntax
newer than Python 3.7, so that an old Python is told what it lacks. What is complete is left alone:
a second run installs nothing and needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
TORCH = os.environ.get("TORCH", "torch")
# PyPI's torch for Linux brings gigabytes of GPU libraries; this index has the CPU builds.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"

GROUPS = {
    # name: (extras of pyproject.toml, sizes as measured on Debian 13, x86-64)
    "demo": ("", "70 MB to download, 240 MB on disk"),
    "test": ("[test]", "100 MB to download, 380 MB on disk"),
    "oldest": ("[test]", "100 MB to download, 380 MB on disk"),
    "lint": ("[lint]", "130 MB to download, 320 MB on disk"),
    "docs": ("[docs]", "120 MB to download, 430 MB on disk"),
    "all": ("[dev]", "560 MB to download, 1.9 GB on disk"),
}

# What Python cannot install: (program, Debian's package, what it is for, the groups that use it).
# The emulated library needs zig as well, which is too large for `make test`.
PROGRAMS = (
    ("cmake", "cmake", "the C++ benchmark", ("test", "oldest", "all")),
    ("c++", "g++", "the C++ benchmark and the compiled simulator", ("test", "oldest", "all")),
    ("qemu-hexagon", "qemu-user", "the emulated DSP library", ("all",)),
)
SHOWN = ("Downloading ", "Installing collected", "ERROR", "error:")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the environment of a make target.")
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    options = parser.parse_args()
    venv, group = options.venv.absolute(), options.group
    stamp, wanted = venv / f".hexconv-{group}", digest(group)
    complete = works(venv) and stamp.is_file() and stamp.read_text() == wanted
    needed = [] if complete else needs()
    say_what_is_missing(needed, programs_missing(group))
    if needed:
        return 1
    if not complete:
        if not (works(venv) or create(venv)) or not install(venv, group):
            return 1
        stamp.write_text(wanted)
    return 0


def digest(group: str) -> str:
    """What the environment depends on: a change of it installs again."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[: text.find("[tool.ruff]")]
    parts = (project, group, str(ROOT), sys.version, TORCH)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def needs() -> list[str]:
    """What nothing works without."""
    found = []
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        found.append(
            f"Python {oldest} or newer (this is {platform.python_version()}): "
            f"name one, as in make PYTHON=python{oldest}"
        )
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        found.append("glibc: ONNX Runtime is not built for musl (Alpine); use Debian or Ubuntu")
    if not has_venv():
        found.append("Python's modules venv and ensurepip")
    return found


def has_venv() -> bool:
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def programs_missing(group: str) -> list[tuple[str, str, str]]:
    """Programs without which some tests are skipped: name, Debian's package, what of."""
    return [p[:3] for p in PROGRAMS if group in p[3] and not shutil.which(p[0])]


def say_what_is_missing(needed: list[str], programs: list[tuple[str, str, str]]) -> None:
    """One message for all of it."""
    lines = [f"hexconv needs {need}" for need in needed]
    lines += [f"without {program} tests of {use} are skipped" for program, _, use in programs]
    packages = ["python3-venv"] * (not has_venv()) + [package for _, package, _ in programs]
    if packages and lines:
        lines.append("on Debian and Ubuntu: sudo apt-get install " + " ".join(packages))
    if needed:
        lines.append("then run make again")
    if lines:
        print("\n".join(lines), file=sys.stderr, flush=True)


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(venv: Path) -> bool:
    """Whether the environment is whole: an interrupted or moved one has no pip that starts."""
    command = [str(python_of(venv)), "-m", "pip", "--version"]
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(command, stdout=quiet, stderr=quiet).returncode == 0
    except OSError:
        return False


def create(venv: Path) -> bool:
    """Make the environment anew; what is left of a half-made one goes first."""
    made_by_us = (venv / "pyvenv.cfg").exists() or not venv.exists() or not any(venv.iterdir())
    if venv.is_symlink() or not made_by_us:
        print(f"{venv} is no virtual environment: move it away", file=sys.stderr)
        return False
    shutil.rmtree(str(venv), ignore_errors=True)
    print(f"making a virtual environment in {venv}", flush=True)
    return subprocess.run([sys.executable, "-m", "venv", str(venv)]).returncode == 0


def install(venv: Path, group: str) -> bool:
    """Install hexconv, editable, with the extras of the group."""
    extras, sizes = GROUPS[group]
    print(f"installing hexconv{extras}: about {sizes}", flush=True)
    python, target = str(python_of(venv)), str(ROOT) + extras
    # Bytecode of what is imported is made then: of all, it would be a quarter of the environment.
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    if group == "oldest":
        lowest = ["--resolution", "lowest-direct", "--python", python, "-e", target]
        return ran([*pip, "uv"]) and ran([python, "-m", "uv", "pip", "install", *lowest])
    x86_linux = platform.system() == "Linux" and platform.machine() == "x86_64"
    cpu_torch = [*pip, "--retries", "1", "--extra-index-url", TORCH_INDEX, TORCH]
    if group == "all" and x86_linux and not ran(cpu_torch):
        return False
    return ran([*pip, "-e", target])


def ran(command: list[str]) -> bool:
    """Run an installer; each download is shown with its size before it begins."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(SHOWN) and ".metadata" not in line:
            print("  " + line.strip(), flush=True)
    if process.wait() == 0:
        return True
    print("".join(lines[-15:]) + "failed: " + " ".join(command), file=sys.stderr)
    print("what was installed is kept: run make again to go on", file=sys.stderr)
    return False


if __name__ == "__main__":
    sys.exit(main())
