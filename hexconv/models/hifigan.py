"""The HiFi-GAN generator in torch: V1, V2, V3, from the official checkpoints.

Kong, Kim, Bae, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis", 2020. Parameter names follow the official checkpoints, so that those load unchanged.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv.errors import FileError, MissingExtra, ModelError, system_reason
from hexconv.models import layers
from hexconv.models.checkpoint_names import STATISTICS, official_names
from hexconv.models.config import (
    LAST_LEAKY_SLOPE,
    LEAKY_SLOPE,
    OUTER_KERNEL,
    GeneratorConfig,
    upsample_padding,
)
from hexconv.models.layers import Weights
from hexconv.paths import check_inflated, check_is_file

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
        """(N,C,T) float32 to the same."""
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
        """(N,C,T) float32 to the same."""
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
            nn.ConvTranspose1d(before, after, kernel, rate, *upsample_padding(kernel, rate))
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
        """(N, num_mels, T) to (N, 1, hop_size*T)."""
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


def from_weights(config: GeneratorConfig, weights: Weights, *, where: str = "") -> Generator:
    """The generator of `config` with weights by official name, ready to run.

    Raises:
        ModelError: the weights are for another config, or are not finite.
    """
    layers.check(config, weights, where=where)
    generator = Generator(config)
    generator.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    generator.eval()
    return generator


def weights_of(generator: Generator) -> dict[str, NDArray[np.float32]]:
    """The weights by official name, weight norm folded away."""
    state = fold_weight_norm(generator.state_dict())
    return {name: value.numpy().astype(np.float32) for name, value in state.items()}


def run(generator: Generator, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """One mel (1, num_mels, T) to its wave (1, 1, hop_size*T)."""
    with torch.inference_mode():
        return np.asarray(generator(torch.from_numpy(mel)).numpy())


def read_checkpoint(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """The generator's plain weights from a checkpoint, weight norm folded away.

    Official ones, and those of ParallelWaveGAN and ESPnet (`checkpoint_names`).

    Only tensors are unpickled (torch's weights_only): a checkpoint that would run code is
    rejected. The weight-norm keys of old torch (weight_g, weight_v) and of new torch
    (parametrizations.weight.original0, original1) are both read.

    Raises:
        FileError: missing, or not a checkpoint.
        ModelError: a checkpoint without a generator, or of one whose mels are to be normalized.
    """
    try:
        check_is_file(path)
        _check_archive(Path(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about storages of old releases
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        why = system_reason(error)
        raise FileError("the checkpoint cannot be read", where=str(path), why=why) from error
    except Exception as error:  # torch makes no guarantee about what it raises
        raise FileError(
            "this is not a torch checkpoint that contains only weights",
            where=str(path),
            why=(str(error).splitlines() or [type(error).__name__])[0],
            hint="give the generator file of a HiFi-GAN training (g_XXXXXXXX)",
        ) from error
    state = official_names(loaded)
    if state is None or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(
            "the checkpoint contains no HiFi-GAN generator",
            where=str(path),
            hint="give the generator file (g_XXXXXXXX), not the discriminators' (do_XXXXXXXX)",
        )
    _check_tensors(state, str(path))
    if all(name in state for name in STATISTICS):
        raise ModelError(
            "the checkpoint has the mean and the scale of the mels that it was trained with",
            where=str(path),
            why="the generator reads (mel - mean) / scale, which is no layer of it",
            hint="save it without the buffers 'mean' and 'scale', and give it normalized mels",
        )
    folded = fold_weight_norm(state)
    return {name: value.float().numpy() for name, value in folded.items()}


def _check_archive(path: Path) -> None:
    """Raise for an archive that inflates to more than a checkpoint does; torch compresses none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            check_inflated(size, path.stat().st_size)


def _check_tensors(state: Mapping[Any, torch.Tensor], where: str) -> None:
    """Raise for a tensor that is not an array of numbers, or has no name."""
    for name, value in state.items():
        if not isinstance(name, str):
            raise ModelError(
                "a tensor of the checkpoint has no name", where=where, why=f"it has {name!r:.80}"
            )
        kind = next((text for text, has in _odd_forms(value) if has), "")
        if kind:
            raise ModelError(f"'{name}' is {kind}, not an array of numbers", where=where)


def _odd_forms(value: torch.Tensor) -> tuple[tuple[str, bool], ...]:
    return (
        ("a tensor without data", value.device.type != "cpu"),
        ("sparse", value.layout != torch.strided),
        ("quantized", value.is_quantized),
        ("a view that repeats its numbers", _is_larger_than_its_data(value)),
        (f"of {value.dtype}", value.dtype.is_complex or value.dtype == torch.bool),
    )


def _is_larger_than_its_data(value: torch.Tensor) -> bool:
    plain = value.layout == torch.strided and value.device.type == "cpu"
    return bool(plain and value.nbytes > value.untyped_storage().nbytes())


_PAIRS = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def fold_weight_norm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each pair (g, v) of a state dict by weight = g * v / |v|.

    The norm runs over every axis but the first (torch.nn.utils.weight_norm, dim=0), for transposed
    convs too.

    Raises:
        ModelError: one of a pair is missing, or does not fit the other.
    """
    plain = dict(state)
    for gain_end, direction_end in _PAIRS:
        for name in [name for name in plain if name.endswith(direction_end)]:
            base = name.removesuffix(direction_end)
            if base + gain_end not in plain:
                raise ModelError(f"the checkpoint has {name} without {base}{gain_end}")
            gain, direction = plain.pop(base + gain_end), plain.pop(name)
            if not direction.ndim or gain.numel() != direction.shape[0] or not gain.numel():
                raise ModelError(
                    f"the two parts of {base}.weight do not fit each other",
                    why=f"{tuple(gain.shape)} lengths of {tuple(direction.shape)} values",
                )
            norm = direction.flatten(1).norm(dim=1).reshape(gain.shape)
            plain[base + ".weight"] = direction * (gain / norm)
    return plain


def with_weight_norm(generator: Generator) -> Generator:
    """The same generator, each conv reparametrized for training, in place."""
    convs = (nn.Conv1d, nn.ConvTranspose1d)
    for module in [m for m in generator.modules() if isinstance(m, convs)]:
        nn.utils.parametrizations.weight_norm(module)
    return generator
