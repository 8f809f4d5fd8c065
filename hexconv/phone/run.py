"""Run a model on a phone, and compare its outputs with the simulator's bit for bit."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hexconv.arrays import FloatArray
from hexconv.cost.mace_tables import MOST_ROWS, RUN_ORDER
from hexconv.errors import ConfigError, FileError, PhoneError
from hexconv.nnlib.graph import Interface
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.versions import release_text
from hexconv.paths import is_file
from hexconv.phone.adb import Adb
from hexconv.phone.failures import failure, hang, phone_log, phone_time
from hexconv.phone.plan import ABIS, MACE_RUN, PID, Plan
from hexconv.phone.socs import PhoneSoc, by_number
from hexconv.raw_tensors import from_raw, to_raw
from hexconv.simulator import Simulator

SOC_NUMBER = (
    "cat /sys/devices/soc0/soc_id 2>/dev/null || cat /sys/devices/system/soc/soc0/id 2>/dev/null "
    "|| echo none"
)
VERSION = re.compile(r"Hexagon DSP version: 0x([0-9a-f]+)")
MARGIN = 1 << 20
"""Bytes that a phone's storage must have beyond what is pushed."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """One output of the phone against the simulator's.

    Attributes:
        name: of the output.
        values: how many it has.
        differing: how many are not the same bits.
        first: position of the first that differs, in the ONNX order of axes; None if none does.
        phone, simulated: the values there.
        largest: largest absolute difference.
        levels: the same in quantization levels of the output's calibrated range.
    """

    name: str
    values: int
    differing: int = 0
    first: tuple[int, ...] | None = None
    phone: float = 0.0
    simulated: float = 0.0
    largest: float = 0.0
    levels: float = 0.0

    def sentence(self) -> str:
        """The verdict in words."""
        if not self.differing:
            return f"{self.name}: {self.values} values, the simulator's bits"
        return (
            f"{self.name}: {self.differing} of {self.values} values differ, first at "
            f"{list(self.first or ())}: {self.phone:.6g} on the phone, {self.simulated:.6g} "
            f"simulated; largest difference {self.largest:.3g} ({self.levels:.1f} LSB)"
        )


@dataclass(frozen=True)
class Ran:
    """One run of mace_run.

    Attributes:
        outputs: float32, in the ONNX model's shapes.
        log: what mace_run printed.
        release: of the library, as its log says; empty if it does not.
    """

    outputs: Mapping[str, FloatArray]
    log: str
    release: str


def soc_of(adb: Adb) -> PhoneSoc:
    """What the phone's processor is.

    Raises:
        PhoneError: the phone does not say.
        ConfigError: it is none that MACE has a library for.
    """
    number = adb.checked(SOC_NUMBER, "the phone does not tell its SoC").strip()
    if not number.isdigit():
        platform = adb.checked("getprop ro.board.platform", "the phone does not tell its SoC")
        raise PhoneError(
            "the phone has no Qualcomm SoC number",
            why=f"its platform is '{platform}'; the Hexagon DSP is Qualcomm's",
            hint="if it is Qualcomm's, say its Hexagon version: --soc v60, v65 or v66",
        )
    return by_number(int(number))


def check_local(plan: Plan, asked: str) -> None:
    """Hold the files that are pushed to be there.

    Raises:
        FileError: one is not.
    """
    for name, path in plan.files.items():
        if not is_file(path):
            raise FileError(
                f"{name} is missing on this computer",
                where=str(path),
                why="a phone needs mace_run, the libraries of MACE and the model",
                hint=asked,
            )


def check_phone(adb: Adb, plan: Plan) -> None:
    """Hold the phone to what is pushed: its ABI, and its free storage.

    Raises:
        PhoneError: mace_run is for another one, or there is no room.
    """
    abis = adb.checked("getprop ro.product.cpu.abilist", "the phone does not tell its ABI")
    if plan.build.abi not in abis.split(","):
        others = [abi for abi in ABIS if abi in abis.split(",")]
        raise PhoneError(
            f"the phone does not run {plan.build.abi}",
            why=f"it runs {abis or 'none that it tells'}",
            hint=f"build MACE for {others[0]}, and say --abi {others[0]}" if others else "",
        )
    needed = sum(path.stat().st_size for path in plan.files.values()) + MARGIN
    free = _free(adb)
    if free is not None and free < needed:
        raise PhoneError(
            "the phone's storage is full",
            why=f"{needed >> 20} MiB are needed in {plan.folder}, {free >> 20} MiB are free",
            hint="delete files on it",
        )


def _free(adb: Adb) -> int | None:
    """Free bytes where everything is pushed; None if the phone does not say."""
    with contextlib.suppress(PhoneError, TimeoutError, ValueError, IndexError):
        reply = adb.shell("df -k /data/local/tmp")
        return int(reply.text.splitlines()[-1].split()[-3]) << 10
    return None


def push(adb: Adb, plan: Plan, tell: Tell) -> None:
    """Bring mace_run, the libraries and the model to the phone.

    Raises:
        PhoneError: it cannot be written there.
    """
    adb.checked(f"mkdir -p {plan.folder}", "a folder cannot be made on the phone")
    for name, path in plan.files.items():
        tell(f"push {name}")
        adb.push(path, str(plan.folder / name))
    run = plan.folder / MACE_RUN
    adb.checked(f"chmod 755 {run}", "mace_run cannot be made executable")


def run_sample(
    adb: Adb, plan: Plan, feeds: Mapping[str, FloatArray], rounds: int, seconds: float
) -> Ran:
    """Run one sample.

    Args:
        adb: of the phone, everything pushed.
        plan: of the run.
        feeds: arrays by input, in the ONNX model's shapes.
        rounds: executions behind the first.
        seconds: how long mace_run may take.

    Raises:
        PhoneError: mace_run fails, hangs, or writes other outputs than it should.
    """
    _push_inputs(adb, plan, feeds)
    _remove_outputs(adb, plan)
    log = _mace_run(adb, plan, rounds, seconds, profiled=False)
    with tempfile.TemporaryDirectory() as scratch:
        outputs = {
            item.name: _output(adb, plan, item, Path(scratch), log) for item in plan.graph.outputs
        }
    version = VERSION.search(log)
    return Ran(outputs, log, release_text(int(version[1], 16)) if version else "")


def profile_sample(
    adb: Adb, plan: Plan, feeds: Mapping[str, FloatArray], rounds: int, seconds: float
) -> str:
    """As `run_sample`; returns the log with the DSP's table, of mace_run or else of the phone.

    Raises:
        ConfigError: MACE prints no table of so many nodes.
        PhoneError: mace_run fails or hangs.
    """
    nodes = len(prepare(plan.graph).nodes)
    if nodes > MOST_ROWS:
        raise ConfigError(
            f"MACE prints no profile of a graph of more than {MOST_ROWS:,} nodes",
            where=str(plan.model),
            why=f"this one executes {nodes:,}, and MACE's runtime would abort",
            hint="cut the model with --split and profile its parts, or count packets with "
            "hexconv device profile",
        )
    _push_inputs(adb, plan, feeds)
    since = phone_time(adb)
    log = _mace_run(adb, plan, rounds, seconds, profiled=True)
    return log if RUN_ORDER in log else f"{log}\n{phone_log(adb, since)}"


def _push_inputs(adb: Adb, plan: Plan, feeds: Mapping[str, FloatArray]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for item in plan.graph.inputs:
            local = Path(scratch) / "input"
            local.write_bytes(to_raw(feeds[item.name], item.data_format))
            adb.push(local, str(plan.folder / plan.input_files[item.name]))


def _remove_outputs(adb: Adb, plan: Plan) -> None:
    files = " ".join(str(plan.folder / file) for file in plan.output_files.values())
    adb.checked(f"rm -f {files}", "outputs of an earlier run cannot be deleted")


def _mace_run(adb: Adb, plan: Plan, rounds: int, seconds: float, *, profiled: bool) -> str:
    """Run it; what does not end in time is stopped, and nothing else."""
    since = phone_time(adb)
    try:
        reply = adb.shell(plan.shell_line(rounds, profiled=profiled, pid=True), seconds)
    except TimeoutError as error:
        with contextlib.suppress(PhoneError, TimeoutError):
            adb.shell(f"kill -9 $(cat {plan.folder / PID})")
        raise hang(adb, seconds, str(error), since) from None
    if reply.code:
        raise failure(adb, reply.code, reply.text, since)
    return reply.text


def _output(adb: Adb, plan: Plan, item: Interface, scratch: Path, log: str) -> FloatArray:
    local = scratch / "output"
    local.unlink(missing_ok=True)
    size = 4 * int(np.prod(item.raw_shape))
    adb.pull(str(plan.folder / plan.output_files[item.name]), local, size)
    content = local.read_bytes() if local.is_file() else b""
    if len(content) != size:
        raise PhoneError(
            f"mace_run wrote {len(content)} bytes of the output '{item.name}', not {size}",
            why=log.strip()[-400:],
        )
    return item.of_raw(from_raw(content, item.raw_shape, item.data_format))


class Reference:
    """The simulator, run as often as the phone was: what it keeps between runs counts."""

    def __init__(self, plan: Plan, executions: int) -> None:
        self._plan, self._executions = plan, executions

    def compare(
        self, feeds: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]
    ) -> list[Comparison]:
        """The phone's outputs against the simulator's of the same sample."""
        simulator = Simulator(self._plan.graph, self._plan.library)
        for _ in range(self._executions):
            expected = simulator.run(feeds)
        return [compared(i, outputs[i.name], expected[i.name]) for i in self._plan.graph.outputs]


def compared(item: Interface, phone: FloatArray, simulated: FloatArray) -> Comparison:
    """One output of the phone against the simulator's."""
    unlike = phone.view(np.uint32) != np.ascontiguousarray(simulated).view(np.uint32)
    count = int(np.count_nonzero(unlike))
    if not count:
        return Comparison(item.name, phone.size)
    first = tuple(int(axis) for axis in np.argwhere(unlike)[0])
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.nanmax(np.abs(phone - simulated)))
    step = (item.range[1] - item.range[0]) / 255.0
    return Comparison(
        item.name,
        phone.size,
        count,
        first,
        float(phone[first]),
        float(simulated[first]),
        largest,
        largest / step if step > 0 else float("nan"),
    )
