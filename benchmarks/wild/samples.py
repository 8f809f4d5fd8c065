"""Samples for each network: what its authors feed it, from speech, photos, text and EEG-like noise.

Everything is drawn by number: the same number, the same sample. Held-out samples come from other
sentences and other photos than those of calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from benchmarks.wild import manifest, pictures, sound
from benchmarks.wild.files import Cache
from hexconv.registry import Registry

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
STEPS_OF_A_SEQUENCE = 4
"""Samples of a network with states that come from one recording."""


@dataclass(frozen=True)
class Material:
    """Where samples come from.

    Attributes:
        cache: with the files of the sources.
        sources: by name.
        models: by name; some samples are made by another model.
        pictures: collections of photos by name, (calibration, held out).
    """

    cache: Cache
    sources: Mapping[str, manifest.Source]
    models: Mapping[str, manifest.Model]
    pictures: Mapping[str, tuple[list[Path], list[Path]]] = field(default_factory=dict)

    def run(self, name: str, feeds: Feeds) -> list[Array]:
        """The outputs of another model of the manifest."""
        return _session(str(self.cache.model(self.models[name]))).run(None, feeds)


def material(cache: Cache) -> Material:
    """Everything that makers use; the photos are unpacked."""
    sources, models = manifest.read()
    content = yaml.safe_load(manifest.FILE.read_text(encoding="utf-8"))
    found = {}
    for name, item in content["pictures"].items():
        source = sources[item["source"]]
        parts = (item["calibration"], item["held_out"])
        first, held = ([cache.file(source, path) for path in part] for part in parts)
        found[name] = (first, held)
    return Material(cache, sources, {item.name: item for item in models}, found)


@lru_cache(maxsize=8)
def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Draw:
    """One sample.

    Attributes:
        material: where it comes from.
        number: of the sample; of the recording where a network has states.
        held: whether it is held out.
        step: number of the frame in the recording.
    """

    material: Material
    number: int
    held: bool
    step: int = 0

    @property
    def rng(self) -> np.random.Generator:
        """Fresh: every input of a sample is drawn from the same recording."""
        return np.random.default_rng([self.number, int(self.held)])

    @property
    def recordings(self) -> sound.Recordings:
        """Speech, kept in the cache."""
        return sound.Recordings(self.material.cache.folder / "speech")

    def wave(self, length: int, rate: int, *, other: int = 0) -> sound.Wave:
        """(length,) float32 in -1..1; `other`: another speaker."""
        rng = np.random.default_rng([self.number, int(self.held), other])
        return self.recordings.draw(rng, self.held, length, rate)

    def with_phrase(self, length: int, rate: int, text: str) -> sound.Wave:
        """The same, with a phrase near the end in every second sample."""
        wave = self.wave(length, rate).copy()
        if text and self.number % 2 == 0:
            rng = self.rng
            spoken = self.recordings.phrase(rng, text, rate)[-length:]
            end = length - int(rng.integers(max(1, min(length - len(spoken), rate // 4))))
            wave *= np.float32(0.1)
            wave[end - len(spoken) : end] += spoken * np.float32(rng.uniform(0.4, 1.2))
        return np.clip(wave, -1, 1)

    def files(self, name: str) -> list[Path]:
        """The photos of a collection."""
        return self.material.pictures[name][int(self.held)]


Maker = Callable[..., Array]
MAKERS: Registry[Maker] = Registry("sample maker")


def feeds(model: manifest.Model, draw: Draw) -> Feeds:
    """One sample of a model without states."""
    return {
        name: np.ascontiguousarray(
            np.reshape(MAKERS[item.kind](draw, item.shape, **item.options), item.shape)
        )
        for name, item in model.inputs.items()
    }


def samples(model: manifest.Model, material: Material, count: int, held: bool) -> list[Feeds]:
    """Samples of a model, constants left out."""
    if not model.states:
        return [feeds(model, Draw(material, number, held)) for number in range(count)]
    return [_after_steps(model, material, number, held) for number in range(count)]


def _after_steps(model: manifest.Model, material: Material, number: int, held: bool) -> Feeds:
    """What a network with states reads at some frame of a recording."""
    recording, place = divmod(number, STEPS_OF_A_SEQUENCE)
    sample: Feeds = {}
    carried: Feeds = {}
    session = _session(str(material.cache.model(model)))
    names = [output.name for output in session.get_outputs()]
    for step in range(3 + 6 * place):
        sample = {**feeds(model, Draw(material, recording, held, step)), **carried}
        results = dict(zip(names, session.run(None, complete(model, sample)), strict=True))
        carried = {to: results[of] for to, of in model.states.items()}
    return sample


def complete(model: manifest.Model, sample: Feeds) -> Feeds:
    """A sample with the model's constants, in the types that ONNX Runtime expects."""
    return {**sample, **{name: np.asarray(given) for name, given in constants(model).items()}}


def constants(model: manifest.Model) -> Feeds:
    """The inputs that are fixed: `{value, shape, dtype}` each."""
    return {
        name: np.full(given.get("shape", ()), given["value"], given["dtype"])
        for name, given in model.constants.items()
    }


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


@MAKERS.register("photo")
def _photo(draw: Draw, shape: tuple[int, ...], of: str = "photos", **form: Any) -> Array:
    """A part of a photo."""
    height, width = extent(shape, **form)
    return finished(pictures.photo(draw.files(of), draw.rng, height, width), **form)


@MAKERS.register("face")
def _face(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A face that the RFB-320 detector finds in a photo."""
    files = draw.files("groups")
    boxes = faces(draw.material, files[draw.number % len(files)])
    box = boxes[draw.number // len(files) % len(boxes)]
    size = extent(shape, **form)
    return finished(pictures.around(files[draw.number % len(files)], box, size), **form)


def faces(material: Material, file: Path) -> Array:
    """(faces, 4): relative corners of the faces in a photo, the surest first."""
    pixels = np.float32(pictures.whole(file, 240, 320))
    image = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
    scores, boxes = material.run("rfb-320", {"input": image})
    found: list[Array] = []
    for index in np.argsort(-scores[0, :, 1])[:200]:
        box = boxes[0, index]
        if all(np.abs(box - other).max() > 0.05 for other in found):
            found.append(box)
    return np.stack(found[:8])


@MAKERS.register("text-line")
def _text_line(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A rendered line of text; every third one upside down."""
    height, width = extent(shape, **form)
    pixels = pictures.text_line(draw.rng, height, width)
    turned = form.get("turned", False) and draw.number % 3 == 0
    return finished(pixels[::-1, ::-1] if turned else pixels, **form)


@MAKERS.register("page")
def _page(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A rendered page of text."""
    return finished(pictures.page(draw.rng, *extent(shape, **form)), **form)


@MAKERS.register("digit")
def _digit(draw: Draw, shape: tuple[int, ...]) -> Array:
    """A handwritten digit of scikit-learn, 0..255."""
    from PIL import Image
    from sklearn.datasets import load_digits

    images = load_digits().images
    number = draw.number * 37 + (900 if draw.held else 0)
    pixels = np.uint8(images[number % len(images)] / 16 * 255)
    inner = Image.fromarray(pixels).resize((20, 20), Image.Resampling.BILINEAR)
    return np.pad(np.float32(np.asarray(inner)), 4)


@MAKERS.register("bytes")
def _bytes(draw: Draw, shape: tuple[int, ...]) -> Array:
    """The first and last bytes of a file that a source ships, as magika reads them."""
    root = draw.material.cache.folder / "sources"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    kinds = {path.suffix: path for path in files}
    file = list(kinds.values())[(2 * draw.number + draw.held) % len(kinds)]
    content = np.frombuffer(file.read_bytes(), np.uint8).astype(np.int32)
    half = shape[1] // 2
    padded = np.full((2, half), 256, np.int32)
    first, last = content[:half], content[-half:]
    padded[0, : len(first)] = first
    padded[1, half - len(last) :] = last
    return padded


@MAKERS.register("letters")
def _letters(
    draw: Draw, shape: tuple[int, ...], low: int, high: int, space: int, dtype: str = "float32"
) -> Array:
    """Letters of an alphabet in words; the numbers of a package's own table."""
    rng = draw.rng
    found = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.18, space, found).astype(dtype)


@MAKERS.register("eeg")
def _eeg(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, 1, samples) at 250 Hz: pink noise with bursts of 12 to 15 Hz, of unit variance."""
    rng, size = draw.rng, shape[-1]
    signal = sound.colored(rng, size).astype(np.float64)
    time = np.arange(size) / 250
    for _ in range(int(rng.integers(2, 7))):
        center, wide = rng.uniform(1, time[-1] - 1), rng.uniform(0.25, 0.6)
        burst = np.exp(-(((time - center) / wide) ** 2)) * rng.uniform(1, 3)
        signal += burst * np.sin(2 * np.pi * rng.uniform(12, 15) * time)
    return np.float32((signal - signal.mean()) / signal.std())


@MAKERS.register("scalogram")
def _scalogram(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, scales, samples): magnitudes of Shannon wavelets of 12 to 24 Hz, of unit variance."""
    size = shape[-1]
    spectrum = np.fft.fft(_eeg(draw, (1, 1, size)))
    hertz = np.fft.fftfreq(size, 1 / 250)
    rows = []
    for scale in np.geomspace(135, 270, shape[1]):
        center, wide = 13 * 250 / scale, 6 * 250 / scale
        row = np.abs(np.fft.ifft(spectrum * (np.abs(hertz - center) < wide / 2)))
        rows.append((row - row.mean()) / row.std())
    return np.float32(np.stack(rows))


@MAKERS.register("eeg-spectrogram")
def _eeg_spectrogram(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, bins, frames): log power of 1 s every 0.5 s, of unit variance in each bin."""
    signal = _eeg(draw, (1, 1, 125 * (shape[2] + 1)))
    power = np.abs(sound.stft(signal, 250, 125, sound.hann(250))[: shape[2], : shape[1]]) ** 2
    logs = np.log(power.T + 1e-9)
    return np.float32((logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True))


def extent(shape: tuple[int, ...], *, channels_last: bool = False, **_: Any) -> tuple[int, int]:
    """(height, width) of an input."""
    return (shape[1], shape[2]) if channels_last else (shape[2], shape[3])


def finished(
    pixels: pictures.Picture,
    *,
    mean: Any = 0.0,
    std: Any = 1.0,
    order: str = "rgb",
    gray: bool = False,
    channels_last: bool = False,
    **_: Any,
) -> Array:
    """Pixels as a network reads them: (pixel - mean) / std for each channel."""
    values = np.float32(pixels[..., ::-1] if order == "bgr" else pixels)
    if gray:
        values = values @ np.float32([[0.299], [0.587], [0.114]])
    values = (values - np.float32(mean)) / np.float32(std)
    return values if channels_last else values.transpose(2, 0, 1)
