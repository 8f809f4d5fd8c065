"""Checkpoints and configs of ParallelWaveGAN and ESPnet, odd rates, and lists that are too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml

import hexconv
from hexconv.errors import ConfigError, FileError, ModelError
from hexconv.models import config, layers, onnx_writer

torch = pytest.importorskip("torch")

from hexconv.models import exporting, hifigan  # noqa: E402  # needs torch

ODD = config.GeneratorConfig(
    "1", (5, 3, 4), (10, 6, 8), 16, (3, 5), ((1, 3), (1, 2)), hop_size=60, win_size=240
)


def as_parallel_wavegan(weights: Any, prefix: str = "") -> dict[str, Any]:
    """The names of HiFiGANGenerator, as ParallelWaveGAN and ESPnet save them."""
    found = {}
    for name, value in weights.items():
        parts = name.split(".")
        if parts[0] == "conv_pre":
            made = f"input_conv.{parts[1]}"
        elif parts[0] == "conv_post":
            made = f"output_conv.1.{parts[1]}"
        elif parts[0] == "ups":
            made = f"upsamples.{parts[1]}.1.{parts[2]}"
        else:
            _, block, convs, index, end = parts
            made = f"blocks.{block}.{'convs1' if convs == 'convs' else convs}.{index}.1.{end}"
        found[prefix + made] = torch.from_numpy(value)
    return found


@pytest.mark.parametrize("block", ["1", "2"])
@pytest.mark.parametrize("place", ["model", "prefix", "flat"])
def test_weights_of_other_names_are_the_official_ones(
    block: str, place: str, tmp_path: Path
) -> None:
    small = config.GeneratorConfig(block, (8, 8, 4), (16, 16, 8), 16, (3, 5), ((1, 3), (1, 2)))
    weights = layers.seeded(small, 3)
    state = as_parallel_wavegan(weights, "tts.generator.decoder." if place == "prefix" else "")
    others = {"tts.generator.text_encoder.emb.weight": torch.zeros(3, 4)}
    loaded = {
        "model": {"model": {"generator": state, "discriminator": {}}, "steps": 3},
        "prefix": {**others, **state},
        "flat": state,
    }[place]
    torch.save(loaded, tmp_path / "c.pkl")
    read = hifigan.read_checkpoint(tmp_path / "c.pkl")
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)
    hifigan.from_weights(small, read)


@pytest.mark.parametrize("prefix", ["module.", "generator.", "module.dec."])
def test_official_names_may_have_a_prefix(prefix: str, tmp_path: Path) -> None:
    weights = layers.seeded(ODD)
    state = {prefix + name: torch.from_numpy(value) for name, value in weights.items()}
    others = {"mpd.conv_post.weight": torch.zeros(3), "upconv_pre.weight": torch.zeros(3)}
    torch.save({"epoch": 3, "state_dict": {**others, **state}}, tmp_path / "c.ckpt")
    read = hifigan.read_checkpoint(tmp_path / "c.ckpt")
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)


def test_statistics_of_mels_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    state = as_parallel_wavegan(layers.seeded(ODD))
    statistics = {"mean": torch.zeros(16), "scale": torch.ones(16)}
    torch.save({"model": {"generator": {**state, **statistics}}}, tmp_path / "c.pkl")
    with pytest.raises(ModelError, match="has the mean and the scale") as caught:
        hifigan.read_checkpoint(tmp_path / "c.pkl")
    assert "give it normalized mels" in str(caught.value)


def test_a_part_that_hexconv_has_not_is_named(tmp_path: Path) -> None:
    state = as_parallel_wavegan(layers.seeded(ODD))
    torch.save({**state, "global_conv.weight": torch.zeros(16, 4, 1)}, tmp_path / "c.pkl")
    with pytest.raises(ModelError, match="global_conv"):
        hifigan.from_weights(ODD, hifigan.read_checkpoint(tmp_path / "c.pkl"))


@pytest.mark.parametrize("rate", [3, 5, 7])
def test_odd_rates_are_padded_as_parallel_wavegan_pads_them(rate: int) -> None:
    assert config.upsample_padding(2 * rate, rate) == (rate // 2 + rate % 2, rate % 2)


def test_odd_rates_agree_in_torch_onnx_and_on_the_dsp() -> None:
    weights = layers.seeded(ODD, 1)
    generator = hifigan.from_weights(ODD, weights)
    model = onnx_writer.write(ODD, weights)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for frames in (1, 2, 12):
        mel = exporting.random_mel(ODD, frames)
        (made,) = session.run(None, {"inputs": mel})
        assert made.shape == (1, 1, 60 * frames)
        assert np.allclose(made, hifigan.run(generator, mel), rtol=1e-3, atol=1e-4)
    mel = exporting.random_mel(ODD, 36)
    samples = [{"inputs": mel[..., k : k + 12]} for k in (0, 12, 24)]
    converted = hexconv.convert(model, {"inputs": (1, 80, 12)}, samples)
    (expected,) = session.run(None, samples[0])
    found = hexconv.simulate(converted, samples[0])["output"]
    assert 10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()) > 25


def test_more_lists_of_dilations_than_kernels_are_left_out() -> None:
    keys = {
        "resblock": "1",
        "upsample_rates": [8, 8, 4],
        "upsample_kernel_sizes": [16, 16, 8],
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 3], [1, 2], [1, 5]],
    }
    assert config.from_mapping(keys).resblock_dilation_sizes == ((1, 3), (1, 2))


PARAMS = {
    "in_channels": 80,
    "out_channels": 1,
    "channels": 16,
    "kernel_size": 7,
    "upsample_scales": [5, 3, 4],
    "upsample_kernel_sizes": [10, 6, 8],
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
    "use_additional_convs": True,
}
YAML = {
    "sampling_rate": 22050,
    "fft_size": 1024,
    "hop_size": 60,
    "win_length": None,
    "fmin": 0,
    "fmax": 8000,
    "generator_params": PARAMS,
}


def test_the_yaml_of_parallel_wavegan_is_a_config(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(YAML))
    found = config.read(tmp_path / "c.yaml")
    assert found.upsample_rates == (5, 3, 4) and found.resblock == "1"
    assert (found.n_fft, found.win_size, found.hop_size) == (1024, 1024, 60)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("generator_params: [1]", ConfigError),
        ("- a", ConfigError),
        ("a: [", FileError),
        (yaml.safe_dump({**YAML, "generator_params": {**PARAMS, "kernel_size": 5}}), ConfigError),
        (yaml.safe_dump({**YAML, "generator_params": {}}), ConfigError),
    ],
)
def test_a_yaml_that_is_no_config_is_an_error(text: str, kind: Any, tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(kind):
        config.read(tmp_path / "c.yml")
