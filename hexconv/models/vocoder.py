"""One mel through four vocoders: torch, ONNX Runtime, the simulated DSP, the DSP's own library.

Each backend is a function from a mel (1, num_mels, T) to a wave (hop_size*T,). The float ones take
any length; those of the DSP are fixed at conversion, and `Vocoder.chunk` splits the mel for them.
"""

from __future__ import annotations

import operator
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from hexconv.errors import ConfigError, FileError, ModelError, RangeError
from hexconv.models import chunks, onnx_writer, voice
from hexconv.models.config import GeneratorConfig
from hexconv.onnx_runtime import opened, runtime_errors
from hexconv.paths import check_is_file

Mel = NDArray[np.float32]
Wave = NDArray[np.float32]


LARGEST = 1 << 23
"""Values of a tensor of a generator: the simulator takes 2 to 3 GB for them."""


@dataclass(frozen=True)
class Vocoder:
    """What is to be run, before any backend is chosen.

    Attributes:
        model: the float generator, in the 1-D or the 2-D form.
        config: of the generator and its mel.
        weights: by official name, for torch.
        dsp: a MACE .pb of the same generator; None converts `model` first.
        ranges: a range file for that conversion; None calibrates on `samples`.
        samples: mels for calibration; the sample voice's held-out ones by default.
        chunk: frames at a time, or None for the whole mel at once (of a long one, as many as
            `LARGEST` allows).
        library_file: the DSP's library for the device backend; None takes HEXCONV_LIBRARY's.
    """

    model: onnx.ModelProto
    config: GeneratorConfig
    weights: dict[str, Any]
    dsp: Path | None = None
    ranges: Path | None = None
    samples: tuple[Mel, ...] = ()
    chunk: int | None = None
    library_file: Path | None = None
    converted: dict[int, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def conv2d(self) -> bool:
        """Whether the model has the 2-D form."""
        return len(self.model.graph.input[0].type.tensor_type.shape.dim) == 4

    def feed(self, spectrum: Mel) -> Mel:
        """The mel in the model's input shape."""
        return spectrum[..., None] if self.conv2d else spectrum


@dataclass(frozen=True)
class Spoken:
    """The output of a backend.

    Attributes:
        backend: its name.
        wave: (T,) float32.
        seconds: it took, without loading and conversion.
        rate: Hz.
    """

    backend: str
    wave: Wave
    seconds: float
    rate: int

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation per second of sound: below 1 is faster than real time."""
        return self.seconds / (self.wave.size / self.rate)


def speak(name: str, vocoder: Vocoder, spectrum: Mel) -> Spoken:
    """Run backend `name` over one mel, in chunks where `vocoder` says so, or memory asks for it.

    Raises:
        ConfigError: an unknown backend, or a chunk too short.
        ModelError: the output is not a finite wave of hop_size samples per frame.
        HexconvError: any other error of the backend itself.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend '{name}'", hint=f"one of {', '.join(BACKENDS)}")
    chunk = vocoder.chunk or _chunk_of(vocoder, name, spectrum.shape[2])
    length = chunk or spectrum.shape[2]
    run = BACKENDS[name](vocoder, length)
    if name in FLOAT_BACKENDS:  # the first run of a float runtime also plans its memory
        run(np.full((1, vocoder.config.num_mels, length), chunks.SILENCE, np.float32))
    began = perf_counter()
    wave = chunks.synthesize(run, spectrum, chunk, vocoder.config) if chunk else run(spectrum)
    seconds = perf_counter() - began
    wanted = spectrum.shape[2] * vocoder.config.hop_size
    if wave.shape != (wanted,) or not np.isfinite(wave).all():
        raise ModelError(
            f"the {name} backend returned {wave.size} samples, {wanted} finite ones were expected",
            hint="give a model made for this mel's config",
        )
    return Spoken(name, wave, seconds, vocoder.config.sampling_rate)


def _chunk_of(vocoder: Vocoder, name: str, frames: int) -> int | None:
    """The frames at a time of a mel that is too long for one run; None for one that is not."""
    config, sizes = vocoder.config, vocoder.model.graph.input[0].type.tensor_type.shape.dim
    made = vocoder.dsp is not None and name not in FLOAT_BACKENDS
    if made or sizes[2].HasField("dim_value"):  # of a length of its own
        return None
    hops = accumulate(config.upsample_rates, operator.mul)
    widest = max(count * hop for count, hop in zip(config.channels[1:], hops, strict=True))
    most = max(LARGEST // widest, 4 * config.receptive_frames)
    return most if frames > most else None


def _torch(vocoder: Vocoder, length: int) -> chunks.Synthesis:
    from hexconv.models import hifigan

    generator = hifigan.from_weights(vocoder.config, vocoder.weights)
    return lambda spectrum: hifigan.run(generator, spectrum).ravel()


def _onnx(vocoder: Vocoder, length: int) -> chunks.Synthesis:
    try:
        session = opened(vocoder.model.SerializeToString())
    except runtime_errors() as error:
        raise ModelError("ONNX Runtime cannot load the model", why=str(error)) from error
    name = session.get_inputs()[0].name

    def synthesis(spectrum: Mel) -> Wave:
        try:
            result = session.run(None, {name: vocoder.feed(spectrum)})[0]
        except runtime_errors() as error:
            raise ModelError(
                f"the model does not run on {spectrum.shape[2]} frames",
                why=str(error),
                hint="a model of fixed length needs --chunk with that length",
            ) from error
        return np.asarray(result).ravel()

    return synthesis


def _dsp_model(vocoder: Vocoder, length: int) -> Any:
    """The quantized model for `length` frames: the .pb given, or converted here."""
    from hexconv.conversion import convert
    from hexconv.model import load

    if length in vocoder.converted:
        return vocoder.converted[length]
    if vocoder.dsp is not None:
        model = load(vocoder.dsp)
        given = model.graph.inputs[0].shape[2]
        if given != length:
            raise ConfigError(
                f"the DSP model expects {given} frames, not {length}",
                where=str(vocoder.dsp),
                hint=f"--chunk {given}",
            )
    else:
        name = vocoder.model.graph.input[0].name
        shape = vocoder.feed(np.empty((1, vocoder.config.num_mels, length), np.float32)).shape
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocoder.onnx"
            onnx.save(vocoder.model, path)
            known: dict[str, Any] = (
                {"ranges": vocoder.ranges}
                if vocoder.ranges
                else {"samples": _calibration(vocoder, name, length)}
            )
            model = convert(path, shapes={name: shape}, **known)
    vocoder.converted[length] = model
    return model


def _calibration(vocoder: Vocoder, name: str, length: int) -> Iterable[dict[str, Mel]]:
    """Segments of `length` frames of the calibration mels; short ones are padded with silence."""
    samples = vocoder.samples or tuple(voice.mels().values())
    pieces = []
    for spectrum in samples:
        if spectrum.shape[1] != vocoder.config.num_mels:
            raise RangeError(
                f"the calibration mels have {spectrum.shape[1]} bands, the model "
                f"expects {vocoder.config.num_mels}",
                hint="give --ranges, or --samples with mels of this model",
            )
        for start in range(0, spectrum.shape[2], length):
            piece = spectrum[:, :, start : start + length]
            fill = ((0, 0), (0, 0), (0, length - piece.shape[2]))
            padded = np.pad(piece, fill, constant_values=chunks.SILENCE).astype(np.float32)
            pieces.append({name: vocoder.feed(padded)})
    return pieces


def _simulate(vocoder: Vocoder, length: int) -> chunks.Synthesis:
    from hexconv.simulator import simulate

    model = _dsp_model(vocoder, length)
    return _of_model(vocoder, model, lambda feeds: simulate(model, feeds))


def _device(vocoder: Vocoder, length: int) -> chunks.Synthesis:
    from hexconv.device import Library

    library = Library(vocoder.library_file)
    model = _dsp_model(vocoder, length)
    return _of_model(vocoder, model, lambda feeds: library.run(model, feeds))


def _of_model(vocoder: Vocoder, model: Any, run: Callable[[Any], Any]) -> chunks.Synthesis:
    name = model.graph.inputs[0].name
    output = model.graph.outputs[0].name
    four = len(model.graph.inputs[0].shape) == 4

    def synthesis(spectrum: Mel) -> Wave:
        feed = spectrum[..., None] if four else spectrum
        return np.asarray(run({name: feed})[output], np.float32).ravel()

    return synthesis


FLOAT_BACKENDS = ("torch", "onnx")

BACKENDS: dict[str, Callable[[Vocoder, int], chunks.Synthesis]] = {
    "torch": _torch,
    "onnx": _onnx,
    "simulate": _simulate,
    "device": _device,
}


def small_voice(**settings: Any) -> Vocoder:
    """The sample voice that ships with hexconv."""
    return Vocoder(voice.onnx_model(), voice.CONFIG, voice.weights(), **settings)


def from_onnx(path: Path, config: GeneratorConfig | None = None, **settings: Any) -> Vocoder:
    """A generator of an ONNX file.

    Args:
        path: the file; one that `hexconv export hifigan` wrote contains its config and weights.
        config: for files of another origin.
        settings: of `Vocoder`; `weights` for the torch backend.

    Raises:
        FileError, ModelError: not an ONNX file of a vocoder.
        ConfigError: a file of another origin, and no config.
    """
    try:
        check_is_file(path)
        model = onnx.load(path, format="protobuf")  # by the name it would be JSON, or text
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError("the ONNX file cannot be read", where=str(path), why=why) from error
    known = config or onnx_writer.config_of(model)
    if known is None:
        raise ConfigError(
            "the ONNX file does not say which mel it expects",
            where=str(path),
            hint="give --config with its HiFi-GAN JSON",
        )
    _expect_mel(model, known, path)
    weights = settings.pop("weights", None) or onnx_writer.weights_of(model)
    return Vocoder(model, known, weights, **settings)


def _expect_mel(model: onnx.ModelProto, config: GeneratorConfig, path: Path) -> None:
    graph = model.graph
    shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] if graph.input else []
    if len(shape) not in (3, 4) or shape[1] not in (0, config.num_mels):
        raise ModelError(
            "the ONNX file is not a vocoder of this config",
            where=str(path),
            why=f"its input is {shape}, (1, {config.num_mels}, frames) is expected",
        )
