"""Every command that builds the C++ runner and runs it, for linux, aarch64 and android.

A plan is data: `--dry-run` prints it, hexconv.cpp.bench executes it.
"""

from __future__ import annotations

import platform as machine
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent

PLATFORMS = ("linux", "aarch64", "android")
LEVELS = ("O0", "O1", "O2", "O3")

NDK = "ANDROID_NDK_HOME"
ANDROID_FOLDER = "/data/local/tmp/hexconv"
ANDROID_API = 24
AARCH64_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
EMULATED_ROOT = "emulated"
"""Folder, within the build folder, that qemu-aarch64 uses as the emulated machine's root."""

_EMULATED_CORE = """processor\t: {number}
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""

Command = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One build and one run.

    Attributes:
        platform: linux, aarch64 or android.
        level: of the compiler, O0 to O3.
        graph: of ONNX Runtime's graph optimization.
        model, feed, output: the .onnx, and the .npy files in and out, on this machine.
        folder: of the build.
        library: libonnxruntime.so of the platform.
        headers: of onnxruntime_c_api.h, or None to use the runner's own declarations.
        ndk: the Android NDK (android only).
        runs, warmup, threads: of the runner.
    """

    platform: str
    level: str
    graph: str
    model: str
    feed: str
    output: str
    folder: str
    library: str
    headers: str | None
    ndk: str = ""
    runs: int = 5
    warmup: int = 1
    threads: int = 0

    @property
    def runner(self) -> str:
        """The program that the build produces."""
        return f"{self.folder}/hexconv_run"


def build_commands(job: Job) -> list[Command]:
    """The two CMake calls."""
    configure = ["cmake", "-S", str(SOURCE), "-B", job.folder, f"-DHEXCONV_LEVEL={job.level}"]
    if job.headers:
        configure += [
            f"-DONNXRUNTIME_INCLUDE={job.headers}",
            f"-DONNXRUNTIME_LIBRARY={job.library}",
        ]
    if job.platform == "aarch64":
        configure += [
            "-DCMAKE_SYSTEM_NAME=Linux",
            "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
            "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        ]
    if job.platform == "android":
        configure += [
            f"-DCMAKE_TOOLCHAIN_FILE={job.ndk}/build/cmake/android.toolchain.cmake",
            "-DANDROID_ABI=arm64-v8a",
            f"-DANDROID_PLATFORM=android-{ANDROID_API}",
            "-DANDROID_STL=c++_static",
        ]
    return [tuple(configure), ("cmake", "--build", job.folder)]


def _arguments(job: Job, model: str, feed: str, output: str, library: str) -> Command:
    linked = () if job.headers else ("--library", library)
    return (
        *("--model", model, "--input", feed, "--output", output, "--graph", job.graph),
        *("--warmup", str(job.warmup), "--runs", str(job.runs), "--threads", str(job.threads)),
        *linked,
    )


def run_commands(job: Job) -> list[Command]:
    """How the runner is started: directly, under qemu, or on a phone through adb."""
    if job.platform == "android":
        return _phone_commands(job)
    emulator: Command = ()
    if emulated(job):
        emulator = ("qemu-aarch64", "-L", f"{job.folder}/{EMULATED_ROOT}")
    return [(*emulator, job.runner, *_arguments(job, job.model, job.feed, job.output, job.library))]


def prepare_emulation(job: Job, cores: int) -> None:
    """Create the root that qemu-aarch64 shows to the runner.

    It has the libraries of the cross compiler, and a /proc/cpuinfo of an Arm machine: ONNX Runtime
    reads it when loaded, and crashes on an x86 machine's (qemu 7.2 does not translate it).
    """
    root = Path(job.folder) / EMULATED_ROOT
    (root / "proc").mkdir(parents=True, exist_ok=True)
    text = "".join(_EMULATED_CORE.format(number=number) for number in range(cores))
    (root / "proc" / "cpuinfo").write_text(text, encoding="ascii")
    libraries = root / "lib"
    if not libraries.is_symlink():
        libraries.symlink_to(AARCH64_LIBRARIES)


def emulated(job: Job) -> bool:
    """Whether this machine has to emulate the job's."""
    return job.platform == "aarch64" and machine.machine() != "aarch64"


def _phone_commands(job: Job) -> list[Command]:
    there = {
        path: f"{ANDROID_FOLDER}/{Path(path).name}"
        for path in (job.runner, job.library, job.model, job.feed)
    }
    output = f"{ANDROID_FOLDER}/{Path(job.output).name}"
    call = _arguments(job, there[job.model], there[job.feed], output, there[job.library])
    shell = " ".join((f"LD_LIBRARY_PATH={ANDROID_FOLDER}", there[job.runner], *call))
    return [
        ("adb", "shell", "mkdir", "-p", ANDROID_FOLDER),
        *(("adb", "push", here, place) for here, place in there.items()),
        ("adb", "shell", "chmod", "755", there[job.runner]),
        ("adb", "shell", shell),
        ("adb", "pull", output, job.output),
    ]
