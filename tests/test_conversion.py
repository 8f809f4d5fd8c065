"""End to end: the result of a conversion, reproducible, and the same when loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.errors import HexconvWarning
from hexconv.from_deployment import convert_deployment
from hexconv.mace.read import read_graph
from hexconv.model import Model
from hexconv.models.encoder import EncoderConfig, reference_encoder, sample_speech
from hexconv.nnlib.check import check as check_graph

SMALL = EncoderConfig(
    frames=12, bands=16, channels=8, width=32, heads=2, feed_forward=64, blocks=1, labels=20
)


def samples(config: EncoderConfig, count: int = 2) -> list[dict[str, np.ndarray]]:
    return [{"speech": x} for x in sample_speech(count, config)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    onnx.save(reference_encoder(SMALL), path)
    return path


@pytest.fixture(scope="module")
def model(source: Path) -> Model:
    return hexconv.convert(source, samples=samples(SMALL))


def test_the_reference_encoder_as_exported_has_the_histogram_that_the_field_knows() -> None:
    config = EncoderConfig()
    made = hexconv.convert(reference_encoder(), samples=samples(config, 1), optimize="none")
    ops = made.graph.histogram()
    assert ops["QuantizedMatMul_8x8to32"] == 26
    assert ops["QuantizedBatchMatMul_8x8to32"] == 8
    assert ops["Requantize_32to8"] == 34
    assert ops["QuantizedMean_8"] == 18
    assert ops["QuantizedSqrt_8"] == 9
    assert ops["QuantizedSoftmax_8"] == 5
    assert ops["QuantizedAdd_8p8to8"] == 52
    assert ops["QuantizedReshape"] == 18
    assert 17 <= ops["Transpose_8"] <= 22  # the model has 17; "about 20" as the field counts


@pytest.mark.parametrize("level", ["none", "default"])
def test_the_same_model_gives_the_same_bytes(source: Path, tmp_path: Path, level: str) -> None:
    for folder in ("a", "b"):
        made = hexconv.convert(source, samples=samples(SMALL), optimize=level)
        files = made.save(tmp_path / folder)
    for path in files:
        assert (tmp_path / "a" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("level", ["none", "default"])
def test_what_is_loaded_equals_what_was_saved(source: Path, tmp_path: Path, level: str) -> None:
    made = hexconv.convert(source, samples=samples(SMALL), optimize=level)
    made.save(tmp_path)
    loaded = read_graph(tmp_path / "encoder.pb")
    assert loaded.consts == made.graph.consts
    assert loaded.nodes == made.graph.nodes
    assert (loaded.inputs, loaded.outputs) == (made.graph.inputs, made.graph.outputs)
    check_graph(loaded)


def test_a_loaded_model_returns_bit_for_bit_the_same(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    feeds = samples(SMALL, 1)[0]
    before = hexconv.simulate(model, feeds)["fa_out"]
    after = hexconv.simulate(hexconv.load(tmp_path / "encoder.pb"), feeds)["fa_out"]
    assert np.array_equal(before, after)


def test_a_saved_model_is_converted_again_from_its_yaml(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "one")
    again = convert_deployment(tmp_path / "one" / "encoder.yml")
    again.save(tmp_path / "two")
    for suffix in ("pb", "data", "yml", "ranges"):
        one, two = (tmp_path / folder / f"encoder.{suffix}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_ranges_of_a_file_survive_a_conversion_that_does_not_need_them(
    source: Path, model: Model, tmp_path: Path
) -> None:
    """The range file written beside the model may overwrite the one that was read."""
    plain = hexconv.convert(source, samples=samples(SMALL), optimize="none").ranges
    made = hexconv.convert(source, ranges=dict(plain), samples=samples(SMALL))
    assert set(plain) <= set(made.ranges)


def test_the_interface_is_four_dimensional_in_the_protobuf(model: Model, tmp_path: Path) -> None:
    """MACE's run function reads shape [0..3] of every input without padding it."""
    from hexconv.mace import proto

    model.save(tmp_path)
    net = proto.MultiNetDef.FromString((tmp_path / "encoder.pb").read_bytes()).net_def[0]
    infos = [*net.input_info, *net.output_info]
    assert [len(info.dims) for info in infos] == [4] * len(infos)
    assert all(len(tensor.dims) <= 4 for tensor in net.tensors)
    ids = [tensor.node_id for tensor in net.tensors] + [op.node_id for op in net.op]
    assert ids == list(range(len(ids)))


def test_accuracy_is_that_of_eight_bits(source: Path, model: Model) -> None:
    """Softmax over 20 labels of an untrained network: its noise is that of a dozen 8-bit layers."""
    found = accuracy(model, source, samples(SMALL))
    assert found["fa_out"].sqnr > 15
    assert found["fa_out"].largest <= found["fa_out"].peak


NAMES = ["a::b", "/layer/x.1", "with space", "语音", "x:0", "café"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_exporter_survive(tmp_path: Path, name: str) -> None:
    weight = numpy_helper.from_array(np.eye(8, dtype=np.float32), f"{name}/weight")
    nodes = [
        helper.make_node("MatMul", [name, weight.name], [f"{name}.mid"], name=f"{name}#1"),
        helper.make_node("Relu", [f"{name}.mid"], [f"{name}->out"], name=f"{name}#2"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "names",
        [info(name, TensorProto.FLOAT, [1, 4, 8])],
        [info(f"{name}->out", TensorProto.FLOAT, [1, 4, 8])],
        [weight],
    )
    path = tmp_path / "names.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    feeds = {name: np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 4, 8)}
    made = hexconv.convert(path, samples=[feeds])
    made.save(tmp_path)
    loaded = hexconv.load(tmp_path / "names.pb")
    assert [item.name for item in loaded.graph.inputs] == [name]
    output = hexconv.simulate(loaded, feeds)[f"{name}->out"]
    assert np.abs(output - np.maximum(feeds[name], 0)).max() < 0.02  # two LSB of 2/255
    again = convert_deployment(tmp_path / "names.yml")
    assert [item.name for item in again.graph.outputs] == [f"{name}->out"]
    assert again.graph.nodes == made.graph.nodes


def test_warnings_name_the_line_that_converts() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy"]
    proto = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), ir_version=8)
    with pytest.warns(HexconvWarning) as told:
        hexconv.convert(proto, samples=[{"x": np.zeros((1, 8), np.float32)}])
    assert told[0].filename == __file__
