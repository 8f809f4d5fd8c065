"""`hexconv export hifigan` as a person calls it."""

import json

import onnx
import pytest
from click.testing import CliRunner

from hexconv.cli.export import command
from hexconv.errors import HexconvError
from hexconv.models import config, layers

torch = pytest.importorskip("torch")

SMALL = config.GeneratorConfig("2", (8, 8, 4), (16, 16, 8), 16, (3,), ((1, 3),))


def call(*arguments):
    return CliRunner().invoke(command, ["hifigan", *(str(a) for a in arguments)])


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(SMALL.to_json())
    return path


def test_a_checkpoint_becomes_a_faithful_file(tmp_path, config_file):
    state = {name: torch.from_numpy(value) for name, value in layers.seeded(SMALL).items()}
    torch.save({"generator": state}, tmp_path / "g_1")
    out = tmp_path / "h.onnx"
    done = call("--config", config_file, "--checkpoint", tmp_path / "g_1", "-o", out, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert [row["frames"] for row in report["torch_comparison"]] == [32, 100, 163, 260]
    assert all(row["close"] == 1 for row in report["torch_comparison"])
    assert report["weights"] == "g_1"
    model = onnx.load(out)
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["inputs", "output"]
    assert model.graph.input[0].type.tensor_type.shape.dim[2].dim_param


def test_a_name_that_is_not_utf_8_is_a_name(tmp_path, config_file):
    out = tmp_path / "\udcff.onnx"
    done = call("--config", config_file, "-o", out, "-q")
    assert done.exception is None and onnx.load(out).graph.node


def test_random_weights_are_said_loudly(tmp_path, config_file):
    done = call("--config", config_file, "-o", tmp_path / "h.onnx", "--seed", 3)
    assert done.exit_code == 0
    assert "RANDOM (seed 3)" in done.output and "100.00%" in done.output


def test_the_2d_form_has_its_published_shape(tmp_path, config_file):
    out = tmp_path / "h.onnx"
    done = call("--config", config_file, "--conv2d", "--length", 260, "--opset", 11, "-o", out)
    assert done.exit_code == 0 and "1x1x66560x1" in done.output
    assert onnx.load(out).opset_import[0].version == 11


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--config", "a", "--variant", "v1"],
        ["--variant", "voice", "--checkpoint", "g"],
        ["--length", "0"],
    ],
)
def test_wrong_usage_is_reported(arguments):
    assert call(*arguments).exit_code == 2


def test_what_cannot_be_done_is_an_error_of_hexconv(tmp_path, config_file):
    (tmp_path / "g").write_bytes(b"no checkpoint")
    for arguments in (
        ["--config", tmp_path / "none.json"],
        ["--config", config_file, "--checkpoint", tmp_path / "g"],
        ["--config", config_file, "--opset", "3"],
        ["--config", config_file, "-o", "/proc/none/h.onnx"],
    ):
        done = call("-o", tmp_path / "h.onnx", *arguments)
        assert isinstance(done.exception, HexconvError), done.output
