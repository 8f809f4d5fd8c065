"""What the emulated library needs on this machine: qemu-hexagon, and zig to build the runner."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from hexconv.errors import DeviceError, MissingExtra

QEMU_INSTALL = "apt-get install qemu-user (Debian, Ubuntu), or your system's qemu-user package"


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
        DeviceError: if there is none.
    """
    require_linux()
    wanted = os.environ.get("HEXCONV_QEMU") or "qemu-hexagon"
    found = shutil.which(wanted)
    if not found:
        raise DeviceError(f"the emulator '{wanted}' is not installed", hint=QEMU_INSTALL)
    return Path(found).resolve()


def zig_command(tool: str) -> list[str]:
    """The command for one of zig's tools: `cc` or `ld.lld`.

    Raises:
        MissingExtra: if the package ziglang is not installed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise MissingExtra("ziglang", "device")
    return [sys.executable, "-m", "ziglang", tool]
