"""Recordings and mels from outside: every kind that is accepted, every kind that is rejected."""

import numpy as np
import pytest

from hexconv.errors import FileError, RangeError
from hexconv.models import spectra, wav
from hexconv.models.config import V1

soundfile = pytest.importorskip("soundfile")


def tone(rate, seconds=0.5, level=0.5):
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(
        np.float32
    )


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_every_rate_becomes_the_models(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    heard = wav.read(tmp_path / "a.wav", 22050)
    assert heard.wave.dtype == np.float32 and heard.warnings == ()
    assert abs(heard.wave.size - 11025) <= 1
    middle = slice(2000, 9000)
    assert np.abs(heard.wave[middle] - tone(22050)[: heard.wave.size][middle]).max() < 0.01


def test_channels_are_mixed(tmp_path):
    pair = np.stack([tone(22050), -tone(22050)], axis=1)
    soundfile.write(tmp_path / "a.wav", pair, 22050)
    heard = wav.read(tmp_path / "a.wav", 22050)
    assert heard.wave.ndim == 1 and np.abs(heard.wave).max() < 1e-4


@pytest.mark.parametrize(
    ("wave", "subtype", "warning"),
    [
        (np.zeros(9000), "PCM_16", "silent"),
        (np.clip(4 * tone(22050), -1, 1), "PCM_16", "clipped"),
        (tone(22050), "PCM_U8", "8 bits"),
    ],
)
def test_odd_recordings_are_taken_with_a_warning(tmp_path, wave, subtype, warning):
    soundfile.write(tmp_path / "a.wav", wave, 22050, subtype=subtype)
    heard = wav.read(tmp_path / "a.wav", 22050)
    assert any(warning in text for text in heard.warnings)


def test_an_empty_recording_is_rejected(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 22050)
    with pytest.raises(FileError, match="empty"):
        wav.read(tmp_path / "a.wav", 22050)


def test_values_that_are_not_finite_are_rejected(tmp_path):
    wave = tone(22050)
    wave[5] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 22050, subtype="FLOAT")
    with pytest.raises(FileError, match="not finite"):
        wav.read(tmp_path / "a.wav", 22050)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello"])
def test_what_is_not_sound_is_rejected(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(FileError, match="not a sound file"):
        wav.read(tmp_path / "a.wav", 22050)


def test_missing_files_are_rejected(tmp_path):
    with pytest.raises(FileError, match="no such"):
        wav.read(tmp_path / "none.wav", 22050)
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be written"):
        wav.write(tmp_path / "file" / "a.wav", tone(22050), 22050)


def test_what_is_written_is_read_back(tmp_path):
    wav.write(tmp_path / "a.wav", tone(22050), 22050)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert np.abs(wav.read(tmp_path / "a.wav", 22050).wave - tone(22050)).max() < 1e-4


@pytest.mark.parametrize("shape", [(80, 7), (1, 80, 7)])
def test_a_mel_of_two_or_three_axes_is_taken(tmp_path, shape):
    np.save(tmp_path / "m.npy", np.zeros(shape, np.float64))
    assert spectra.read(tmp_path / "m.npy", V1).shape == (1, 80, 7)


def test_a_raw_mel_has_as_many_frames_as_its_file(tmp_path):
    mel = np.random.default_rng(0).standard_normal((1, 80, 7)).astype("<f4")
    mel.tofile(tmp_path / "m.bin")
    assert np.array_equal(spectra.read(tmp_path / "m.bin", V1), mel)
    for size in (0, 4, 4 * 80 * 7 - 4):
        (tmp_path / "m.bin").write_bytes(bytes(size))
        with pytest.raises(RangeError, match="another size"):
            spectra.read(tmp_path / "m.bin", V1)


@pytest.mark.parametrize(
    "shape", [(7, 80), (2, 80, 7), (1, 80, 0), (80,), (1, 1, 80, 7), (1, 40, 7)]
)
def test_a_mel_of_another_shape_is_rejected(tmp_path, shape):
    np.save(tmp_path / "m.npy", np.zeros(shape, np.float32))
    with pytest.raises(RangeError, match="is expected"):
        spectra.read(tmp_path / "m.npy", V1)


def test_a_mel_that_is_not_finite_is_rejected(tmp_path):
    np.save(tmp_path / "m.npy", np.full((1, 80, 7), np.nan, np.float32))
    with pytest.raises(RangeError, match="not finite"):
        spectra.read(tmp_path / "m.npy", V1)


def test_a_file_that_is_no_mel_is_rejected(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    np.save(tmp_path / "b.npy", np.array(["text"]))
    np.save(tmp_path / "c.npy", np.array([{}], object), allow_pickle=True)
    for name in ("a.npy", "b.npy", "c.npy", "none.npy"):
        with pytest.raises(FileError):
            spectra.read(tmp_path / name, V1)


def test_a_sound_that_inflates_without_end_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr("hexconv.paths.INFLATED", 1 << 16)
    soundfile.write(tmp_path / "speech.flac", tone(22050, 4), 22050)
    assert wav.read(tmp_path / "speech.flac", 22050).wave.size == 4 * 22050
    soundfile.write(tmp_path / "a.flac", np.zeros(1 << 20, np.int16), 22050)
    assert (tmp_path / "a.flac").stat().st_size < 1 << 13
    with pytest.raises(FileError, match="inflate to"):
        wav.read(tmp_path / "a.flac", 22050)


def test_a_rate_that_no_recording_has_is_rejected(tmp_path):
    """A thousand samples at 1 Hz would be 22 million."""
    soundfile.write(tmp_path / "a.wav", tone(22050), 1)
    with pytest.raises(FileError, match="header of the sound file is damaged"):
        wav.read(tmp_path / "a.wav", 22050)
