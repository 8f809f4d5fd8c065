"""A Conformer acoustic model: `speech` 1x144x40 to `fa_out` 1x144x287 (Gulati et al. 2020)."""

from __future__ import annotations

import torch
from torch import nn


class DecomposedNorm(nn.Module):
    """Layer norm written out, as older exporters leave it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))
        self.bias = nn.Parameter(0.1 * torch.randn(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(-1, keepdim=True)
        centered = x - mean
        variance = (centered**2).mean(-1, keepdim=True)
        return centered / torch.sqrt(variance + 1e-5) * self.weight + self.bias


class FeedForward(nn.Module):
    """Half-step residual: Linear, SiLU, Linear."""

    def __init__(self, width: int, hidden: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm = norm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.5 * self.down(nn.functional.silu(self.up(self.norm(x))))


class Attention(nn.Module):
    """Multi-head self-attention; the scale is a division."""

    def __init__(self, width: int, heads: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.norm = norm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        y = self.norm(x)
        q, k, v = (
            part(y).reshape(batch, time, self.heads, self.head).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) / self.head**0.5, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, time, width)
        return x + self.out(mixed)


class ConvModule(nn.Module):
    """Pointwise, GLU, depthwise of width 15, batch norm, SiLU, pointwise."""

    def __init__(self, width: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm = norm(width)
        self.expand = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, 15, padding=7, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.shrink = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x).transpose(1, 2)
        y = nn.functional.glu(self.expand(y), dim=1)
        y = nn.functional.silu(self.batch_norm(self.depthwise(y)))
        return x + self.shrink(y).transpose(1, 2)


class Conformer(nn.Module):
    """Subsampling over frequency, blocks, a softmax over labels."""

    def __init__(
        self,
        *,
        width: int = 144,
        heads: int = 4,
        blocks: int = 2,
        labels: int = 287,
        channels: int = 16,
        fused_norm: bool = True,
    ) -> None:
        super().__init__()
        norm: type[nn.Module] = nn.LayerNorm if fused_norm else DecomposedNorm
        self.conv1 = nn.Conv2d(1, channels, 3, stride=(1, 2), padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(1, 2), padding=1)
        self.input = nn.Linear(channels * 10, width)
        layers: list[nn.Module] = []
        for _ in range(blocks):
            layers += [
                FeedForward(width, 4 * width, norm),
                Attention(width, heads, norm),
                ConvModule(width, norm),
                FeedForward(width, 4 * width, norm),
                norm(width),
            ]
        self.blocks = nn.Sequential(*layers)
        self.output = nn.Linear(width, labels)

    def forward(self, speech: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(speech.unsqueeze(1)))))
        batch, channels, time, bands = x.shape
        x = x.transpose(1, 2).reshape(batch, time, channels * bands)
        return torch.softmax(self.output(self.blocks(self.input(x))), dim=-1)


def conformer(**options: object) -> nn.Module:
    """A seeded Conformer in eval mode, batch norm statistics included."""
    torch.manual_seed(3)
    model = Conformer(**options)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()
