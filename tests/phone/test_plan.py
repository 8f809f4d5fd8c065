"""What `hexconv phone plan` writes: a script that needs no phone, no adb and no MACE."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import hexconv
from hexconv.raw_tensors import to_raw

from .answers import FOLDER, done, failing
from .conftest import FakePhone, image, random, run, speech


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
    files = told["plan"]["files"]
    assert files["libhexagon_nn_skel.so"].endswith(f"/{library}/libhexagon_nn_skel.so")


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
    )["plan"]  # fmt: skip
    assert told["files"]["testsig-0x1.so"] == "testsig-0x1.so"
    assert told["files"]["mace_run"] == "bin/my_run"
    assert told["files"]["libhexagon_nn_skel.so"] == "skel.so"
    assert told["files"]["libhexagon_controller.so"] == "bin/libhexagon_controller.so"
