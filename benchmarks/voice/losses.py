"""The losses of the sample voice's training: spectral distances, and discriminators of waves.

Mel distance, least-squares adversarial loss and feature matching follow the HiFi-GAN paper; the
multi-resolution STFT distance follows Parallel WaveGAN (Yamamoto et al., 2020). The period
discriminator is HiFi-GAN's with a sixteenth of its channels, and the spectrogram discriminator
UnivNet's (Jang et al., 2021), so that a step takes a fraction of a second on one core.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from hexconv.models import mel
from hexconv.models.config import GeneratorConfig

RESOLUTIONS = (2048, 1024, 512, 256, 128)
"""FFT sizes of the STFT distance; each hops by a quarter."""

PERIODS = (2, 3, 5, 7, 11)
CHANNELS = (1, 8, 24, 48, 64)
SLOPE = 0.1


class SpectralDistance(nn.Module):
    """Log-mel L1 over the full band, and log-magnitude L1 with convergence at five resolutions."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        nyquist = config.sampling_rate / 2
        bank = mel.filter_bank(config.sampling_rate, config.n_fft, config.num_mels, 0, nyquist)
        self.register_buffer("bank", torch.from_numpy(bank))
        for size in RESOLUTIONS:
            self.register_buffer(f"window{size}", torch.hann_window(size))

    def magnitudes(self, wave: Tensor, size: int, hop: int) -> Tensor:
        """(N,T) to (N, size/2+1, frames)."""
        window = self.get_buffer(f"window{size}")
        return _magnitudes(wave, size, hop, window)

    def mel(self, wave: Tensor) -> Tensor:
        """(N,T) to the natural-log mel (N, num_mels, frames)."""
        spectrum = self.magnitudes(wave, self.config.n_fft, self.config.hop_size)
        return torch.log(torch.clamp(self.bank @ spectrum, min=mel.FLOOR))

    def forward(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """The mel distance and the STFT distance of two batches of waves (N,T)."""
        mel_distance = functional.l1_loss(self.mel(made), self.mel(true))
        stft = made.new_zeros(())
        for size in RESOLUTIONS:
            ours = self.magnitudes(made, size, size // 4)
            theirs = self.magnitudes(true, size, size // 4)
            stft = stft + (theirs - ours).norm() / theirs.norm()
            stft = stft + functional.l1_loss((ours + 1e-4).log(), (theirs + 1e-4).log())
        return mel_distance, stft / len(RESOLUTIONS)


def _magnitudes(wave: Tensor, size: int, hop: int, window: Tensor) -> Tensor:
    pad = (size - hop) // 2
    padded = functional.pad(wave.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    spectrum = torch.stft(padded, size, hop, size, window, center=False, return_complex=True)
    return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)


class PeriodJudge(nn.Module):
    """Discriminates a wave folded into rows of one period."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        pairs = pairwise(CHANNELS)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0))) for a, b in pairs
        )
        self.last = weight_norm(nn.Conv2d(CHANNELS[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wave: Tensor) -> list[Tensor]:
        """(N,T) to the features of each layer, the verdict last."""
        usable = wave.shape[1] // self.period * self.period
        return _layers(self, wave[:, :usable].reshape(len(wave), 1, -1, self.period))


class SpectrumJudge(nn.Module):
    """Discriminates a magnitude spectrogram of one resolution."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size))
        channels = (1, 8, 16, 16)
        pairs = pairwise(channels)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (7, 3), (3, 1), (3, 1))) for a, b in pairs
        )
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, (3, 3), padding=(1, 1)))

    def forward(self, wave: Tensor) -> list[Tensor]:
        """(N,T) to the features of each layer, the verdict last."""
        spectrum = _magnitudes(wave, self.size, self.size // 4, self.window)
        return _layers(self, (spectrum + 1e-3).log().unsqueeze(1))


def _layers(judge: PeriodJudge | SpectrumJudge, x: Tensor) -> list[Tensor]:
    features = []
    for conv in judge.convs:
        x = functional.leaky_relu(conv(x), SLOPE)
        features.append(x)
    return [*features, judge.last(x)]


class Judges(nn.Module):
    """All discriminators."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [*(PeriodJudge(p) for p in PERIODS), *(SpectrumJudge(s) for s in (1024, 256))]
        )

    def own_loss(self, made: Tensor, true: Tensor) -> Tensor:
        """Least squares: real waves towards 1, generated ones towards 0."""
        losses = [
            (1 - judge(true)[-1]).square().mean() + judge(made)[-1].square().mean()
            for judge in self.judges
        ]
        return torch.stack(losses).mean()

    def generator_loss(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """The adversarial loss and the feature-matching loss of generated waves."""
        adversarial, matching = [], []
        for judge in self.judges:
            *ours, verdict = judge(made)
            with torch.no_grad():
                *theirs, _ = judge(true)
            adversarial.append((1 - verdict).square().mean())
            matching += [(a - b).abs().mean() for a, b in zip(ours, theirs, strict=True)]
        return torch.stack(adversarial).mean(), torch.stack(matching).mean()
