"""What the emulated library needs on this machine: qemu-hexagon, and zig to build the runner."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from hexconv.errors import DeviceError, MissingExtra

QEMU_INSTALL = "apt-get install qemu-user (Debian, Ubuntu), or your system's qemu-user package"
VERSION_SECONDS = 20.0
SHOWN = 100
"""Characters of another program's output that an error has."""


def require_linux() -> None:
    """qemu's user mode runs Linux programs on Linux only.

    Raises:
        DeviceError: on another system.
    """
    if platform.system() != "Linux":
        raise DeviceError(
            f"the emulated library runs on Linux, not on {platform.system()}",
            hint="use Linux: a machine, WSL, or the container image",
        )


def find_qemu() -> Path:
    """The emulator: `HEXCONV_QEMU`, or `qemu-hexagon` on the path.

    Raises:
        DeviceError: if there is none, or it is another program.
    """
    require_linux()
    wanted = os.environ.get("HEXCONV_QEMU") or "qemu-hexagon"
    found = shutil.which(wanted)
    if not found:
        raise DeviceError(f"the emulator '{wanted}' is not installed", hint=QEMU_INSTALL)
    path = Path(found).resolve()
    qemu_version(path)
    return path


@cache
def qemu_version(path: Path) -> str:
    """The first line of what the emulator prints about itself.

    Raises:
        DeviceError: if it does not start, or is another program.
    """
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_emulator(path, str(error)) from error
    lines = (done.stdout or done.stderr).decode(errors="replace").splitlines()
    first = lines[0][:SHOWN] if lines else ""
    if done.returncode or not first.startswith("qemu-hexagon"):
        why = f"with --version it printed '{first}' and ended with exit code {done.returncode}"
        raise _no_emulator(path, why)
    return first


def _no_emulator(path: Path, why: str) -> DeviceError:
    return DeviceError(
        "this program is not qemu-hexagon, or does not start",
        where=str(path),
        why=why,
        hint=f"HEXCONV_QEMU names the emulator; {QEMU_INSTALL}",
    )


def zig_command(tool: str) -> list[str]:
    """The command for one of zig's tools: `cc` or `ld.lld`.

    Raises:
        MissingExtra: if the package ziglang is not installed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise MissingExtra("ziglang", "device")
    return [sys.executable, "-m", "ziglang", tool]
