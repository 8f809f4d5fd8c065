"""A model on a phone: pushed, run, pulled, compared; and what can be missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hexconv
from hexconv.phone.run import compared

from .answers import done, failing
from .conftest import FakePhone, image, random, run, speech


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
    told = json.loads(done(run("run", model, *arguments)))["phone"]
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
    )["profile"]
    assert all(node["value"] == 0.5 for node in told["nodes"])
    assert told["total"] == pytest.approx(0.5 * len(told["nodes"]))


def test_a_profile_has_a_page_beside_the_model(phone: FakePhone, tmp_path: Path) -> None:
    model = image(tmp_path)
    done(run("profile", model, "--mace", phone.mace, "--html", "-q", "--without-cpu-ops"))
    text = model.with_name(f"{model.stem}.report.html").read_text(encoding="utf-8")
    assert '"id":"measured"' in text and "measured; predicted" in text


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
