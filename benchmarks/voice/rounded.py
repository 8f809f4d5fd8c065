"""The generator as the DSP computes it: every tensor and every weight on 256 levels.

Training with this beside the plain generator finds weights that 8 bits hardly affect
(quantization-aware training: Jacob et al., 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", section 3). The rounded tensors are those of the
converted graph: the mel, each weight, and the outputs of convolutions, LeakyReLUs, sums and tanh.
Gradients pass a rounding as if it were not there, and reach the ends of a range (Esser et al.,
2020, "Learned Step Size Quantization", equation 3), so that outliers which cost the others their
resolution are pulled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hexconv.models.config import LAST_LEAKY_SLOPE, LEAKY_SLOPE, GeneratorConfig

LEVELS = 255
FORGET = 0.002
"""How much a range shrinks per training step: it keeps the extremes of some 500 batches."""
SMALL = 1e-6


def on_levels(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x clipped to [low, high] and rounded to its 256 levels, zero being one of them."""
    step = (high - low) / LEVELS
    zero = torch.round(-low / step)
    codes = torch.clamp(x / step + zero, 0, LEVELS)
    return (codes + (torch.round(codes) - codes).detach() - zero) * step


def rounded_weight(layer: Any) -> Tensor:
    """A layer's weights with zero point 128, one scale for all (hexconv.quantize.symmetric)."""
    low, high = torch.aminmax(layer.weight.detach())
    step = torch.maximum(-low / 128, high / 127)
    return on_levels(layer.weight, -128 * step, 127 * step)


class Range(nn.Module):
    """The extremes that a tensor had of late, and zero; `crest`: their distance in log sigmas."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.crest = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        """x in 8 bits. In training the range follows x first."""
        if not self.training:
            return on_levels(x, self.low, self.high)
        low, high = torch.aminmax(x)
        with torch.no_grad():
            self.low.copy_(torch.minimum(self.low * (1 - FORGET), low))
            self.high.copy_(torch.maximum(self.high * (1 - FORGET), high))
        self.crest = torch.log((high - low).clamp_min(SMALL) / x.std().clamp_min(SMALL))
        return on_levels(x, self.low + low - low.detach(), self.high + high - high.detach())


class Rounded(nn.Module):
    """A generator run in 8 bits: it has its own ranges, and the generator's parameters."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = (generator,)  # in a tuple: a submodule's parameters would be ours too
        self.ranges = nn.ModuleDict({name: Range() for name in _names(generator.config)})

    def crest(self) -> Tensor:
        """Mean crest of all tensors in the last batch: what outliers cost."""
        return torch.stack([self.ranges[name].crest for name in self.ranges]).mean()

    def forward(self, mel: Tensor) -> Tensor:
        """(N, num_mels, T) to (N, 1, hop_size*T), as the DSP would compute it."""
        (generator,) = self.generator
        x = self._conv("pre", generator.conv_pre, self.ranges["mel"](mel))
        for stage, up in enumerate(generator.ups):
            x = self._upsampled(f"up{stage}", up, x)
            x = self._blocks(stage, x)
        x = self._leaky("post_leaky", x, LAST_LEAKY_SLOPE)
        return self.ranges["out"](torch.tanh(self._conv("post", generator.conv_post, x)))

    def _conv(self, name: str, layer: Any, x: Tensor) -> Tensor:
        weight = rounded_weight(layer)
        made = functional.conv1d(
            x, weight, layer.bias, padding=layer.padding, dilation=layer.dilation
        )
        return self.ranges[name](made)

    def _leaky(self, name: str, x: Tensor, slope: float = LEAKY_SLOPE) -> Tensor:
        return self.ranges[name](functional.leaky_relu(x, slope))

    def _upsampled(self, name: str, layer: Any, x: Tensor) -> Tensor:
        x, weight = self._leaky(f"{name}_leaky", x), rounded_weight(layer)
        made = functional.conv_transpose1d(
            x, weight, layer.bias, stride=layer.stride, padding=layer.padding
        )
        return self.ranges[name](made)

    def _blocks(self, stage: int, x: Tensor) -> Tensor:
        (generator,) = self.generator
        count = len(generator.config.resblock_kernel_sizes)
        active = self._leaky(f"leaky{stage}", x)
        total = x.new_zeros(())
        for index in range(stage * count, (stage + 1) * count):
            y, heard = x, active
            for step, conv in enumerate(generator.resblocks[index].convs):
                name = f"block{index}_{step}"
                heard = self._leaky(f"{name}_leaky", y) if step else heard
                y = self.ranges[f"{name}_sum"](self._conv(name, conv, heard) + y)
            total = self.ranges[f"sum{index}"](total + y) if index % count else y
        return total / count


def _names(config: GeneratorConfig) -> Iterator[str]:
    """Of everything that is rounded; residual blocks of kind 2, as the sample voice has them."""
    count = len(config.resblock_kernel_sizes)
    yield from ("mel", "pre", "post_leaky", "post", "out")
    for stage in range(len(config.upsample_rates)):
        yield from (f"up{stage}_leaky", f"up{stage}", f"leaky{stage}")
        for block, dilations in enumerate(config.resblock_dilation_sizes, stage * count):
            yield from (f"block{block}_{step}" for step in range(len(dilations)))
            yield from (f"block{block}_{step}_sum" for step in range(len(dilations)))
            yield from (f"block{block}_{step}_leaky" for step in range(1, len(dilations)))
            if block % count:
                yield f"sum{block}"
