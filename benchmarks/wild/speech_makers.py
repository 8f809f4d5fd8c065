"""Speech, in the forms that networks read: waves, frames, spectra, mels."""

from __future__ import annotations

import numpy as np

from benchmarks.wild import sound
from benchmarks.wild.draw import MAKERS, Array, Draw


@MAKERS.register("wave")
def _wave(
    draw: Draw, shape: tuple[int, ...], rate: int = 16000, scale: float = 1.0, hop: int = 0
) -> Array:
    """Samples of a recording; with `hop` the frame of this step."""
    size = int(np.prod(shape))
    length = size + 24 * hop
    start = draw.step * hop
    return draw.wave(length, rate)[start : start + size] * np.float32(scale)


@MAKERS.register("frames")
def _frames(draw: Draw, shape: tuple[int, ...], context: int = 64) -> Array:
    """(frames, size): frames that each begin with the end of the one before, as silero reads."""
    frames, size = shape
    hop = size - context
    wave = draw.wave(frames * hop + context, 16000)
    return np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]


@MAKERS.register("zeros")
def _zeros(_: Draw, shape: tuple[int, ...]) -> Array:
    """The first state of a sequence."""
    return np.zeros(shape, np.float32)


@MAKERS.register("normal")
def _normal(draw: Draw, shape: tuple[int, ...]) -> Array:
    """Gaussian, as an embedding."""
    return np.float32(draw.rng.standard_normal(shape))


@MAKERS.register("magnitude")
def _magnitude(draw: Draw, shape: tuple[int, ...], hop: int = 128) -> Array:
    """|FFT| of a block of a recording, as DTLN reads it."""
    size = 2 * (shape[-1] - 1)
    return np.float32(np.abs(np.fft.rfft(_wave(draw, (size,), hop=hop))))


@MAKERS.register("complex-frame")
def _complex_frame(draw: Draw, shape: tuple[int, ...], hop: int = 256) -> Array:
    """(1, bins, 1, 2): real and imaginary part of a windowed block, as GTCRN reads it."""
    size = 2 * (shape[1] - 1)
    spectrum = np.fft.rfft(_wave(draw, (size,), hop=hop) * np.sqrt(sound.hann(size)))
    return np.float32(np.stack([spectrum.real, spectrum.imag], axis=-1))


@MAKERS.register("log-power")
def _log_power(draw: Draw, shape: tuple[int, ...], hop: int = 160) -> Array:
    """(1, frames, bins), as DNSMOS reads it."""
    wave = draw.wave((shape[1] - 1) * hop, 16000)
    return sound.log_power(wave, 2 * (shape[2] - 1), hop)


@MAKERS.register("mel")
def _mel(draw: Draw, shape: tuple[int, ...], size: int = 320, hop: int = 160) -> Array:
    """(1, frames, bands), as DNSMOS reads it."""
    wave = draw.wave(shape[1] * hop, 16000)
    return sound.mel_decibels(wave, 16000, size, hop, shape[2])[: shape[1]]


@MAKERS.register("echo-mels")
def _echo_mels(
    draw: Draw, shape: tuple[int, ...], rate: int = 16000, size: int = 512, marked: bool = True
) -> Array:
    """(1, 3, frames, bands): far end, microphone, enhanced, as AECMOS reads them."""
    frames = shape[2] - (40 if marked else 0)
    hop = size // 2
    far, near = (draw.wave(frames * hop, rate, other=other) for other in (1, 0))
    echo = np.convolve(far, 0.3 * np.exp(-np.arange(400) / 80), "same")
    signals = far, np.float32(near + 0.3 * echo), near
    rows = [sound.mel_decibels(x, rate, size, hop, shape[3])[:frames] for x in signals]
    if marked:
        ends = np.repeat([1.0, 0.0], 20)[:, None] * np.ones(shape[3])
        rows = [np.concatenate([row, ends]) for row in rows]
    return np.float32(np.stack(rows))


@MAKERS.register("packet-loss")
def _packet_loss(draw: Draw, shape: tuple[int, ...], hop: int = 256) -> Array:
    """(1, 1, frames, bins): log power of speech with gaps, as PLCMOS reads it."""
    wave = draw.wave(shape[2] * hop, 16000).copy()
    rng = draw.rng
    for start in rng.integers(len(wave), size=int(rng.integers(4, 20))):
        wave[start : start + 320] = 0
    bins = sound.stft(wave, 2 * hop, hop, np.hamming(2 * hop + 1)[:-1])[: shape[2]]
    return np.float32(np.log(np.maximum(np.abs(bins) ** 2, 1e-12)) / 20)


@MAKERS.register("wake-mels")
def _wake_mels(draw: Draw, shape: tuple[int, ...], phrase: str = "") -> Array:
    """(1, frames, 32, 1): what the package's own mel network makes of speech."""
    wave = draw.with_phrase(160 * (shape[1] + 3), 16000, phrase) * np.float32(32767)
    mels = draw.material.run("wake-word-mel", {"input": wave[None]})[0]
    return np.float32(mels.reshape(-1, 32)[: shape[1]] / 10 + 2)


@MAKERS.register("wake-embeddings")
def _wake_embeddings(draw: Draw, shape: tuple[int, ...], phrase: str = "") -> Array:
    """(1, windows, 96): what the package's embedding network makes of its windows of 76 frames."""
    frames = 76 + 8 * (shape[1] - 1)
    mels = _wake_mels(draw, (1, frames, 32, 1), phrase)
    windows = np.stack([mels[8 * i : 8 * i + 76] for i in range(shape[1])])
    return draw.material.run("wake-word-embedding", {"input_1": windows[..., None]})[0]
