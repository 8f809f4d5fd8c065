"""The HiFi-GAN generator in torch: V1, V2, V3, from the official checkpoints or seeded weights.

Kong, Kim, Bae, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis", 2020. Parameter names follow the official checkpoints, so that those load unchanged.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.errors import FileError, MissingExtra, ModelError
from hexconv.models.config import LAST_LEAKY_SLOPE, LEAKY_SLOPE, OUTER_KERNEL, GeneratorConfig

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as missing:
    raise MissingExtra("torch", "export") from missing


class ResBlock1(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Residual pairs: a dilated conv, then a plain one, LeakyReLU before each."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel, 1) for _ in dilations)

    def forward(self, x: Any) -> Any:
        """(N,C,T) or (N,C,T,1) float32 to the same."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            inner = dilated(functional.leaky_relu(x, LEAKY_SLOPE))
            x = plain(functional.leaky_relu(inner, LEAKY_SLOPE)) + x
        return x


class ResBlock2(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Residual dilated convs, LeakyReLU before each."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same_conv(channels, kernel, d) for d in dilations)

    def forward(self, x: Any) -> Any:
        """(N,C,T) or (N,C,T,1) float32 to the same."""
        for conv in self.convs:
            x = conv(functional.leaky_relu(x, LEAKY_SLOPE)) + x
        return x


def _same_conv(channels: int, kernel: int, dilation: int) -> Any:
    return nn.Conv1d(
        channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2
    )


class Generator(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Mel spectrogram to waveform: (N, num_mels, T) to (N, 1, hop_size*T), float32 in [-1, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        half = (OUTER_KERNEL - 1) // 2
        self.conv_pre = nn.Conv1d(config.num_mels, channels[0], OUTER_KERNEL, padding=half)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(before, after, kernel, rate, padding=(kernel - rate) // 2)
            for before, after, kernel, rate in zip(
                channels[:-1],
                channels[1:],
                config.upsample_kernel_sizes,
                config.upsample_rates,
                strict=True,
            )
        )
        block = ResBlock1 if config.resblock == "1" else ResBlock2
        self.resblocks = nn.ModuleList(
            block(count, kernel, dilations)
            for count in channels[1:]
            for kernel, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            )
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, OUTER_KERNEL, padding=half)

    def forward(self, x: Any) -> Any:
        """(N, num_mels, T) to (N, 1, hop_size*T); the 2-D form has a last axis of one."""
        per_stage = len(self.config.resblock_kernel_sizes)
        x = self.conv_pre(x)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, LEAKY_SLOPE))
            blocks = self.resblocks[stage * per_stage : (stage + 1) * per_stage]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / per_stage
        x = self.conv_post(functional.leaky_relu(x, LAST_LEAKY_SLOPE))
        return torch.tanh(x)


def seeded(config: GeneratorConfig, seed: int = 0) -> Generator:
    """A generator with fresh weights that depend on `seed` alone.

    Drawn by numpy, so that they do not change with the version of torch. Variances keep the signal
    alive through the net (He), unlike the 0.01 of the official initialisation, with which an
    untrained net answers next to nothing and a comparison would compare noise.
    """
    generator = Generator(config)
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(generator.named_parameters()):
            shape = tuple(parameter.shape)
            if name.endswith(".bias"):
                values = draw.uniform(-0.02, 0.02, shape)
            else:
                taps = shape[1] * shape[2]
                if name.startswith("ups."):
                    stage = int(name.split(".")[1])
                    taps = shape[0] * shape[2] // config.upsample_rates[stage]
                values = draw.standard_normal(shape) / np.sqrt(taps)
                values *= 0.3 if name.startswith("resblocks.") else 1.0
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return generator.eval()


def parameter_count(generator: Generator) -> int:
    """How many numbers the generator holds, without weight norm."""
    return sum(int(p.numel()) for p in generator.parameters())


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The generator's plain weights from an official checkpoint, weight norm folded away.

    Only tensors are unpickled (torch's weights_only): a checkpoint that wants to run code is
    refused. The weight-norm keys of old torch (weight_g, weight_v) and of new torch
    (parametrizations.weight.original0, original1) are both read.

    Raises:
        FileError: missing, or not a checkpoint.
        ModelError: a checkpoint without a generator.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError("the checkpoint cannot be read", where=str(path), why=str(error)) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise FileError(
            "this is not a torch checkpoint that holds only weights",
            where=str(path),
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            todo="give the generator file of a HiFi-GAN training (g_XXXXXXXX)",
        ) from error
    state = loaded.get("generator", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not any(str(k).startswith("conv_pre.") for k in state):
        raise ModelError(
            "the checkpoint holds no HiFi-GAN generator",
            where=str(path),
            todo="give the generator file (g_XXXXXXXX), not the discriminators' (do_XXXXXXXX)",
        )
    return fold_weight_norm(state)


def fold_weight_norm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces each pair (g, v) of a state dict by weight = g * v / |v|.

    The norm runs over every axis but the first (torch.nn.utils.weight_norm, dim=0), for transposed
    convs too.
    """
    pairs = ((".weight_g", ".weight_v"), _NEW_PAIR)
    plain = {}
    for name, value in state.items():
        for gain_end, direction_end in pairs:
            if name.endswith(direction_end):
                base = name[: -len(direction_end)]
                gain = state[base + gain_end]
                norm = value.flatten(1).norm(dim=1).reshape(gain.shape)
                plain[base + ".weight"] = value * (gain / norm)
                break
            if name.endswith(gain_end):
                break
        else:
            plain[name] = value
    return plain


_NEW_PAIR = (".parametrizations.weight.original0", ".parametrizations.weight.original1")


def load(config: GeneratorConfig, checkpoint: str | Path) -> Generator:
    """The generator of `config` with the weights of an official checkpoint, ready to run.

    Raises:
        FileError: the file is not a checkpoint.
        ModelError: the checkpoint belongs to another config; says which weights differ.
    """
    return from_state(config, read_checkpoint(checkpoint), where=str(checkpoint))


def from_state(config: GeneratorConfig, state: Mapping[str, Any], *, where: str = "") -> Generator:
    """The generator of `config` with plain weights `state` (torch tensors by official name).

    Raises:
        ModelError: the weights belong to another config.
    """
    generator = Generator(config)
    wanted = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    wrong = [
        f"{name} is {given.get(name, 'missing')}, the config says {wanted.get(name, 'absent')}"
        for name in sorted(wanted.keys() | given.keys())
        if wanted.get(name) != given.get(name)
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ModelError(
            "the checkpoint belongs to another config",
            where=where,
            why="; ".join(wrong[:3]) + more,
            todo="give the config JSON that the checkpoint was trained with",
        )
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise ModelError("the checkpoint holds weights that are not finite", where=where)
    generator.load_state_dict(dict(state))
    return generator.eval()


def with_weight_norm(generator: Generator) -> Generator:
    """The same generator, each conv reparametrised for training, in place."""
    convs = (nn.Conv1d, nn.ConvTranspose1d)
    for module in [m for m in generator.modules() if isinstance(m, convs)]:
        nn.utils.parametrizations.weight_norm(module)
    return generator


def as_conv2d(generator: Generator) -> Generator:
    """A copy whose convs are 2-D: (1, num_mels, T, 1) to (1, 1, hop_size*T, 1).

    The same numbers in the form that other DSP converters need; kernels become K x 1.
    """
    twin = Generator(generator.config)
    twin.load_state_dict(generator.state_dict())
    _replace(twin, _conv2d)
    return twin.eval()


def _replace(module: Any, change: Callable[[Any], Any]) -> None:
    for name, child in module.named_children():
        if isinstance(child, (nn.Conv1d, nn.ConvTranspose1d)):
            setattr(module, name, change(child))
        else:
            _replace(child, change)


def _conv2d(conv: Any) -> Any:
    kind = nn.Conv2d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose2d
    twin = kind(
        conv.in_channels,
        conv.out_channels,
        (conv.kernel_size[0], 1),
        stride=(conv.stride[0], 1),
        padding=(conv.padding[0], 0),
        dilation=(conv.dilation[0], 1),
    )
    with torch.no_grad():
        twin.weight.copy_(conv.weight.unsqueeze(-1))
        twin.bias.copy_(conv.bias)
    return twin
