"""`hexconv vocode` as a person calls it."""

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hexconv.cli.vocode import command
from hexconv.errors import HexconvError
from hexconv.models import voice

pytest.importorskip("soundfile")


def call(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_a_recording_is_spoken_measured_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    done = call("--wav", voice.RECORDING, "--backend", "onnx", "-o", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.output)["vocode"]
    assert result["backend"] == "onnx" and result["real_time_factor"] > 0
    assert result["against_float"] is None and result["against_recording"]["mel_l1"] < 1
    assert {path.name for path in tmp_path.iterdir()} == {"held.onnx.wav", "held.png"}


def test_torch_is_the_reference_where_it_is_requested(tmp_path):
    pytest.importorskip("torch")
    np.save(tmp_path / "m.npy", next(iter(voice.mels().values()))[0, :, :100])
    done = call(
        "--mel",
        tmp_path / "m.npy",
        "--backend",
        "onnx,torch",
        "--no-picture",
        "-o",
        tmp_path,
        "--json",
    )
    by_name = {result["backend"]: result for result in json.loads(done.output)["vocode"]}
    assert by_name["torch"]["against_float"] is None
    assert by_name["onnx"]["against_float"]["snr"] > 80
    assert by_name["onnx"]["samples"] == 25600


def test_the_table_is_for_people(tmp_path):
    done = call("--wav", voice.RECORDING, "--no-picture", "-o", tmp_path, "--chunk", 100)
    assert done.exit_code == 0 and "recording" in done.output and "RTF" in done.output


def test_a_model_file_is_taken(tmp_path):
    onnx.save(voice.onnx_model(), tmp_path / "v.onnx")
    done = call(
        "--wav",
        voice.RECORDING,
        "--model",
        tmp_path / "v.onnx",
        "--no-picture",
        "-o",
        tmp_path,
        "-q",
    )
    assert done.exit_code == 0 and done.output == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--wav", "a.wav", "--mel", "m.npy"],
        ["--wav", "a.wav", "--backend", "onnx,onnx"],
        ["--wav", "a.wav", "--backend", ","],
        ["--wav", "a.wav", "--config", "c.json"],
        ["--wav", "a.wav", "--chunk", "0"],
    ],
)
def test_wrong_usage_is_reported(arguments):
    assert call(*arguments).exit_code == 2


def test_what_cannot_be_done_is_an_error_of_hexconv(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((1, 40, 9), np.float32))
    for arguments in (
        ["--wav", tmp_path / "none.wav"],
        ["--mel", tmp_path / "m.npy"],
        ["--wav", voice.RECORDING, "--backend", "gpu"],
        ["--wav", voice.RECORDING, "--samples", tmp_path / "nothing"],
    ):
        done = call(*arguments, "-o", tmp_path / "o", "--no-picture")
        assert isinstance(done.exception, HexconvError), done.output
