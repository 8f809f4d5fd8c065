"""The sample voice that ships with hexconv: present, small, and intelligible."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hexconv.models import fidelity, mel, voice

DATA = Path(voice.__file__).parent / "data"


def speak(spectrum):
    session = onnxruntime.InferenceSession(voice.onnx_model().SerializeToString())
    return session.run(None, {"inputs": spectrum})[0].ravel()


def test_the_weights_are_small_and_finite():
    assert (DATA / "voice.npz").stat().st_size < 2e6
    assert all(value.dtype == np.float32 for value in voice.weights().values())


def test_held_out_mels_are_speech():
    mels = voice.mels()
    assert len(mels) >= 3
    for spectrum in mels.values():
        assert spectrum.shape[:2] == (1, 80) and spectrum.dtype == np.float32
        assert spectrum.min() >= np.log(1e-5) - 0.01 and spectrum.std() > 1


def test_a_fixed_length_is_as_requested():
    graph = voice.onnx_model(50, conv2d=True).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 80, 50, 1]


def test_its_speech_has_the_mel_that_it_was_given():
    spectrum = next(iter(voice.mels().values()))
    made = mel.log_mel(speak(spectrum), voice.CONFIG)
    frames = min(made.shape[2], spectrum.shape[2])
    distance = np.abs(made[:, :, :frames] - spectrum[:, :, :frames]).mean()
    # docs/hifigan.md gives the mean over all held-out sentences; noise is beyond 3.
    assert distance < 0.5


def test_it_is_intelligible():
    pytest.importorskip("pystoi")
    soundfile = pytest.importorskip("soundfile")
    wave = soundfile.read(voice.RECORDING, dtype="float32")[0]
    wave = (wave / np.abs(wave).max() * 0.95).astype(np.float32)
    made = speak(mel.log_mel(wave, voice.CONFIG))
    found = fidelity.compare(wave, made, voice.CONFIG)
    assert found.stoi > 0.88
