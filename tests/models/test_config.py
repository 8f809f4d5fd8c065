"""The generator's config: the official keys, and every way to get them wrong."""

import dataclasses
import json

import pytest

from hexconv.errors import ConfigError, FileError
from hexconv.models import config, layers

OFFICIAL_V3 = {
    "resblock": "2",
    "num_gpus": 0,
    "batch_size": 16,
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 256,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
    "segment_size": 8192,
    "num_mels": 80,
    "num_freq": 1025,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
    "fmax_for_loss": None,
    "dist_config": {"dist_backend": "nccl"},
}


def test_the_official_file_is_the_variant(tmp_path):
    path = tmp_path / "config_v3.json"
    path.write_text(json.dumps(OFFICIAL_V3))
    assert config.read(path) == config.V3


@pytest.mark.parametrize("variant", config.VARIANTS.values())
def test_a_config_survives_its_own_json(variant):
    assert config.parse(variant.to_json()) == variant


@pytest.mark.parametrize(("name", "millions"), [("v1", 13.92), ("v2", 0.92), ("v3", 1.46)])
def test_the_variants_have_the_papers_sizes(name, millions):
    count = layers.parameter_count(config.VARIANTS[name])
    assert int(count / 1e4) / 100 == millions


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"resblock": "3"}, "resblock is '3'"),
        ({"upsample_rates": [8, 8, 8]}, "512 samples a frame"),
        ({"upsample_rates": [8, 8]}, "differ in length"),
        ({"upsample_kernel_sizes": [16, 16, 7]}, "odd number"),
        ({"upsample_kernel_sizes": [16, 16, 2]}, "smaller than its rate"),
        ({"resblock_kernel_sizes": [3, 4, 7]}, "even"),
        ({"resblock_dilation_sizes": [[1, 2], [2, 6]]}, "differ in length"),
        ({"resblock_dilation_sizes": [[1, 2], [], [3]]}, "no dilations"),
        ({"upsample_initial_channel": 100}, "halved"),
        ({"upsample_initial_channel": 0}, "halved"),
        ({"num_mels": 0}, "num_mels"),
        ({"fmax": 20000}, "do not fit"),
        ({"win_size": 2048}, "must grow"),
        ({"upsample_rates": "fast"}, "invalid literal"),
        ({"upsample_rates": [-8, -8, 4]}, "not positive"),
    ],
)
def test_a_config_that_cannot_be_says_why(change, reason):
    with pytest.raises(ConfigError, match=reason):
        config.from_mapping(OFFICIAL_V3 | change)


def test_a_missing_key_is_named():
    keys = {k: v for k, v in OFFICIAL_V3.items() if k != "resblock"}
    with pytest.raises(ConfigError, match="resblock"):
        config.from_mapping(keys)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_not_a_json_object_is_rejected(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises((FileError, ConfigError)):
        config.read(path)


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(FileError):
        config.read(tmp_path / "none.json")


def test_unset_fmax_is_half_the_rate():
    keys = OFFICIAL_V3 | {"fmax": None}
    assert config.from_mapping(keys).fmax == 11025


def test_configs_are_facts():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.V1.resblock = "2"
