"""Find ONNX Runtime for C++: a release archive, Debian's package, or PyPI's wheel."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hexconv.errors import ConfigError, FileError

ROOT, WHEEL = "ONNXRUNTIME_ROOT", "ONNXRUNTIME_WHEEL"
"""Environment variables: an unpacked release archive, and a wheel of another platform."""

_HEADER = "onnxruntime_c_api.h"
DEBIAN_HEADERS = Path("/usr/include/onnxruntime")
_HEADER_PLACES = ("include", "include/onnxruntime", "include/onnxruntime/core/session", "headers")
_LIBRARY_PLACES = ("lib/libonnxruntime.so", "lib64/libonnxruntime.so")
_ANDROID_PLACES = ("jni/arm64-v8a/libonnxruntime.so", "lib/libonnxruntime.so")


@dataclass(frozen=True)
class OnnxRuntime:
    """One ONNX Runtime to build with.

    Attributes:
        library: libonnxruntime.so of the target platform.
        headers: folder of onnxruntime_c_api.h; None makes the runner use its own declarations and
            load the library at run time.
        origin: where it was found, as text.
    """

    library: Path
    headers: Path | None
    origin: str


def find(platform: str, folder: Path) -> OnnxRuntime:
    """ONNX Runtime for `platform` (linux, aarch64, android).

    Args:
        platform: the target.
        folder: where a library from a wheel is unpacked to.

    Raises:
        ConfigError: there is none; the error says what to set.
        FileError: the one that the environment names is not ONNX Runtime for the platform.
    """
    root, wheel = os.environ.get(ROOT), os.environ.get(WHEEL)
    if root:
        return _from_root(Path(root), platform)
    if wheel and platform == "aarch64":
        return _from_wheel(Path(wheel), folder)
    if platform == "linux":
        found = _from_debian() or _from_own_wheel()
        if found:
            return found
    hints = {
        "linux": f"set {ROOT} to an unpacked release archive, or pip install onnxruntime",
        "aarch64": f"set {ROOT} to the unpacked aarch64 release archive, or {WHEEL} to the file "
        "that `pip download --no-deps --platform manylinux_2_28_aarch64 --only-binary=:all: "
        "onnxruntime` brings",
        "android": f"set {ROOT} to the unpacked onnxruntime-android .aar",
    }
    raise ConfigError(f"there is no ONNX Runtime for {platform}", hint=hints[platform])


def _from_root(root: Path, platform: str) -> OnnxRuntime:
    places = _ANDROID_PLACES if platform == "android" else _LIBRARY_PLACES
    library = next((root / place for place in places if (root / place).is_file()), None)
    headers = next((root / p for p in _HEADER_PLACES if (root / p / _HEADER).is_file()), None)
    if library is None or headers is None:
        raise FileError(
            f"this is not an ONNX Runtime for {platform}",
            where=f"{ROOT}={root}",
            why=f"no {' or '.join(places)}" if library is None else f"no {_HEADER}",
        )
    return OnnxRuntime(library, headers, f"{ROOT} ({root})")


def _from_debian() -> OnnxRuntime | None:
    headers = next((path.parent for path in DEBIAN_HEADERS.rglob(_HEADER)), None)
    library = next(Path("/usr/lib").glob("*-linux-gnu/libonnxruntime.so"), None)
    return OnnxRuntime(library, headers, "libonnxruntime-dev") if headers and library else None


def _from_own_wheel() -> OnnxRuntime | None:
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    library = next(Path(spec.origin).parent.glob("capi/libonnxruntime.so*"), None)
    return OnnxRuntime(library, None, "the installed wheel") if library else None


def _from_wheel(wheel: Path, folder: Path) -> OnnxRuntime:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if "/capi/libonnxruntime.so" in n]
            if not names or "aarch64" not in wheel.name:
                raise FileError(
                    "this is not an onnxruntime wheel for aarch64", where=f"{WHEEL}={wheel}"
                )
            folder.mkdir(parents=True, exist_ok=True)
            library = folder / Path(names[0]).name
            library.write_bytes(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile) as error:
        raise FileError("the wheel cannot be read", where=str(wheel), why=str(error)) from error
    return OnnxRuntime(library, None, f"{WHEEL} ({wheel.name})")
