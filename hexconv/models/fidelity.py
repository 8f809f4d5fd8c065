"""How close one waveform is to another: the usual measures for speech."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from hexconv.models import mel, wav
from hexconv.models.config import GeneratorConfig

CEPSTRA = 13
"""Mel cepstral coefficients that MCD compares, c1 to c13."""

PESQ_RATE = 16000

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Fidelity:
    """A wave against a reference of the same length.

    Attributes:
        snr: dB, of the waveform; infinite when equal.
        mel_l1: mean distance of the natural-log mels.
        lsd: log-spectral distance, dB.
        mcd: mel cepstral distortion, dB.
        stoi: short-time objective intelligibility, to 1; None without pystoi.
        pesq: wide-band PESQ, to 4.64; None without pesq.
    """

    snr: float
    mel_l1: float
    lsd: float
    mcd: float
    stoi: float | None
    pesq: float | None

    def as_dict(self) -> dict[str, float | None]:
        """By name, for JSON."""
        return asdict(self)


def compare(reference: Wave, wave: Wave, config: GeneratorConfig) -> Fidelity:
    """All figures of `wave` against `reference`, both (T,); the longer one is cut.

    Raises:
        RangeError: shorter than one mel frame.
    """
    size = min(reference.size, wave.size)
    true, made = reference[:size], wave[:size]
    true_mel, made_mel = mel.log_mel(true, config)[0], mel.log_mel(made, config)[0]
    return Fidelity(
        snr(true, made),
        float(np.abs(true_mel - made_mel).mean()),
        log_spectral_distance(true, made, config),
        mel_cepstral_distortion(true_mel, made_mel),
        stoi(true, made, config.sampling_rate),
        pesq(true, made, config.sampling_rate),
    )


def snr(reference: Wave, wave: Wave) -> float:
    """Signal-to-noise ratio of the waveform in dB: infinite when equal."""
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(wave.astype(np.float64) - reference).sum())
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def log_spectral_distance(reference: Wave, wave: Wave, config: GeneratorConfig) -> float:
    """Mean over frames of the root mean square over bins of the level difference, dB."""
    true = 20 * np.log10(mel.magnitudes(reference, config))
    made = 20 * np.log10(mel.magnitudes(wave, config))
    return float(np.sqrt(np.square(true - made).mean(axis=0)).mean())


def mel_cepstral_distortion(reference: NDArray[np.float32], spectrum: NDArray[np.float32]) -> float:
    """MCD of two log-mels (num_mels, T) in dB: 10/ln 10 * sqrt(2 * sum over c1..c13 of d^2).

    Kubichek 1993; the cepstra are the cosine series of the natural-log mel magnitudes, frames are
    compared in place (no time warping: both waves come from one mel).
    """
    bands = reference.shape[0]
    order = np.arange(1, CEPSTRA + 1)[:, None]
    cosines = 2 / bands * np.cos(np.pi * order * (np.arange(bands) + 0.5) / bands)
    gap = cosines @ (reference.astype(np.float64) - spectrum)
    return float((10 / np.log(10) * np.sqrt(2 * np.square(gap).sum(axis=0))).mean())


def stoi(reference: Wave, wave: Wave, rate: int) -> float | None:
    """STOI (Taal et al. 2011), or None where pystoi is not installed or finds no speech."""
    if find_spec("pystoi") is None or not reference.any():
        return None
    from pystoi import stoi as measure

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of too little that is not silent
        try:
            return float(measure(reference.astype(np.float64), wave.astype(np.float64), rate))
        except RuntimeWarning:
            return None


def pesq(reference: Wave, wave: Wave, rate: int) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2), or None where pesq is not installed or finds no speech."""
    if find_spec("pesq") is None or not (reference.any() and wave.any()):
        return None
    from pesq import PesqError
    from pesq import pesq as measure

    true, made = (wav.resample(w, rate, PESQ_RATE) for w in (reference, wave))
    try:
        return float(measure(PESQ_RATE, true, made, "wb"))
    except PesqError:  # no speech, or less than a quarter of a second
        return None
