"""The configuration of a HiFi-GAN generator: the official JSON keys, checked, and derived values.

Keys and the meaning of each are those of the paper's official repository (config_v1.json ..
config_v3.json). Everything here is plain Python: no torch, no numpy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml

from hexconv.errors import ConfigError, FileError
from hexconv.files import parse_json, read_bytes

LEAKY_SLOPE = 0.1
"""Slope of every LeakyReLU of the generator except the last one."""

LAST_LEAKY_SLOPE = 0.01
"""Slope of the LeakyReLU before conv_post: the official code leaves torch's default there."""

_HINT = "start from one of the official config_v1.json, config_v2.json, config_v3.json"

OUTER_KERNEL = 7
"""Kernel of conv_pre and conv_post, fixed in the official code."""


@dataclass(frozen=True)
class GeneratorConfig:
    """One HiFi-GAN generator and its mel spectrogram.

    Attributes:
        resblock: "1" (pairs of a dilated and a plain conv) or "2" (dilated convs alone).
        upsample_rates: stride of each transposed conv; their product is the hop size.
        upsample_kernel_sizes: kernel of each; rate + an even number, or twice an odd rate.
        upsample_initial_channel: channels after conv_pre, halved by each upsampling.
        resblock_kernel_sizes: kernel (odd) of each residual block of a stage.
        resblock_dilation_sizes: dilations of each residual block.
        num_mels, n_fft, hop_size, win_size: bands, and samples.
        sampling_rate, fmin, fmax: Hz.
    """

    resblock: str
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    num_mels: int = 80
    n_fft: int = 1024
    hop_size: int = 256
    win_size: int = 1024
    sampling_rate: int = 22050
    fmin: float = 0.0
    fmax: float = 8000.0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ConfigError(
                "this is not a HiFi-GAN generator config",
                why=problem,
                hint=_HINT,
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels after conv_pre and after each upsampling."""
        first = self.upsample_initial_channel
        return tuple(first >> i for i in range(len(self.upsample_rates) + 1))

    @property
    def receptive_frames(self) -> int:
        """Mel frames on EACH side of a frame that its samples depend on, rounded up.

        Walks from the waveform back to the mel: a conv reaches (kernel-1)/2*dilation samples of its
        own rate; a transposed conv of kernel k, stride u and padding (k-u)/2 maps an output reach
        r to at most ceil((r + k - 1 - padding) / u) inputs.
        """
        reach = (OUTER_KERNEL - 1) // 2
        block = max(
            self._block_reach(kernel, dilations)
            for kernel, dilations in zip(
                self.resblock_kernel_sizes, self.resblock_dilation_sizes, strict=True
            )
        )
        stages = zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True)
        for rate, kernel in reversed(tuple(stages)):
            reach += block
            reach = -(-(reach + kernel - 1 - upsample_padding(kernel, rate)[0]) // rate)
        return reach + (OUTER_KERNEL - 1) // 2

    def _block_reach(self, kernel: int, dilations: tuple[int, ...]) -> int:
        dilated = sum((kernel - 1) // 2 * dilation for dilation in dilations)
        plain = (kernel - 1) // 2 * len(dilations) if self.resblock == "1" else 0
        return dilated + plain

    def to_json(self) -> str:
        """The config in the official repository's format (the keys that matter here)."""
        return json.dumps(asdict(self), indent=2) + "\n"


def upsample_padding(kernel: int, rate: int) -> tuple[int, int]:
    """Padding on both sides, and at the end of the output, with which T frames become rate * T.

    As the official code has it where kernel - rate is even; for odd rates as ParallelWaveGAN's
    HiFiGANGenerator.
    """
    odd = (kernel - rate) % 2
    return (kernel - rate + odd) // 2, odd


def _problem(config: GeneratorConfig) -> str:
    """The first reason why `config` is invalid, or ''."""
    rates, kernels = config.upsample_rates, config.upsample_kernel_sizes
    blocks, dilations = config.resblock_kernel_sizes, config.resblock_dilation_sizes
    checks = (
        (config.resblock in ("1", "2"), f"resblock is {config.resblock!r}, not '1' or '2'"),
        (bool(rates), "upsample_rates is empty"),
        (len(rates) == len(kernels), "upsample_rates and upsample_kernel_sizes differ in length"),
        (bool(blocks), "resblock_kernel_sizes is empty"),
        (
            len(blocks) == len(dilations),
            "resblock_kernel_sizes and resblock_dilation_sizes differ in length",
        ),
        (all(dilations), "a residual block has no dilations"),
        (
            min((*rates, *kernels, *blocks, *(d for row in dilations for d in row)), default=1) > 0,
            "a rate, kernel or dilation is not positive",
        ),
        (
            all(
                k >= u and ((k - u) % 2 == 0 or k == 2 * u)
                for u, k in zip(rates, kernels, strict=False)
            ),
            "an upsample kernel is smaller than its rate or differs from it by an odd number",
        ),
        (all(k % 2 for k in blocks), "a residual kernel is even"),
        (
            config.upsample_initial_channel >> len(rates) > 0
            and config.upsample_initial_channel % (1 << len(rates)) == 0,
            f"upsample_initial_channel {config.upsample_initial_channel} cannot be halved "
            f"{len(rates)} times",
        ),
        (
            prod(rates) == config.hop_size,
            f"the upsample rates make {prod(rates)} samples a frame, hop_size is {config.hop_size}",
        ),
        (
            0 < config.hop_size <= config.win_size <= config.n_fft,
            "hop_size, win_size and n_fft must grow in this order",
        ),
        (config.num_mels > 0, "num_mels is not positive"),
        (
            0 <= config.fmin < config.fmax <= config.sampling_rate / 2,
            f"fmin {config.fmin} and fmax {config.fmax} do not fit {config.sampling_rate} Hz",
        ),
    )
    return next((reason for good, reason in checks if not good), "")


PARALLEL_WAVEGAN = {
    "upsample_rates": "upsample_scales",
    "upsample_kernel_sizes": "upsample_kernel_sizes",
    "upsample_initial_channel": "channels",
    "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilation_sizes": "resblock_dilations",
    "num_mels": "in_channels",
}
"""Keys of `generator_params`, by the official ones."""


def _of_parallel_wavegan(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The official keys of a config of ParallelWaveGAN."""
    own = keys["generator_params"]
    if not isinstance(own, Mapping):
        raise ConfigError("generator_params of the config is not a mapping", hint=_HINT)
    found = {key: own[name] for key, name in PARALLEL_WAVEGAN.items() if name in own}
    found["resblock"] = "1" if own.get("use_additional_convs", True) else "2"
    found["n_fft"], found["win_size"] = keys.get("fft_size"), keys.get("win_length")
    found["win_size"] = found["win_size"] or found["n_fft"]
    if own.get("kernel_size", OUTER_KERNEL) != OUTER_KERNEL:
        raise ConfigError(f"kernel_size is {own['kernel_size']}, hexconv reads {OUTER_KERNEL}")
    for name in ("hop_size", "sampling_rate", "fmin", "fmax"):
        found[name] = keys.get(name)
    return found


def from_mapping(keys: Mapping[str, Any]) -> GeneratorConfig:
    """A config from the official JSON keys; keys that only concern training are ignored.

    Raises:
        ConfigError: a key is missing or its value is invalid.
    """
    if "generator_params" in keys:
        keys = _of_parallel_wavegan(keys)
    known = GeneratorConfig.__dataclass_fields__
    values = {name: keys[name] for name in known if name in keys and keys[name] is not None}
    try:
        values["resblock"] = str(values["resblock"])
        for name in ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes"):
            values[name] = tuple(_whole(v) for v in values[name])
        rows = list(values["resblock_dilation_sizes"])
        values["resblock_dilation_sizes"] = tuple(
            tuple(_whole(v) for v in row) for row in rows[: _rows(values, rows)]
        )
        for name in ("upsample_initial_channel", "num_mels", "n_fft", "hop_size", "win_size"):
            if name in values:
                values[name] = _whole(values[name])
        values.setdefault("fmax", values.get("sampling_rate", 22050) / 2)
        return GeneratorConfig(**values)
    except KeyError as error:
        raise ConfigError(
            f"the HiFi-GAN config has no key {error}",
            hint=_HINT,
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            "a value of the HiFi-GAN config cannot be read", why=str(error)
        ) from error


def _rows(values: Mapping[str, Any], rows: list[Any]) -> int:
    """How many lists of dilations count: the official code pairs them with the kernels."""
    return min(len(rows), len(values["resblock_kernel_sizes"]))


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError(f"{value} is not a whole number")
    return number


def parse(text: str, *, where: str = "") -> GeneratorConfig:
    """The config of an official JSON text.

    Raises:
        FileError: not JSON.
        ConfigError: JSON that is not a generator config.
    """
    try:
        keys = parse_json(text)
    except ValueError as error:
        raise FileError("the config is not JSON", where=where, why=str(error)) from error
    if not isinstance(keys, dict):
        raise ConfigError("the config is not a JSON object", where=where)
    return from_mapping(keys)


def read(path: str | Path) -> GeneratorConfig:
    """The config of an official JSON file, or of ParallelWaveGAN's YAML.

    Raises:
        FileError: missing, or not JSON or YAML.
        ConfigError: JSON that is not a generator config.
    """
    try:
        text = read_bytes(Path(path), "config").decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError("the config cannot be read", where=str(path), why=str(error)) from error
    if Path(path).suffix.lower() not in (".yml", ".yaml"):
        return parse(text, where=str(path))
    try:
        keys = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:300]
        raise FileError("the config is not YAML", where=str(path), why=why) from error
    if not isinstance(keys, dict):
        raise ConfigError("the config is not a mapping", where=str(path), hint=_HINT)
    return from_mapping(keys)


_SMALL_BLOCKS = ((3, 7, 11), ((1, 3, 5),) * 3)

V1 = GeneratorConfig("1", (8, 8, 2, 2), (16, 16, 4, 4), 512, *_SMALL_BLOCKS)
V2 = GeneratorConfig("1", (8, 8, 2, 2), (16, 16, 4, 4), 128, *_SMALL_BLOCKS)
V3 = GeneratorConfig("2", (8, 8, 4), (16, 16, 8), 256, (3, 5, 7), ((1, 2), (2, 6), (3, 12)))
VARIANTS = {"v1": V1, "v2": V2, "v3": V3}
