"""Android's adb: its commands, their time limits, and what its errors mean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hexconv.errors import PhoneError
from hexconv.names import did_you_mean

SECONDS = 30.0
"""For a command that moves no data."""

BYTES_A_SECOND = 500_000
"""A slow cable, wireless adb: what pushes and pulls are given time for."""

MARK = "hexconv-exit="
"""Adb of Android 6 and earlier does not return the exit code of the phone's shell."""

INSTALL = (
    "apt install adb, or Android's platform-tools: developer.android.com/tools/releases/"
    "platform-tools; then put it into PATH"
)
STATES = {
    "unauthorized": "unlock it and accept the question 'Allow USB debugging?' on its screen",
    "authorizing": "wait a moment, and accept the question on its screen",
    "offline": "plug it in again, or run: adb reconnect offline",
    "no permissions": "give your user access to the USB device: Android's udev rules, "
    "apt install android-sdk-platform-tools-common",
    "recovery": "it is in recovery mode: reboot it to the system with adb reboot",
    "sideload": "it is in sideload mode: reboot it to the system with adb reboot",
    "bootloader": "it is in the bootloader: reboot it to the system with fastboot reboot",
}
"""What to do about a phone that is connected and cannot be used."""

STORAGE = "adb shell has to write into /data/local/tmp; no other folder is used, and no root"
MEANINGS = (
    ("unauthorized", "the phone does not trust this computer", STATES["unauthorized"]),
    ("device offline", "the phone does not respond", STATES["offline"]),
    ("device still (authorizing|connecting)", "the phone is not ready", STATES["authorizing"]),
    ("no devices/emulators found", "the phone is gone", "plug it in again"),
    ("device '[^']*' not found", "the phone is gone", "plug it in again"),
    ("more than one device", "there are several phones", "say which: --serial"),
    ("cannot connect to daemon", "adb's server does not start", "run adb kill-server, then again"),
    ("no space left", "the phone's storage is full", "delete files on it"),
    ("read-only file system", "the phone's storage is read-only", STORAGE),
    ("permission denied", "the phone does not allow it", STORAGE),
)
"""What adb and the phone's shell say (regular expressions), what it means, what to do."""


@dataclass(frozen=True)
class Reply:
    """What a command printed, standard error among it, and its exit code."""

    code: int
    text: str


@dataclass(frozen=True)
class Listed:
    """A line of `adb devices`."""

    serial: str
    state: str


class Adb:
    """The adb program, and once `choose` was called, one phone.

    Args:
        program: its path.
        serial: of the phone.
    """

    def __init__(self, program: str, serial: str = "") -> None:
        self.program, self.serial = program, serial

    @classmethod
    def find(cls) -> Adb:
        """The adb of this computer: of the variable ADB, else of PATH.

        Raises:
            PhoneError: there is none.
        """
        program = os.environ.get("ADB") or shutil.which("adb")
        if not program or shutil.which(program) is None:
            raise PhoneError("adb is not installed", hint=INSTALL)
        return cls(program)

    def devices(self) -> list[Listed]:
        """Every phone that is connected.

        Raises:
            PhoneError: adb's server does not start.
        """
        reply = self._run(["devices"], SECONDS)
        if reply.code:
            raise _meant("adb lists no phones", reply)
        found = []
        for line in reply.text.splitlines():
            serial, tab, state = line.partition("\t")
            if tab and serial.strip():
                found.append(Listed(serial.strip(), state.strip()))
        return found

    def choose(self, serial: str = "") -> Adb:
        """The one phone that is there, or the one of a serial number.

        Raises:
            PhoneError: there is none, there are several, or it cannot be used.
        """
        found = self.devices()
        if not found:
            raise PhoneError(
                "no phone is connected",
                hint="plug it in with USB debugging switched on (Settings, Developer options); "
                "adb devices lists it",
            )
        usable = [item for item in found if item.state == "device"]
        if serial:
            return self._of_serial(serial, found)
        if len(usable) > 1:
            listed = _serials(usable)
            raise PhoneError(
                f"{len(usable)} phones are connected: {listed}", hint="say which: --serial"
            )
        if not usable:
            raise _unusable(found[0], len(found))
        return Adb(self.program, usable[0].serial)

    def _of_serial(self, serial: str, found: Sequence[Listed]) -> Adb:
        for item in found:
            if item.serial == serial:
                if item.state != "device":
                    raise _unusable(item, 1)
                return Adb(self.program, serial)
        known = [item.serial for item in found]
        raise PhoneError(
            f"no phone with the serial number '{serial}' is connected",
            hint=f"{did_you_mean(serial, known)}there is {_serials(found)}",
        )

    def shell(self, command: str, seconds: float | None = None) -> Reply:
        """Run a line in the phone's shell.

        Raises:
            PhoneError: the phone cannot be reached.
            TimeoutError: the time is over; what was printed so far is its argument.
        """
        reply = self._run(["shell", f"{command}; echo {MARK}$?"], seconds or SECONDS)
        text, mark, code = reply.text.rpartition(MARK)
        if not mark:
            raise _meant("the phone did not run a command", reply, command)
        return Reply(int(code.strip() or 1), text)

    def checked(self, command: str, what: str) -> str:
        """As `shell`, for a command that must not fail.

        Raises:
            PhoneError: it fails; `what` says what could not be done.
        """
        try:
            reply = self.shell(command)
        except TimeoutError:
            raise _silent(command) from None
        if reply.code:
            raise _meant(what, reply, command)
        return reply.text.strip()

    def push(self, source: Path, target: str) -> None:
        """Bring a file to the phone.

        Raises:
            PhoneError: it cannot be written there.
        """
        self._moved(["push", str(source), target], source.stat().st_size, f"push of {source}")

    def pull(self, source: str, target: Path, size: int) -> None:
        """Fetch a file of about `size` bytes from the phone.

        Raises:
            PhoneError: it cannot be read there.
        """
        self._moved(["pull", source, str(target)], size, f"pull of {source}")

    def _moved(self, arguments: Sequence[str], size: int, what: str) -> None:
        try:
            reply = self._run(arguments, SECONDS + size / BYTES_A_SECOND)
        except TimeoutError:
            raise _silent(what) from None
        if reply.code or "adb: error" in reply.text:
            raise _meant(f"the {what} failed", reply)

    def _run(self, arguments: Sequence[str], seconds: float) -> Reply:
        """Run adb; its two streams are one, as the phone's often are."""
        chosen = ["-s", self.serial] if self.serial else []
        with subprocess.Popen(
            [self.program, *chosen, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                printed, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise TimeoutError(_text(error.stdout or b"")) from None
            except BaseException:
                process.kill()
                raise
        return Reply(process.returncode, _text(printed))


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", "replace").replace("\r\n", "\n")


def _serials(items: Sequence[Listed]) -> str:
    return ", ".join(f"{item.serial} ({item.state})" for item in items)


def _unusable(item: Listed, count: int) -> PhoneError:
    hints = [hint for state, hint in STATES.items() if item.state.startswith(state)]
    others = f"; none of the {count} phones can be used" if count > 1 else ""
    return PhoneError(
        f"the phone {item.serial} cannot be used: it is '{item.state}'{others}",
        hint=hints[0] if hints else "adb devices must list it as 'device'",
    )


def _silent(command: str) -> PhoneError:
    return PhoneError(
        "the phone does not respond", where=command, hint="plug it in again, or adb kill-server"
    )


def _meant(what: str, reply: Reply, command: str = "") -> PhoneError:
    """An error of adb or of the phone's shell, with what it means where that is known."""
    said = " ".join(reply.text.split()) or f"exit code {reply.code}"
    for text, meaning, hint in MEANINGS:
        if re.search(text, said.lower()):
            return PhoneError(f"{what}: {meaning}", where=command, why=said[-400:], hint=hint)
    return PhoneError(what, where=command, why=said[-400:])
