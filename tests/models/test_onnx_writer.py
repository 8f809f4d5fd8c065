"""ONNX files of a generator, written without torch."""

import numpy as np
import onnx
import onnxruntime
import pytest

from hexconv.errors import ConfigError, ModelError
from hexconv.models import config, layers, onnx_writer
from hexconv.models.onnx_writer import VocoderForm

SMALL = config.GeneratorConfig("1", (8, 8, 4), (16, 16, 8), 16, (3, 5), ((1, 3), (1, 2)))
SMALL_2 = config.GeneratorConfig("2", (8, 8, 4), (16, 16, 8), 16, (3, 5), ((1, 3), (1, 2)))


def run(model, spectrum):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: spectrum})[0]


def mel(frames):
    return np.random.default_rng(frames).standard_normal((1, 80, frames)).astype(np.float32)


@pytest.mark.parametrize("small", [SMALL, SMALL_2])
@pytest.mark.parametrize("opset", [7, 11, 17, onnx_writer.OPSETS[-1]])
def test_every_opset_gives_the_same_wave(small, opset):
    weights = layers.seeded(small)
    expected = run(onnx_writer.write(small, weights), mel(7))
    assert expected.shape == (1, 1, 7 * 256)
    made = onnx_writer.write(small, weights, VocoderForm(opset=opset))
    assert made.opset_import[0].version == opset
    assert np.array_equal(run(made, mel(7)), expected)


def test_the_2d_form_is_the_same_network():
    weights = layers.seeded(SMALL)
    plain = run(onnx_writer.write(SMALL, weights), mel(260))
    model = onnx_writer.write(SMALL, weights, VocoderForm(conv2d=True, length=260))
    made = run(model, mel(260)[..., None])
    assert made.shape == (1, 1, 66560, 1)
    assert np.abs(made.ravel() - plain.ravel()).max() < 1e-5


def test_names_and_fixed_length_are_as_requested():
    form = VocoderForm(length=12, input_name="speech", output_name="wave")
    graph = onnx_writer.write(SMALL, layers.seeded(SMALL), form).graph
    assert [graph.input[0].name, graph.output[0].name] == ["speech", "wave"]
    sizes = [
        [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)
    ]
    assert sizes == [[1, 80, 12], [1, 1, 3072]]


def test_the_file_is_folded_and_deterministic():
    first, second = (onnx_writer.write(SMALL, layers.seeded(SMALL, 3)) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    kinds = {node.op_type for node in first.graph.node}
    assert kinds == {"Conv", "ConvTranspose", "LeakyRelu", "Add", "Div", "Tanh"}
    assert all(node.name for node in first.graph.node)


def test_config_and_weights_come_back_from_the_file():
    weights = layers.seeded(SMALL)
    for conv2d in (False, True):
        model = onnx_writer.write(SMALL, weights, VocoderForm(conv2d=conv2d), origin="a test")
        assert onnx_writer.config_of(model) == SMALL
        back = onnx_writer.weights_of(model)
        assert back.keys() == weights.keys()
        assert all(np.array_equal(back[name], weights[name]) for name in weights)


def test_a_foreign_file_has_no_config():
    assert onnx_writer.config_of(onnx.ModelProto()) is None


@pytest.mark.parametrize(
    "form",
    [{"opset": 6}, {"opset": 99}, {"length": 0}, {"input_name": ""}, {"input_name": "output"}],
)
def test_a_form_that_cannot_be_is_rejected(form):
    with pytest.raises(ConfigError):
        VocoderForm(**form)


def test_weights_of_another_config_are_rejected():
    with pytest.raises(ModelError, match="another config") as caught:
        onnx_writer.write(SMALL_2, layers.seeded(SMALL))
    assert "resblocks.0.convs.0.bias is missing" in str(caught.value)


def test_weights_that_are_not_finite_are_rejected():
    weights = layers.seeded(SMALL)
    weights["conv_post.bias"] = np.array([np.nan], np.float32)
    with pytest.raises(ModelError, match="not finite"):
        onnx_writer.write(SMALL, weights)


@pytest.mark.parametrize("name", ["v2", "v3"])
def test_the_receptive_field_is_what_the_network_reaches(name):
    variant = config.VARIANTS[name]
    reach, frames = variant.receptive_frames, 2 * variant.receptive_frames + 9
    middle = frames // 2
    model = onnx_writer.write(variant, layers.seeded(variant))
    touched = mel(frames)
    touched[:, :, middle] += 1
    moved = (run(model, touched) != run(model, mel(frames))).reshape(frames, -1).any(axis=1)
    reached = np.flatnonzero(moved) - middle
    assert -reach <= reached.min() and reached.max() <= reach
    assert max(-reached.min(), reached.max()) >= reach - 1
