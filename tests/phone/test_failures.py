"""What can fail on a phone: storage, the push, MACE, the connection; each is explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from hexconv.errors import HexconvError
from hexconv.phone.adb import Adb, Reply
from hexconv.phone.failures import failure

from .answers import FOLDER, failing
from .conftest import FakePhone, executable, run, speech


def attempt(phone: FakePhone, tmp_path: Path, *more: object) -> Result:
    return run("run", speech(tmp_path), "--inputs", "speech.npy", "--mace", phone.mace, *more)


def failed(phone: FakePhone, tmp_path: Path, said: str, *more: object) -> str:
    result = attempt(phone, tmp_path, *more)
    assert isinstance(result.exception, HexconvError), result.exception or result.output
    text = result.exception.render(cli=True)
    assert said in text, text
    return text


@pytest.mark.parametrize("free", ["10", "1000"])
def test_full_storage_is_found_before_anything_is_pushed(
    phone: FakePhone, tmp_path: Path, free: str
) -> None:
    (phone.root / "df").write_text(f"Filesystem 1K-blocks\n/dev/x 9 9 {free} 99% /data\n")
    failed(phone, tmp_path, "storage is full")
    assert not any("push" in call for call in phone.calls)


def test_storage_without_a_known_size_is_tried(phone: FakePhone, tmp_path: Path) -> None:
    executable(phone.root / "bin/df", "#!/bin/sh\nexit 1\n")
    assert attempt(phone, tmp_path).exit_code == 0


@pytest.mark.parametrize(
    "text, said",
    [
        ("write failed: No space left on device", "the phone's storage is full"),
        ("couldn't create file: Permission denied", "the phone does not allow it"),
        ("couldn't create file: Read-only file system", "read-only"),
        ("something else", "the push of"),
    ],
)
def test_a_push_that_fails_says_why(phone: FakePhone, tmp_path: Path, text: str, said: str) -> None:
    phone.set(push=text)
    assert text in failed(phone, tmp_path, said)


ENDS = [
    ("abort:hexagon_dsp_wrapper.cc:152 Check failed: hexagon_nn_config() == 0 hexagon config error",
     "does not load libhexagon_nn_skel.so", "SetHexagonToUnsignedPD"),
    ("abort:hexagon_dsp_wrapper.cc:571 Check failed: res == 0 execute error, res = -1",
     "cannot execute the graph", "hexconv device run"),
    ("abort:hexagon_dsp_wrapper.cc:330 Check failed: hexagon_nn_prepare failed",
     "cannot prepare the graph", "hexconv device run"),
    ("abort:hexagon_dsp_wrapper.cc:310 Check failed: append node error",
     "does not take the graph", "--soc"),
    ("abort:mace_engine.cc:260 Check failed: load NetDef failed.", "cannot read the .pb", "v1.1.1"),
    ('exit:CANNOT LINK EXECUTABLE "./mace_run": library "libc++_shared.so" not found',
     "a library that mace_run needs", "libc++_shared.so"),
    ('exit:CANNOT LINK EXECUTABLE "./mace_run": "x.so" is 32-bit instead of 64-bit',
     "built for another ABI", "--abi"),
    ("exit:ERROR: unknown command line flag 'benchmark'", "does not know a flag", "v1.1.1"),
    ("segfault", "was ended by SIGSEGV", "hexconv device run"),
    ("exit:something unknown", "ended with code 1", "hexconv device run"),
]  # fmt: skip


class Silent(Adb):
    """A phone of which only the log is asked."""

    def __init__(self, log: str) -> None:
        super().__init__("adb", "A1")
        self.log = log

    def shell(self, command: str, seconds: float | None = None) -> Reply:
        """Its log."""
        assert command.startswith("logcat -d -T ")
        return Reply(0, self.log)


@pytest.mark.parametrize("behaviour, said, hint", ENDS, ids=[end[1] for end in ENDS])
def test_the_end_of_mace_run_is_explained_from_its_output_and_the_phones_log(
    behaviour: str, said: str, hint: str
) -> None:
    kind, _, text = behaviour.partition(":")
    code = {"abort": 134, "exit": 1, "segfault": 139}[kind]
    log = f"11-22 16:31:07.125  9321  9321 F MACE    : {text}" if kind == "abort" else ""
    printed = text if kind == "exit" else ""
    told = failure(Silent(log), code, printed, "11-22 16:31").render(cli=True)
    assert said in told and hint in told
    if kind == "abort":
        assert "SIGABRT" in told and f"logcat: {log}" in told


@pytest.mark.parametrize("behaviour, said, hint", [ENDS[1], ENDS[5], ENDS[8]])
def test_a_crash_is_an_error_with_the_lines_that_tell_most(
    phone: FakePhone, tmp_path: Path, behaviour: str, said: str, hint: str
) -> None:
    phone.behave(behaviour)
    assert hint in failed(phone, tmp_path, said)


def test_a_hang_is_stopped_by_the_number_of_its_process(phone: FakePhone, tmp_path: Path) -> None:
    phone.behave("hang")
    text = failed(phone, tmp_path, "did not end within 3 s", "--timeout", "3")
    assert "Warm up run" in text and "--timeout" in text
    (kill,) = [call[-1] for call in phone.calls if "kill" in call[-1]]
    assert kill.startswith(f"kill -9 $(cat {FOLDER}/mace_run.pid)")
    number = (phone.root / "data/local/tmp/hexconv/net/mace_run.pid").read_text().strip()
    assert not Path(f"/proc/{number}").exists()


def test_outputs_that_are_too_short_are_an_error(phone: FakePhone, tmp_path: Path) -> None:
    phone.behave("short")
    failed(phone, tmp_path, "wrote 284 bytes of the output 'fa_out', not 288")


def test_a_phone_that_goes_away_is_an_error(phone: FakePhone, tmp_path: Path) -> None:
    phone.set(gone="chmod")
    failed(phone, tmp_path, "did not run a command")


def test_a_phone_that_stops_responding_is_an_error(
    phone: FakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexconv.phone.adb.SECONDS", 2.0)
    phone.set(silent="abilist")
    failed(phone, tmp_path, "the phone does not respond")


def test_an_old_adb_without_exit_codes_is_understood(phone: FakePhone, tmp_path: Path) -> None:
    phone.set(old=True)
    assert attempt(phone, tmp_path).exit_code == 0
    phone.behave("exit:something")
    failed(phone, tmp_path, "ended with code 1")


@pytest.mark.parametrize("names", [("a.b", "a_b"), ("a,b", "c")])
def test_names_that_mace_run_cannot_take_are_an_error(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    from onnx import helper

    from .conftest import saved

    node = helper.make_node("Add", list(names), ["y"])
    shapes = dict.fromkeys(names, (2, 3))
    model = saved(tmp_path, "add", [node], shapes, {"y": (2, 3)}, {})
    failing("plan", model, said="mace_run", code=2)
