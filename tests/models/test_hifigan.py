"""The torch generator, and official checkpoints of every age."""

import pickle
import zipfile

import numpy as np
import onnxruntime
import pytest

from hexconv.errors import FileError, ModelError
from hexconv.models import config, layers, onnx_writer

torch = pytest.importorskip("torch")

from hexconv.models import exporting, hifigan  # noqa: E402  # needs torch

SMALL = config.GeneratorConfig("1", (8, 8, 4), (16, 16, 8), 16, (3, 5), ((1, 3), (1, 2)))


@pytest.fixture
def weights():
    return layers.seeded(SMALL, 5)


def official_state(weights, *, old):
    """A state dict as the official code saves it, with weight norm."""
    ends = (
        (".weight_g", ".weight_v")
        if old
        else (".parametrizations.weight.original0", ".parametrizations.weight.original1")
    )
    state = {}
    for name, value in weights.items():
        tensor = torch.from_numpy(value)
        if name.endswith(".weight"):
            base = name.removesuffix(".weight")
            gain = tensor.flatten(1).norm(dim=1)[:, None, None]
            state[base + ends[0]] = gain
            state[base + ends[1]] = tensor * 3.0
        else:
            state[name] = tensor
    return state


@pytest.mark.parametrize(("variant", "millions"), [("v1", 13.92), ("v2", 0.92), ("v3", 1.46)])
def test_the_module_has_the_papers_sizes(variant, millions):
    with torch.device("meta"):
        generator = hifigan.Generator(config.VARIANTS[variant])
    count = sum(value.numel() for value in generator.state_dict().values())
    assert int(count / 1e4) / 100 == millions
    shapes = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    assert shapes == layers.shapes(config.VARIANTS[variant])


@pytest.mark.parametrize("old", [True, False])
def test_checkpoints_of_old_and_new_torch_are_read(tmp_path, weights, old):
    path = tmp_path / "g_00000001"
    torch.save({"generator": official_state(weights, old=old)}, path)
    read = hifigan.read_checkpoint(path)
    assert read.keys() == weights.keys()
    assert all(np.allclose(read[name], weights[name], atol=1e-6) for name in weights)


def test_torchs_own_weight_norm_folds_to_the_same(weights):
    generator = hifigan.with_weight_norm(hifigan.from_weights(SMALL, weights))
    folded = hifigan.weights_of(generator)
    assert all(np.allclose(folded[name], weights[name], atol=1e-6) for name in weights)


def test_a_wave_of_the_fields_length():
    generator = hifigan.from_weights(SMALL, layers.seeded(SMALL))
    wave = hifigan.run(generator, exporting.random_mel(SMALL, 163))
    assert wave.shape == (1, 1, 41728)
    assert np.abs(wave).max() <= 1


class Malicious:
    """Pickles to a call."""

    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_checkpoint_never_runs_code(tmp_path, capsys):
    path = tmp_path / "g_evil"
    torch.save({"generator": {"conv_pre.weight": Malicious()}}, path)
    with pytest.raises(FileError, match="contains only weights"):
        hifigan.read_checkpoint(path)
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(FileError):
        hifigan.read_checkpoint(path)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken", b"\x80\x02."])
def test_what_is_not_a_checkpoint_is_rejected(tmp_path, content):
    path = tmp_path / "g"
    path.write_bytes(content)
    with pytest.raises(FileError):
        hifigan.read_checkpoint(path)


def test_a_checkpoint_that_inflates_without_end_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr("hexconv.paths.INFLATED", 1 << 16)
    torch.save({"generator": {"conv_pre.weight": torch.zeros(1 << 18)}}, tmp_path / "stored")
    with (
        zipfile.ZipFile(tmp_path / "stored") as stored,
        zipfile.ZipFile(tmp_path / "g", "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for name in stored.namelist():
            made.writestr(name, stored.read(name))
    assert hifigan.read_checkpoint(tmp_path / "stored")["conv_pre.weight"].size == 1 << 18
    with pytest.raises(FileError, match="inflate to"):
        hifigan.read_checkpoint(tmp_path / "g")


def test_a_tensor_larger_than_its_numbers_is_rejected(tmp_path):
    torch.save({"generator": {"conv_pre.weight": torch.ones(1).expand(1 << 40)}}, tmp_path / "g")
    with pytest.raises(ModelError, match="a view that repeats its numbers"):
        hifigan.read_checkpoint(tmp_path / "g")


def test_a_missing_checkpoint_is_rejected(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        hifigan.read_checkpoint(tmp_path / "none")
    with pytest.raises(FileError):
        hifigan.read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content",
    [{"mpd": {}}, {"generator": {"weight": 1}}, [1, 2], {"generator": {"conv_pre.bias": 1}}],
)
def test_a_checkpoint_without_generator_is_rejected(tmp_path, content):
    path = tmp_path / "do_1"
    torch.save(content, path)
    with pytest.raises(ModelError, match="no HiFi-GAN generator"):
        hifigan.read_checkpoint(path)


def test_half_a_weight_norm_pair_is_rejected(tmp_path, weights):
    state = official_state(weights, old=True)
    del state["conv_pre.weight_g"]
    torch.save({"generator": state}, tmp_path / "g")
    with pytest.raises(ModelError, match=r"conv_pre\.weight_v without"):
        hifigan.read_checkpoint(tmp_path / "g")


def test_a_checkpoint_of_another_config_says_what_differs(weights):
    other = config.GeneratorConfig("1", (8, 8, 4), (16, 16, 8), 32, (3, 5), ((1, 3), (1, 2)))
    with pytest.raises(ModelError, match="another config") as caught:
        hifigan.from_weights(other, weights)
    assert "the config says (32, 80, 7)" in str(caught.value)


@pytest.mark.parametrize("block", ["1", "2"])
def test_onnx_and_torch_agree(block):
    small = config.GeneratorConfig(block, (8, 8, 4), (16, 16, 8), 16, (3, 5), ((1, 3), (1, 2)))
    weights = layers.seeded(small, 1)
    generator = hifigan.from_weights(small, weights)
    model = onnx_writer.write(small, weights)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for frames in (1, 2, 50):
        spectrum = exporting.random_mel(small, frames)
        made = session.run(None, {"inputs": spectrum})[0]
        assert np.allclose(made, hifigan.run(generator, spectrum), rtol=1e-3, atol=1e-4)
