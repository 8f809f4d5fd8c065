"""Log-mels: the official recipe, in numpy."""

from pathlib import Path

import numpy as np
import pytest

from hexconv.errors import RangeError
from hexconv.models import config, mel

# Written by tests/models/record_librosa.py with librosa 0.11.
LIBROSA = np.load(Path(__file__).with_name("librosa.npz"))
BANKS = ((22050, 1024, 80), (16000, 512, 40))


def noise(samples):
    return np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)


def test_the_frame_count_of_the_field():
    spectrum = mel.log_mel(noise(41885))
    assert spectrum.shape == (1, 80, 163) and spectrum.dtype == np.float32
    assert mel.frame_count(41885) * config.V1.hop_size == 41728


def test_silence_is_the_floor():
    spectrum = mel.log_mel(np.zeros(4096, np.float32))
    assert np.allclose(spectrum, np.log(1e-5))


def test_the_shortest_wave_is_one_frame():
    shortest = mel.smallest_length()
    assert mel.log_mel(noise(shortest)).shape == (1, 80, 1)
    with pytest.raises(RangeError, match="too short"):
        mel.log_mel(noise(shortest - 1))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_values_that_are_not_finite_are_rejected(broken):
    wave = noise(4096)
    wave[7] = broken
    with pytest.raises(RangeError, match="not finite"):
        mel.log_mel(wave)


def test_a_wave_has_one_axis():
    with pytest.raises(RangeError, match="one axis"):
        mel.log_mel(noise(4096).reshape(2, -1))


def test_the_mel_scale_returns():
    hz = np.array([0.0, 440.0, 999.0, 1000.0, 4000.0, 8000.0])
    assert np.allclose(mel.mel_to_hz(mel.hz_to_mel(hz)), hz)


@pytest.mark.parametrize(("rate", "size", "bands"), BANKS)
def test_the_filter_bank_is_librosas(rate, size, bands):
    theirs = LIBROSA[f"bank_{rate}"]
    assert np.abs(mel.filter_bank(rate, size, bands, 0, 8000) - theirs).max() < 1e-5


def test_the_spectrum_is_librosas():
    expected = np.sqrt(LIBROSA["magnitudes"].astype(np.float64) ** 2 + 1e-9)
    # librosa sums in float32; its values reach 50 here.
    assert np.abs(mel.magnitudes(noise(4096)) - expected).max() < 1e-5 * expected.max()


def test_the_log_mel_is_torchs():
    torch = pytest.importorskip("torch")
    wave = noise(41885)
    padded = torch.nn.functional.pad(torch.from_numpy(wave)[None, None], (384, 384), "reflect")[0]
    window = torch.hann_window(1024)
    spectrum = torch.stft(padded, 1024, 256, 1024, window, center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.abs() ** 2 + 1e-9)
    bank = torch.from_numpy(mel.filter_bank(22050, 1024, 80, 0, 8000))
    expected = torch.log(torch.clamp(bank @ magnitude, min=1e-5)).numpy()
    assert np.abs(mel.log_mel(wave) - expected).max() < 1e-5
