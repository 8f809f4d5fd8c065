"""One utterance on several backends, complete and in chunks."""

import dataclasses

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.errors import ConfigError, FileError, ModelError
from hexconv.models import chunks, config, fidelity, layers, onnx_writer, vocoder, voice

SMALL = config.GeneratorConfig("2", (8, 8, 4), (16, 16, 8), 16, (3,), ((1, 3),))


@pytest.fixture(scope="module")
def spectrum():
    return next(iter(voice.mels().values()))[:, :, :150]


@given(st.integers(1, 400), st.integers(0, 12), st.integers(1, 60))
def test_chunks_cover_every_frame_once_far_from_their_edges(frames, overlap, more):
    size = 2 * overlap + more
    done = 0
    for part in chunks.plan(frames, size, overlap):
        assert part.keep_from == done and part.keep_to > done and part.start >= 0
        assert part.start == 0 or part.keep_from >= part.start + overlap
        end = part.start + size
        assert part.keep_to <= end and (part.keep_to == frames or part.keep_to <= end - overlap)
        assert frames <= size or end <= frames
        done = part.keep_to
    assert done == frames


@pytest.mark.parametrize("size", [17, 64, 149, 150])
def test_chunks_join_without_a_seam(spectrum, size):
    whole = vocoder.small_voice()
    cut = dataclasses.replace(whole, chunk=size)
    expected = vocoder.speak("onnx", whole, spectrum).wave
    # The kernels of ONNX Runtime sum in another order for another length.
    assert np.abs(vocoder.speak("onnx", cut, spectrum).wave - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["onnx", "simulate"])
def test_a_long_mel_is_cut_where_its_tensors_are_too_large(spectrum, name, monkeypatch):
    whole = vocoder.speak("onnx", vocoder.small_voice(), spectrum).wave
    monkeypatch.setattr(vocoder, "LARGEST", 64 * 4096)  # of the voice: frames of 4096 values
    seen, plan = [], chunks.plan
    monkeypatch.setattr(vocoder.chunks, "plan", lambda *a: seen.append(a) or plan(*a))
    cut = vocoder.speak(name, vocoder.small_voice(), spectrum).wave
    assert seen == [(150, 64, voice.CONFIG.receptive_frames)]
    if name == "onnx":
        np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_a_short_mel_is_filled_up(spectrum):
    cut = vocoder.small_voice(chunk=64)
    assert vocoder.speak("onnx", cut, spectrum[:, :, :10]).wave.shape == (2560,)


def test_a_chunk_within_the_receptive_field_is_rejected(spectrum):
    cut = vocoder.small_voice(chunk=2 * voice.CONFIG.receptive_frames)
    with pytest.raises(ConfigError, match="no frames left"):
        vocoder.speak("onnx", cut, spectrum)


def test_torch_and_onnx_compute_the_same(spectrum):
    pytest.importorskip("torch")
    waves = [
        vocoder.speak(name, vocoder.small_voice(), spectrum).wave for name in ("torch", "onnx")
    ]
    assert fidelity.snr(*waves) > 80


def test_a_2d_file_computes_the_same(tmp_path, spectrum):
    path = tmp_path / "voice2d.onnx"
    onnx.save(voice.onnx_model(conv2d=True), path)
    made = vocoder.speak("onnx", vocoder.from_onnx(path), spectrum).wave
    plain = vocoder.speak("onnx", vocoder.small_voice(), spectrum).wave
    assert fidelity.snr(plain, made) > 80


def test_an_unknown_backend_is_rejected(spectrum):
    with pytest.raises(ConfigError, match="no backend 'gpu'"):
        vocoder.speak("gpu", vocoder.small_voice(), spectrum)


def test_a_file_of_fixed_length_says_so(tmp_path, spectrum):
    path = tmp_path / "fixed.onnx"
    onnx.save(voice.onnx_model(64), path)
    with pytest.raises(ModelError, match="does not run on 150 frames"):
        vocoder.speak("onnx", vocoder.from_onnx(path), spectrum)
    assert vocoder.speak("onnx", vocoder.from_onnx(path, chunk=64), spectrum).wave.size == 150 * 256


def test_a_foreign_file_needs_a_config(tmp_path):
    model = onnx_writer.write(SMALL, layers.seeded(SMALL))
    del model.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(ConfigError, match="which mel"):
        vocoder.from_onnx(path)
    assert vocoder.from_onnx(path, SMALL).config == SMALL
    with pytest.raises(ModelError, match="not a vocoder of this config"):
        vocoder.from_onnx(path, dataclasses.replace(SMALL, num_mels=40))


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_what_is_not_onnx_is_rejected(tmp_path, content):
    path = tmp_path / "a.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError):
        vocoder.from_onnx(path)


@pytest.mark.parametrize("name", ["a.json", "a.onnxtxt", "a.textproto"])
def test_a_model_is_read_as_onnx_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(FileError, match="the ONNX file cannot be read"):
        vocoder.from_onnx(tmp_path / name)


def test_equal_waves_have_perfect_figures(spectrum):
    wave = vocoder.speak("onnx", vocoder.small_voice(), spectrum).wave
    same = fidelity.compare(wave, wave, voice.CONFIG)
    assert same.snr == float("inf") and same.mel_l1 == same.lsd == same.mcd == 0
    assert same.stoi is None or same.stoi > 0.99


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("samples", [1024, 4000, 30000])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silence_and_snippets_have_no_figures_of_speech_and_raise_nothing(samples, level):
    wave = level * np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    found = fidelity.compare(wave, np.zeros_like(wave), voice.CONFIG)
    assert found.pesq is None
    assert found.stoi is None or (level and samples == 30000)


def test_noise_of_known_level_has_its_snr():
    draw = np.random.default_rng(0)
    wave = draw.standard_normal(50000).astype(np.float32)
    noisy = wave + 0.1 * draw.standard_normal(50000).astype(np.float32)
    assert abs(fidelity.snr(wave, noisy) - 20) < 0.1


def test_mcd_of_one_cosine_is_the_formula():
    bands = 80
    shape = 0.5 * np.cos(np.pi * 3 * (np.arange(bands) + 0.5) / bands)
    distance = fidelity.mel_cepstral_distortion(
        np.zeros((bands, 4), np.float32), np.repeat(shape[:, None], 4, 1).astype(np.float32)
    )
    assert abs(distance - 10 / np.log(10) * np.sqrt(2 * 0.5**2)) < 1e-5
