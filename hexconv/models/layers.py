"""Every conv of a HiFi-GAN generator: names as in the official checkpoints, sizes, and weights.

The torch module, the ONNX writer and the stored weights all use these names. Weights are a dict
from official name (`ups.0.weight`) to float32 array, weight norm already folded away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv import numpy_files
from hexconv.errors import ModelError
from hexconv.models.config import OUTER_KERNEL, GeneratorConfig, upsample_padding

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Layer:
    """One conv, or one transposed conv, along time.

    Attributes:
        name: as in the checkpoint, without `.weight` and `.bias`.
        transposed: a transposed conv (upsampling).
        inputs, outputs: channels.
        kernel, stride, dilation: along time.
        padding: on both sides.
        output_padding: of a transposed conv: samples more at the end.
    """

    name: str
    transposed: bool
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    output_padding: int = 0

    @property
    def weight_shape(self) -> tuple[int, int, int]:
        """(outputs, inputs, kernel); a transposed conv has its inputs first."""
        pair = (self.inputs, self.outputs) if self.transposed else (self.outputs, self.inputs)
        return (*pair, self.kernel)

    @property
    def taps(self) -> int:
        """The number of products per output value."""
        return self.inputs * self.kernel // (self.stride if self.transposed else 1)


def block_names(config: GeneratorConfig, stage: int) -> tuple[str, ...]:
    """The parallel residual blocks after upsampling `stage`."""
    count = len(config.resblock_kernel_sizes)
    return tuple(f"resblocks.{stage * count + i}" for i in range(count))


def _same(name: str, channels: int, kernel: int, dilation: int) -> Layer:
    padding = (kernel - 1) * dilation // 2
    return Layer(name, False, channels, channels, kernel, 1, dilation, padding)


def _blocks(config: GeneratorConfig, stage: int) -> Iterator[Layer]:
    channels = config.channels[stage + 1]
    kinds = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
    for block, (kernel, dilations) in zip(block_names(config, stage), kinds, strict=True):
        for i, dilation in enumerate(dilations):
            if config.resblock == "1":
                yield _same(f"{block}.convs1.{i}", channels, kernel, dilation)
                yield _same(f"{block}.convs2.{i}", channels, kernel, 1)
            else:
                yield _same(f"{block}.convs.{i}", channels, kernel, dilation)


def layers(config: GeneratorConfig) -> dict[str, Layer]:
    """Every conv of the generator by name, in the order of computation."""
    channels, half = config.channels, (OUTER_KERNEL - 1) // 2
    found = [Layer("conv_pre", False, config.num_mels, channels[0], OUTER_KERNEL, padding=half)]
    rates = zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)
    for stage, (rate, kernel) in enumerate(rates):
        padding = upsample_padding(kernel, rate)
        sizes = (channels[stage], channels[stage + 1], kernel, rate, 1, *padding)
        found.append(Layer(f"ups.{stage}", True, *sizes))
        found.extend(_blocks(config, stage))
    found.append(Layer("conv_post", False, channels[-1], 1, OUTER_KERNEL, padding=half))
    return {layer.name: layer for layer in found}


def shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Shape of each weight and bias by official name."""
    wanted: dict[str, tuple[int, ...]] = {}
    for layer in layers(config).values():
        wanted[f"{layer.name}.weight"] = layer.weight_shape
        wanted[f"{layer.name}.bias"] = (layer.outputs,)
    return wanted


def parameter_count(config: GeneratorConfig) -> int:
    """The number of parameters of the generator, weight norm folded away."""
    return sum(int(np.prod(shape)) for shape in shapes(config).values())


def seeded(config: GeneratorConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random weights that depend only on `config` and `seed`.

    Variances preserve the signal level through the net, unlike the 0.01 of the official
    initialization, with which an untrained net outputs almost zero and a comparison would
    compare noise. Such weights make sound, never speech.
    """
    draw = np.random.default_rng(seed)
    by_name = layers(config)
    weights = {}
    for name, shape in sorted(shapes(config).items()):
        layer = by_name[name.rsplit(".", 1)[0]]
        if name.endswith(".bias"):
            values = draw.uniform(-0.02, 0.02, shape)
        else:
            values = draw.standard_normal(shape) / np.sqrt(layer.taps)
            values *= 0.3 if name.startswith("resblocks.") else 1.0
        weights[name] = values.astype(np.float32)
    return weights


def check(config: GeneratorConfig, weights: Mapping[str, Any], *, where: str = "") -> None:
    """Check that `weights` are finite and fit `config`.

    Raises:
        ModelError: they are for another config (the differences are listed), or are not finite.
    """
    wanted = shapes(config)
    given = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = [
        f"{name} is {given.get(name, 'missing')}, the config says {wanted.get(name, 'absent')}"
        for name in sorted(wanted.keys() | given.keys())
        if wanted.get(name) != given.get(name)
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ModelError(
            "the weights are for another config",
            where=where,
            why="; ".join(wrong[:3]) + more,
            hint="give the config JSON that the weights were trained with",
        )
    broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
    if broken:
        raise ModelError("the weights are not finite", where=where, why=", ".join(broken[:3]))


def read_npz(config: GeneratorConfig, path: str | Path) -> dict[str, NDArray[np.float32]]:
    """Weights of a .npz of float arrays (float16 is widened), never unpickling anything.

    Raises:
        FileError: missing, or not a .npz of plain arrays.
        ModelError: weights of another config.
    """
    stored = numpy_files.read_npz(path, "the file of weights")
    weights = {name: array.astype(np.float32) for name, array in stored.items()}
    check(config, weights, where=str(path))
    return weights
