"""One utterance through several backends: a wav for each, its time, and its fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv.files import check_folder
from hexconv.models import fidelity, mel, picture, spectra, wav
from hexconv.models.config import GeneratorConfig
from hexconv.models.fidelity import Fidelity
from hexconv.models.vocoder import FLOAT_BACKENDS, Spoken, Vocoder, speak

RECORDING = "recording"


@dataclass(frozen=True)
class Utterance:
    """The utterance to synthesize.

    Attributes:
        name: of the files.
        mel: (1, num_mels, frames) float32.
        recording: the wave (T,) that the mel was computed from, if there is one.
        warnings: defects of the input.
    """

    name: str
    mel: NDArray[np.float32]
    recording: NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """One backend's output.

    Attributes:
        spoken: wave and time.
        file: the wav written.
        against_float: fidelity against the float output; None for that output itself.
        against_recording: fidelity against the recording; None without one.
    """

    spoken: Spoken
    file: Path
    against_float: Fidelity | None
    against_recording: Fidelity | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        float_figures, recorded = self.against_float, self.against_recording
        return {
            "backend": self.spoken.backend,
            "file": str(self.file),
            "samples": int(self.spoken.wave.size),
            "seconds": self.spoken.seconds,
            "real_time_factor": self.spoken.real_time_factor,
            "against_float": float_figures.as_dict() if float_figures else None,
            "against_recording": recorded.as_dict() if recorded else None,
        }


def from_wav(path: Path, config: GeneratorConfig) -> Utterance:
    """A recording of any rate and channel count, as the generator's mel.

    Raises:
        FileError: not a sound file, empty or not finite.
        RangeError: too short for one frame.
    """
    heard = wav.read(path, config.sampling_rate)
    return Utterance(path.stem, mel.log_mel(heard.wave, config), heard.wave, heard.warnings)


def from_mel(path: Path, config: GeneratorConfig) -> Utterance:
    """A log-mel of a .npy file.

    Raises:
        FileError, RangeError: as `spectra.read`.
    """
    return Utterance(path.stem, spectra.read(path, config))


def vocode(
    vocoder: Vocoder,
    utterance: Utterance,
    backends: Sequence[str],
    folder: Path,
    *,
    draw: bool = True,
) -> list[Result]:
    """Synthesize `utterance` with each backend and compare each with the float output.

    The float output is torch's where torch is among the backends, else ONNX Runtime's (which is
    run for the comparison even if it was not selected). Writes FOLDER/NAME.BACKEND.wav, and
    FOLDER/NAME.png with `draw`.

    Raises:
        HexconvError: any error of a backend; the wavs of those before it stay.
    """
    check_folder(folder)
    reference = next((name for name in FLOAT_BACKENDS if name in backends), "onnx")
    spoken: dict[str, Spoken] = {}
    for name in [reference, *(name for name in backends if name != reference)]:
        spoken[name] = speak(name, vocoder, utterance.mel)
        if name in backends:
            file = folder / f"{utterance.name}.{name}.wav"
            wav.write(file, spoken[name].wave, vocoder.config.sampling_rate)
    if draw:
        waves = {name: output.wave for name, output in spoken.items()}
        if utterance.recording is not None:
            waves[RECORDING] = utterance.recording
        picture.spectrograms(folder / f"{utterance.name}.png", waves, reference, vocoder.config)
    return [_judge(spoken, name, reference, utterance, folder, vocoder) for name in backends]


def _judge(
    spoken: dict[str, Spoken],
    name: str,
    reference: str,
    utterance: Utterance,
    folder: Path,
    vocoder: Vocoder,
) -> Result:
    wave, config = spoken[name].wave, vocoder.config
    long_enough = wave.size >= mel.smallest_length(config)
    against_float = against_recording = None
    if name != reference and long_enough:
        against_float = fidelity.compare(spoken[reference].wave, wave, config)
    if utterance.recording is not None and long_enough:
        against_recording = fidelity.compare(utterance.recording, wave, config)
    file = folder / f"{utterance.name}.{name}.wav"
    return Result(spoken[name], file, against_float, against_recording)
