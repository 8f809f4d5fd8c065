"""Small vocoders of the kinds in use, seeded; without the inverse STFT, which is the CPU's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as f

MELS, WIDTH = 20, 32


class Residual(nn.Module):
    """Dilated convolutions with a residual, an activation before each."""

    def __init__(self, channels: int, dilations: tuple[int, ...], act: Callable[[], nn.Module]):
        super().__init__()
        self.acts = nn.ModuleList(act() for _ in dilations)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, dilation=d, padding=d) for d in dilations
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for act, conv in zip(self.acts, self.convs, strict=True):
            x = x + conv(act(x))
        return x


class MelGAN(nn.Module):
    """Kumar et al. 2019: reflection pads, LeakyReLU of 0.2, residual blocks with shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad1d(3), nn.Conv1d(MELS, WIDTH, 7)]
        for width, rate in ((WIDTH, 4), (WIDTH // 2, 2)):
            pad = rate // 2
            layers += [
                nn.LeakyReLU(0.2),
                nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, pad),
            ]
            layers += [Shortcut(width // 2, 1), Shortcut(width // 2, 3)]
        layers += [nn.LeakyReLU(0.2), nn.ReflectionPad1d(3), nn.Conv1d(WIDTH // 4, 1, 7), nn.Tanh()]
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class Shortcut(nn.Module):
    """MelGAN's residual block: a 1x1 convolution beside the dilated one."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.ReflectionPad1d(dilation),
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            nn.LeakyReLU(0.2),
            nn.Conv1d(channels, channels, 1),
        )
        self.shortcut = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.block(x)


class ISTFTNet(nn.Module):
    """Kaneko et al. 2022: few upsamplings, then magnitude and phase of a small STFT."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(MELS, WIDTH, 7, padding=3)
        self.up = nn.ConvTranspose1d(WIDTH, WIDTH // 2, 8, 4, 2)
        self.block = Residual(WIDTH // 2, (1, 3), lambda: nn.LeakyReLU(0.1))
        self.pad = nn.ReflectionPad1d((1, 0))
        self.post = nn.Conv1d(WIDTH // 2, 18, 7, padding=3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.block(self.up(f.leaky_relu(self.pre(x), 0.1)))
        x = self.post(self.pad(f.leaky_relu(x)))
        return torch.exp(x[:, :9]), torch.sin(x[:, 9:])


class ConvNeXt(nn.Module):
    """Vocos' block: depthwise convolution, LayerNorm, GELU, a learned scale, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.gamma = nn.Parameter(torch.full((WIDTH,), 0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.norm(self.depthwise(x).transpose(1, 2))
        inner = self.gamma * self.down(f.gelu(self.up(inner)))
        return x + inner.transpose(1, 2)


class Vocos(nn.Module):
    """Siuzdak 2023: no upsampling; real and imaginary part by exp, cos and sin."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv1d(MELS, WIDTH, 7, padding=3), nn.LayerNorm(WIDTH)
        self.blocks = nn.Sequential(ConvNeXt(), ConvNeXt())
        self.last, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 34)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.norm(self.embed(x).transpose(1, 2)).transpose(1, 2)
        x = self.head(self.last(self.blocks(x).transpose(1, 2))).transpose(1, 2)
        size, phase = x.chunk(2, 1)
        size = torch.clip(torch.exp(size), max=1e2)
        return size * torch.cos(phase), size * torch.sin(phase)


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha (Ziyin et al. 2020), a channel each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.linspace(0.5, 2.0, channels)[None, :, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.alpha * x) ** 2 / (self.alpha + 1e-9)


class BigVGAN(nn.Module):
    """Lee et al. 2023, without the anti-aliasing filters: snake instead of LeakyReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(MELS, WIDTH, 7, padding=3)
        self.up = nn.ConvTranspose1d(WIDTH, WIDTH // 2, 8, 4, 2)
        self.block = Residual(WIDTH // 2, (1, 3), lambda: Snake(WIDTH // 2))
        self.act, self.post = Snake(WIDTH // 2), nn.Conv1d(WIDTH // 2, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.post(self.act(self.block(self.up(self.pre(x))))))


class VITSDecoder(nn.Module):
    """Kim et al. 2021: a coupling layer of the flow (gated WaveNet), then HiFi-GAN of a latent."""

    def __init__(self) -> None:
        super().__init__()
        half = MELS // 2
        self.enter = nn.Conv1d(half, WIDTH, 1)
        self.gates = nn.ModuleList(nn.Conv1d(WIDTH, 2 * WIDTH, 5, padding=2) for _ in range(2))
        self.skips = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in range(2))
        self.mean = nn.Conv1d(WIDTH, half, 1)
        self.speaker = nn.Parameter(torch.randn(1, WIDTH, 1))
        self.pre = nn.Conv1d(MELS, WIDTH, 7, padding=3)
        self.up = nn.ConvTranspose1d(WIDTH, WIDTH // 2, 8, 4, 2)
        self.block = Residual(WIDTH // 2, (1, 3), lambda: nn.LeakyReLU(0.1))
        self.post = nn.Conv1d(WIDTH // 2, 1, 7, padding=3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, 1)
        hidden = self.enter(first)
        for gate, skip in zip(self.gates, self.skips, strict=True):
            a, b = gate(hidden).chunk(2, 1)
            hidden = hidden + skip(torch.tanh(a) * torch.sigmoid(b))
        latent = torch.cat([first, second - self.mean(hidden)], 1).flip(1)
        x = self.up(f.leaky_relu(self.pre(latent) + self.speaker, 0.1))
        return torch.tanh(self.post(f.leaky_relu(self.block(x))))


# Floors lie 2 dB under what was measured: random weights, 16 samples. Of 4 samples, whose ranges
# clip others, iSTFTNet had 4 dB less, Vocos 5 to 11 and BigVGAN 10.
FLOORS: dict[type[nn.Module], float] = {
    MelGAN: 39.5,
    ISTFTNet: 27.5,
    Vocos: 26.0,
    BigVGAN: 28.0,
    VITSDecoder: 25.0,
}
