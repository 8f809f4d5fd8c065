"""Why mace_run failed on a phone, from what it printed and from the phone's log."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from hexconv.errors import PhoneError
from hexconv.phone.adb import Adb

SIGNALS = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 137: "SIGKILL", 139: "SIGSEGV"}
TRUST = (
    "a phone from a shop loads only signed libraries into its DSP. SD855 and later: build mace_run "
    "with config.SetHexagonToUnsignedPD() (one line in mace/tools/mace_run.cc); earlier ones: push "
    "the phone's test signature beside it with --testsig FILE"
)
CAUSES = (
    (
        r'library "?lib(c\+\+_shared|hexagon_controller)',
        "a library that mace_run needs is not beside it",
        "push libc++_shared.so and libhexagon_controller.so of the same ABI",
    ),
    (
        r"64-bit instead of 32-bit|32-bit instead of 64-bit|unexpected e_machine|not executable: |"
        r"exec format error",
        "mace_run or a library is built for another ABI than the phone's",
        "build MACE for the phone's ABI, and say it: --abi",
    ),
    (
        r"unknown command line flag",
        "this mace_run does not know a flag",
        "build mace_run of MACE v1.1.1 or later",
    ),
    (
        r"load netdef failed|is not a multi|protobuf",
        "this mace_run cannot read the .pb",
        "the .pb is a MultiNetDef: build mace_run of MACE v1.1.1 or later",
    ),
    (
        r"no runtime creator|runtime.*not (supported|registered)|unsupported runtime",
        "this mace_run was built without the Hexagon runtime",
        "build it with -DMACE_ENABLE_HEXAGON=ON and -DMACE_ENABLE_HEXAGON_DSP=ON",
    ),
    (
        r"open input file failed",
        "mace_run does not find an input",
        "push the inputs under the names of hexconv phone plan",
    ),
    (
        r"hexagon config error|hexagon_nn_init failed|get version error|hexagon init error|"
        r"remote_handle_open|fastrpc.*(fail|error)|set_remote_stack",
        "the phone's DSP does not load libhexagon_nn_skel.so",
        TRUST,
    ),
    (
        r"get perf info error",
        "MACE prints no profile of a graph of more than 2,048 nodes",
        "cut the model with --split, or count packets with hexconv device profile",
    ),
    (
        r"append (const )?node error",
        "the phone's library does not take the graph",
        "push the library that fits the phone: --soc; hexconv device run tries the same graph "
        "without a phone",
    ),
    (
        r"hexagon_nn_prepare failed",
        "the phone's library cannot prepare the graph",
        "hexconv device run tries the same graph in the same library without a phone",
    ),
    (
        r"execute error|out too small",
        "the phone's library cannot execute the graph",
        "hexconv device run tries the same graph in the same library without a phone",
    ),
    (
        r"op.*does not exist|not registered|getcapability|bmnet",
        "this mace_run has no CPU ops, and measures the CPU first",
        "say --without-cpu-ops, or build MACE with -DMACE_ENABLE_CPU=ON",
    ),
    (
        r"tensor end|model data",
        "the .pb and the .data on the phone do not belong together",
        "convert again, and run again",
    ),
)
"""What mace_run, the linker or the DSP's driver say (regular expressions), why, what to do."""

SHOWN = 12
OF_INTEREST = re.compile(
    r"mace|hexagon|adsprpc|fastrpc|cdsp|\bDEBUG\b|libc *: Fatal", re.IGNORECASE
)
TELLING = re.compile(r"check failed|error|fatal|cannot|aborted|segmentation|failed", re.IGNORECASE)


def failure(adb: Adb, code: int, printed: str, since: str) -> PhoneError:
    """The error of a mace_run that ended with a code other than 0, begun at a time of the phone."""
    log = phone_log(adb, since)
    signal = SIGNALS.get(code)
    ended = f"was ended by {signal}" if signal else f"ended with code {code}"
    for pattern, why, hint in CAUSES:
        if re.search(pattern, printed, re.IGNORECASE) or re.search(pattern, log, re.IGNORECASE):
            return PhoneError(f"mace_run {ended}: {why}", why=_told(printed, log), hint=hint)
    hint = "hexconv device run tries the same graph in the same library without a phone"
    return PhoneError(f"mace_run {ended}", why=_told(printed, log), hint=hint)


def hang(adb: Adb, seconds: float, printed: str, since: str) -> PhoneError:
    """The error of a mace_run that did not end in time."""
    return PhoneError(
        f"mace_run did not end within {seconds:g} s, and was stopped",
        why=_told(printed, phone_log(adb, since)),
        hint="give it longer with --timeout, or reboot the phone: its DSP may hang",
    )


def phone_time(adb: Adb) -> str:
    """The phone's time, as its log has it."""
    return adb.checked("date +'%m-%d %H:%M:%S.000'", "the phone does not tell its time")


def phone_log(adb: Adb, since: str) -> str:
    """The phone's log from a time on, as far as it is about MACE and the DSP; empty without one.

    It is where MACE's last words are: mace_run's own output is lost when it aborts.
    """
    try:
        reply = adb.shell(f"logcat -d -T {shlex.quote(since)}")
    except (PhoneError, TimeoutError):
        return ""
    lines = [line for line in reply.text.splitlines() if OF_INTEREST.search(line)]
    return "\n".join(lines) if reply.code == 0 else ""


def _told(printed: str, log: str) -> str:
    """The lines that tell most, of mace_run and of the phone's log."""
    own = list(_telling(printed))
    lines = [*own, *(f"logcat: {line}" for line in _telling(log))]
    return "\n       ".join(lines) or "it printed nothing"


def _telling(text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    chosen = [line for line in lines if TELLING.search(line)] or lines
    yield from chosen[-SHOWN:]
