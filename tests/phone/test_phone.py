"""A model on a phone: pushed, run, pulled, compared; and each thing that can be missing or fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import hexconv
from hexconv.errors import HexconvError
from hexconv.phone.adb import Adb, Reply
from hexconv.phone.failures import failure
from hexconv.phone.run import compared
from hexconv.raw_tensors import to_raw

from .conftest import FakePhone, executable, image, random, run, speech

FOLDER = "/data/local/tmp/hexconv/net"


def done(result: Result) -> str:
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def failing(*arguments: object, said: str, code: int = 1) -> str:
    """The text of the one clear error that a command ends in."""
    result = run(*arguments)
    assert isinstance(result.exception, HexconvError), result.exception or result.output
    text = result.exception.render(cli=True)
    assert said in text, text
    assert result.exception.exit_code == code
    return text


# ---- plan


def test_a_plan_needs_no_phone_no_adb_and_no_mace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADB", "/nowhere/adb")
    monkeypatch.delenv("MACE", raising=False)
    text = done(run(speech(tmp_path)))
    for part in (
        "adb push",
        '"$MACE/third_party/nnlib/v66/libhexagon_nn_skel.so"',
        "libhexagon_controller.so",
        "libc++_shared.so",
        "--input_shape=1,1,9,16",
        "--output_shape=1,9,8",
        "--input_data_format=NONE",
        "--input_file=in",
        f"ADSP_LIBRARY_PATH={FOLDER}",
        "MACE_CPP_MIN_VLOG_LEVEL=1",
        f"adb pull {FOLDER}/out_fa_out",
        "SetHexagonToUnsignedPD",
        "testsig",
        "in_speech: the input 'speech', raw little-endian float32, 1x9x16",
    ):
        assert part in text, part


def test_a_plan_may_be_asked_for_in_either_order(tmp_path: Path) -> None:
    model = speech(tmp_path)
    assert done(run(model)) == done(run("plan", model)) == done(run(model, "plan"))


def test_a_plan_is_a_script_that_a_shell_runs(phone: FakePhone, tmp_path: Path) -> None:
    model = image(tmp_path)
    (tmp_path / "in_an_image").write_bytes(to_raw(random(1, 3, 8, 6)))
    (tmp_path / "in_x").write_bytes(to_raw(random(7)))
    bin_ = Path(shutil.which("sh") or "").parent
    ran = subprocess.run(
        ["sh", "-e"],
        input=done(run("plan", model, "--soc", "sd845")).split("# the DSP's own")[0],
        env={
            "PATH": f"{tmp_path / 'bin'}:{bin_}",
            "MACE": str(phone.mace),
            "FAKE_PHONE": str(phone.config),
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    feeds = {"an image": random(1, 3, 8, 6), "x": random(7)}
    right = hexconv.simulate(hexconv.load(model), feeds, library="v65")
    assert (tmp_path / "out__conv_1_0").read_bytes() == to_raw(right["/conv.1:0"])
    assert (tmp_path / "out_y").read_bytes() == to_raw(right["y"])


@pytest.mark.parametrize(
    "soc, library",
    [
        ("v60", "v60"), ("sd835", "v60"), ("SD855", "v66"), ("321", "v65"), ("356", "v66"),
        ("sd730g", "v65"),
    ],
)  # fmt: skip
def test_the_library_is_that_of_the_soc(tmp_path: Path, soc: str, library: str) -> None:
    told = json.loads(done(run("plan", speech(tmp_path), "--soc", soc, "--json")))
    assert told["library"] == library
    assert told["files"]["libhexagon_nn_skel.so"].endswith(f"/{library}/libhexagon_nn_skel.so")


@pytest.mark.parametrize(
    "soc, said",
    [
        ("sd85", "did you mean"),
        ("246", "no Hexagon NN library for the Snapdragon 820"),
        ("99999", "not in MACE's table"),
    ],
)
def test_an_unknown_soc_is_an_error(tmp_path: Path, soc: str, said: str) -> None:
    failing("plan", speech(tmp_path), "--soc", soc, said=said, code=2)


def test_a_test_signature_and_other_files_are_pushed_as_they_are_given(tmp_path: Path) -> None:
    told = json.loads(
        done(
            run(
                "plan", speech(tmp_path), "--testsig", "testsig-0x1.so", "--mace-run", "bin/my_run",
                "--library-file", "skel.so", "--json",
            )
        )
    )  # fmt: skip
    assert told["files"]["testsig-0x1.so"] == "testsig-0x1.so"
    assert told["files"]["mace_run"] == "bin/my_run"
    assert told["files"]["libhexagon_nn_skel.so"] == "skel.so"
    assert told["files"]["libhexagon_controller.so"] == "bin/libhexagon_controller.so"


# ---- run


def test_a_model_runs_and_gives_the_simulators_bits(phone: FakePhone, tmp_path: Path) -> None:
    result = run("run", speech(tmp_path), "--inputs", "speech.npy", "--mace", phone.mace)
    text = done(result)
    assert "library v66, release 2.26.1 (0x21a01 in MACE's log)" in text
    assert "fa_out: 72 values, the simulator's bits" in text
    assert "R58M12345: Snapdragon 855" in result.stderr
    assert all(call[:2] == ["-s", "R58M12345"] for call in phone.calls if call != ["devices"])


@pytest.mark.parametrize("formats", [{}, {"an image": "NHWC", "/conv.1:0": "NHWC"}])
def test_several_inputs_and_outputs_in_any_format(
    phone: FakePhone, tmp_path: Path, formats: dict[str, str]
) -> None:
    model = image(tmp_path, data_formats=formats)
    arguments = ("--inputs", "an image=an_image.npy", "--inputs", "x=x.npy", "--mace", phone.mace)
    text = done(run("run", model, *arguments))
    assert "/conv.1:0: 240 values, the simulator's bits" in text
    assert "y: 4 values, the simulator's bits" in text


def test_a_mace_run_without_cpu_ops_reads_a_folder(phone: FakePhone, tmp_path: Path) -> None:
    arguments = ("--inputs", "an image=an_image.npy", "--inputs", "x=x.npy", "--mace", phone.mace)
    text = done(run("run", image(tmp_path), *arguments, "--without-cpu-ops"))
    assert text.count("the simulator's bits") == 2
    line = next(call[-1] for call in phone.calls if "mace_run --" in call[-1])
    assert "--input_dir=in" in line and "--round" not in line


def test_a_value_that_differs_is_shown_and_makes_the_exit_code_3(
    phone: FakePhone, tmp_path: Path
) -> None:
    phone.behave("differ")
    result = run("run", speech(tmp_path), "--inputs", "speech.npy", "--mace", phone.mace)
    assert result.exit_code == 3
    assert "fa_out: 1 of 72 values differ, first at [0, 0, 3]" in result.stdout
    assert "largest difference 0.25" in result.stdout and "LSB" in result.stdout


def test_samples_are_run_one_by_one_and_json_is_for_machines(
    phone: FakePhone, tmp_path: Path
) -> None:
    model = speech(tmp_path)
    np.save("many.npy", np.concatenate([random(1, 9, 16), -random(1, 9, 16)]))
    arguments = ("--inputs", "many.npy", "--mace", phone.mace, "--samples", "5", "--json")
    told = json.loads(done(run("run", model, *arguments)))
    assert told["exact"] and len(told["samples"]) == 2
    assert told["release"].startswith("2.26.1")


def test_nothing_is_done_in_a_dry_run(phone: FakePhone, tmp_path: Path) -> None:
    model = speech(tmp_path)
    (tmp_path / "s.bin").write_bytes(b"")
    text = done(run("run", model, "--inputs", "s.bin", "--serial", "X Y", "--dry-run"))
    assert "adb -s 'X Y' push s.bin" in text and not phone.calls
    assert "hexconv profile" not in text
    assert "hexconv profile" in done(run("profile", model, "--dry-run"))


def test_what_is_compared_are_bits() -> None:
    item = hexconv.nnlib.graph.Interface(
        "y", (4,), hexconv.nnlib.layout.Layout.plain(1), (-1.0, 1.0)
    )
    one = np.array([0.0, 1.0, np.nan, 2.0], np.float32)
    assert compared(item, one, one.copy()).differing == 0
    other = compared(item, np.array([-0.0, 1.0, np.nan, 2.5], np.float32), one)
    assert (other.differing, other.first, other.largest) == (2, (0,), 0.5)


# ---- what is missing


def test_without_adb_the_error_says_where_it_is_to_be_had(
    phone: FakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = speech(tmp_path)
    monkeypatch.setenv("ADB", str(tmp_path / "nowhere"))
    text = failing("run", model, "--inputs", "speech.npy", "--mace", phone.mace, said="adb is not")
    assert "apt install adb" in text


@pytest.mark.parametrize(
    "phones, said, hint",
    [
        ([], "no phone is connected", "USB debugging"),
        ([["A1", "unauthorized"]], "it is 'unauthorized'", "accept the question"),
        ([["A1", "offline"]], "it is 'offline'", "reconnect"),
        ([["A1", "no permissions (user in plugdev group; are your udev rules wrong?)"]],
         "no permissions", "udev"),
        ([["A1", "recovery"]], "it is 'recovery'", "adb reboot"),
        ([["A1", "authorizing"], ["B2", "offline"]], "none of the 2 phones", "accept"),
        ([["A1", "device"], ["B2", "device"]], "2 phones are connected: A1 (device), B2", "serial"),
        ([["A1", "strange"]], "it is 'strange'", "must list it as 'device'"),
    ],
)  # fmt: skip
def test_a_phone_that_cannot_be_used_is_an_error_with_what_to_do(
    phone: FakePhone, tmp_path: Path, phones: list[list[str]], said: str, hint: str
) -> None:
    phone.set(phones=phones)
    text = failing(
        "run", speech(tmp_path), "--inputs", "speech.npy", "--mace", phone.mace, said=said
    )
    assert hint in text


def test_of_two_phones_the_one_named_is_used(phone: FakePhone, tmp_path: Path) -> None:
    phone.set(phones=[["A1", "device"], ["B2", "device"], ["C3", "offline"]])
    model = speech(tmp_path)
    arguments = ("run", model, "--inputs", "speech.npy", "--mace", phone.mace)
    assert "the simulator's bits" in done(run(*arguments, "--serial", "B2"))
    assert {call[1] for call in phone.calls if call[0] == "-s"} == {"B2"}
    assert "there is A1 (device), B2 (device), C3 (offline)" in failing(
        *arguments, "--serial", "A2", said="serial number 'A2'"
    )
    failing(*arguments, "--serial", "C3", said="it is 'offline'")


def test_a_phone_beside_others_that_cannot_be_used_is_taken(
    phone: FakePhone, tmp_path: Path
) -> None:
    phone.set(phones=[["A1", "unauthorized"], ["B2", "device"]])
    done(run("run", speech(tmp_path), "--inputs", "speech.npy", "--mace", phone.mace))


def test_adbs_server_that_does_not_start_is_an_error(phone: FakePhone, tmp_path: Path) -> None:
    phone.set(daemon="ADB server didn't ACK\nerror: cannot connect to daemon")
    model = speech(tmp_path)
    text = failing(
        "run", model, "--inputs", "speech.npy", "--mace", phone.mace, said="server does not start"
    )
    assert "kill-server" in text


@pytest.mark.parametrize(
    "name",
    ["mace_run", "libc++_shared.so", "libhexagon_controller.so", "libhexagon_nn_skel.so"],
)
def test_a_file_that_is_not_there_is_named(phone: FakePhone, tmp_path: Path, name: str) -> None:
    for path in phone.mace.rglob(name):
        path.unlink()
    model = speech(tmp_path)
    text = failing("run", model, "--inputs", "speech.npy", "--mace", phone.mace, said=name, code=2)
    assert "--mace-run" in text and str(phone.mace) in text


def test_without_mace_the_error_says_what_to_give(phone: FakePhone, tmp_path: Path) -> None:
    text = failing(
        "run", speech(tmp_path), "--inputs", "speech.npy", said="mace_run is missing", code=2
    )
    assert "--mace" in text


def test_a_phone_of_another_maker_is_told_apart(phone: FakePhone, tmp_path: Path) -> None:
    (phone.root / "sys/devices/soc0/soc_id").unlink()
    model = speech(tmp_path)
    arguments = ("run", model, "--inputs", "speech.npy", "--mace", phone.mace)
    text = failing(*arguments, said="SoC")
    assert "--soc" in text
    done(run(*arguments, "--soc", "v65"))


def test_an_unknown_soc_of_a_phone_is_named(phone: FakePhone, tmp_path: Path) -> None:
    phone.soc("98765")
    model = speech(tmp_path)
    failing("run", model, "--inputs", "speech.npy", "--mace", phone.mace, said="98765", code=2)


def test_a_phone_that_does_not_run_the_abi_is_an_error(phone: FakePhone, tmp_path: Path) -> None:
    (phone.root / "abilist").write_text("armeabi-v7a,armeabi\n")
    model = speech(tmp_path)
    text = failing(
        "run", model, "--inputs", "speech.npy", "--mace", phone.mace, said="does not run arm64-v8a"
    )
    assert "--abi armeabi-v7a" in text


# ---- what fails on the phone


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


# ---- profile


@pytest.mark.parametrize("behaviour", ["ok", "logcat"])
def test_a_profile_is_laid_beside_the_prediction(
    phone: FakePhone, tmp_path: Path, behaviour: str
) -> None:
    phone.behave(behaviour)
    text = done(run("profile", speech(tmp_path), "--mace", phone.mace, "-o", "phone.log"))
    assert "ms on the DSP" in text and "predicted for SD855" in text
    assert "0.500" in text
    line = next(call[-1] for call in phone.calls if "mace_run --" in call[-1])
    assert "MACE_CPP_MIN_VLOG_LEVEL=1" in line and "--benchmark=true" in line
    read = hexconv.cost.logs.read_log(tmp_path / "phone.log")
    assert read.nodes


def test_a_profile_as_json_has_each_node(phone: FakePhone, tmp_path: Path) -> None:
    model = image(tmp_path)
    told = json.loads(
        done(run("profile", model, "--mace", phone.mace, "--json", "--without-cpu-ops"))
    )
    assert all(node["after"] == 0.5 for node in told["nodes"])
    assert told["milliseconds"] == pytest.approx(0.5 * len(told["nodes"]))


def test_a_graph_too_large_for_maces_table_is_told_before_it_runs(
    phone: FakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexconv.phone.run.MOST_ROWS", 2)
    model = speech(tmp_path)
    failing("profile", model, "--mace", phone.mace, said="more than 2 nodes", code=2)


# ---- Debian's adb, without a phone


@pytest.mark.skipif(shutil.which("adb") is None, reason="needs adb")
def test_the_real_adb_without_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = "15037"
    monkeypatch.delenv("ADB", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        text = failing("run", speech(tmp_path), "--inputs", tmp_path / "speech.npy", said="phone")
        assert "no phone is connected" in text
    finally:
        subprocess.run(["adb", "kill-server"], capture_output=True, check=False)


def test_the_command_is_found_by_its_name() -> None:
    root = Path(hexconv.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-m", "hexconv", "phone", "--help"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0 and "plan" in ran.stdout and "profile" in ran.stdout
