"""Stands in for adb and for the phone behind it: a folder is its storage, `sh` its shell.

FAKE_PHONE names a JSON file: the phones that are connected, and how the one that can be used
behaves. Texts and exit codes are those of adb 29 and of Android's toybox.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

STORAGE = "/data/local/tmp"
WITHOUT_KEY = """\
error: device unauthorized.
This adb server's $ADB_VENDOR_KEYS is not set
Try 'adb kill-server' if that seems wrong.
Otherwise check for a confirmation dialog on your device."""


def fail(text: str, code: int = 1) -> None:
    sys.stderr.write(text + "\n")
    sys.exit(code)


def chosen(phones: list[list[str]], serial: str) -> str:
    """The serial number of the phone that a command is for, as adb chooses it."""
    found = [phone for phone in phones if not serial or phone[0] == serial]
    if not found:
        fail(
            f"error: device '{serial}' not found" if serial else "error: no devices/emulators found"
        )
    if len(found) > 1:
        fail("error: more than one device/emulator")
    name, state = found[0]
    if state == "unauthorized":
        fail(WITHOUT_KEY)
    if state != "device":
        fail(f"error: device {state}")
    return name


def here(told: dict[str, Any], text: str) -> str:
    """Paths of the phone as paths of its folder."""
    root = told["root"]
    for path in (STORAGE, "/sys/devices"):
        text = text.replace(path, root + path)
    return text


def shell(told: dict[str, Any], command: str) -> int:
    if told.get("gone") and told["gone"] in command:
        fail("error: closed")
    if told.get("silent") and told["silent"] in command:
        import time

        time.sleep(3600)
    bin_ = Path(told["root"]) / "bin"
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "PHONE": told["root"]}
    run = subprocess.run(["sh", "-c", here(told, command)], env=environment, check=False)
    if told.get("old"):  # Android 6: no exit code
        return 0
    return run.returncode if run.returncode >= 0 else 128 - run.returncode


def push(told: dict[str, Any], source: str, target: str) -> None:
    path = Path(here(told, target))
    if told.get("push") and Path(source).stat().st_size >= told.get("push_from", 0):
        fail(f"adb: error: failed to copy '{source}' to '{target}': remote {told['push']}")
    if not path.parent.is_dir():
        fail(
            f"adb: error: failed to copy '{source}' to '{target}': "
            f"remote couldn't create file: No such file or directory"
        )
    shutil.copy(source, path)
    print(f"{source}: 1 file pushed.")


def pull(told: dict[str, Any], source: str, target: str) -> None:
    path = Path(here(told, source))
    if not path.is_file():
        fail(f"adb: error: failed to stat remote object '{source}': No such file or directory")
    shutil.copy(path, target)
    print(f"{source}: 1 file pulled.")


def main(arguments: list[str]) -> int:
    told = json.loads(Path(os.environ["FAKE_PHONE"]).read_text())
    with Path(told["root"], "adb.log").open("a") as log:
        log.write(json.dumps(arguments) + "\n")
    if told.get("daemon"):
        fail("* daemon not running; starting now at tcp:5037\n" + told["daemon"])
    serial = ""
    if arguments[0] == "-s":
        serial, arguments = arguments[1], arguments[2:]
    verb, *rest = arguments
    if verb == "devices":
        print("List of devices attached")
        print("\n".join("\t".join(phone) for phone in told["phones"]), end="\n\n")
        return 0
    chosen(told["phones"], serial)
    if verb == "shell":
        return shell(told, " ".join(rest))
    {"push": push, "pull": pull}[verb](told, *rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
