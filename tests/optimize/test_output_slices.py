"""`output_slices`: an output of more than 8 bits, wherever the graph runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import hexconv
from hexconv.cli import group
from hexconv.compare import verify
from hexconv.device import Library
from hexconv.errors import ConfigError
from hexconv.exact import export
from hexconv.model import load
from hexconv.onnx_graph.reference import as_exported
from hexconv.schema import check_document
from hexconv.simulator import Simulator
from hexconv.slices import Slices
from tests import real_library
from tests.lowering.proof import Array, model, numbers


def linear() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["b", "product"], ["y"]),
    ]
    consts = {"w": numbers((32, 12), 1) / 6, "b": numbers((12,), 2)}
    return model(nodes, {"x": (1, 5, 32)}, ["y"], consts)


def one_row() -> onnx.ModelProto:
    """Which would be a MatMul, rounded before its bias: 600 classes of 64 numbers."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1, alpha=0.5, beta=2.0)]
    consts = {"w": numbers((600, 64), 1) / 8, "b": numbers((600,), 2)}
    return model(nodes, {"x": (1, 64)}, ["y"], consts)


def image() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["y"], pads=[1] * 4),
    ]
    return model(nodes, {"x": (1, 6, 9, 7)}, ["y"], {"w": numbers((5, 6, 3, 3), 1) / 7})


def wave() -> onnx.ModelProto:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["l"], alpha=0.1),
        helper.make_node("Conv", ["l", "w", "b"], ["c"], pads=[3, 3]),
        helper.make_node("Tanh", ["c"], ["y"]),
    ]
    consts = {"w": numbers((1, 16, 7), 1) / 9, "b": np.float32([0.1])}
    return model(nodes, {"x": (1, 16, 64)}, ["y"], consts)


def transposed() -> onnx.ModelProto:
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])]
    return model(nodes, {"x": (1, 8, 5, 6)}, ["y"], {"w": numbers((8, 3, 2, 2), 1) / 3})


def norm() -> onnx.ModelProto:
    """Which ends with a factor and an addend for each channel."""
    nodes = [helper.make_node("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1)]
    consts = {"g": 1.0 + 0.3 * numbers((64,), 1), "b": 0.3 * numbers((64,), 2)}
    return model(nodes, {"x": (1, 24, 64)}, ["y"], consts, opset=17)


def batch_norm() -> onnx.ModelProto:
    """Behind a pool, so that no convolution takes it; then a tanh."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["p", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Tanh", ["n"], ["y"]),
    ]
    consts = {name: numbers((6,), i) for i, name in enumerate("sbm")}
    consts["v"] = np.float32([0.5, 1.0, 2.0, 0.7, 1.3, 0.9])
    return model(nodes, {"x": (1, 6, 10, 8)}, ["y"], consts)


NETS = {
    "linear": linear,
    "one row": one_row,
    "image": image,
    "wave": wave,
    "transposed": transposed,
    "norm": norm,
    "batch norm": batch_norm,
}
CHANNELS = {
    "linear": 2,
    "one row": 1,
    "image": 1,
    "wave": 1,
    "transposed": 1,
    "norm": 2,
    "batch norm": 1,
}


def feeds(proto: onnx.ModelProto, count: int, first: int = 0) -> list[dict[str, Array]]:
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": numbers(tuple(shape), seed)} for seed in range(first, first + count)]


def converted(name: str, slices: int, **settings: object) -> tuple[onnx.ModelProto, hexconv.Model]:
    proto = NETS[name]()
    asked = {"y": slices} if slices > 1 else {}
    return proto, hexconv.convert(proto, samples=feeds(proto, 8), output_slices=asked, **settings)


def sqnr(proto: onnx.ModelProto, made: hexconv.Model) -> float:
    report = verify(made, proto, held_out=feeds(proto, 3, 50))
    assert report.outputs[0].held_out is not None
    return report.outputs[0].held_out.sqnr


@pytest.mark.parametrize(
    ("name", "gain"), [("linear", 4.0), ("one row", 1.0), ("wave", 0.5), ("norm", 2.0)]
)
def test_four_slices_are_better_than_one(name: str, gain: float) -> None:
    """By how much depends on what the noise in front of the output leaves."""
    assert sqnr(*converted(name, 4)) > sqnr(*converted(name, 1)) + gain


@pytest.mark.parametrize("name", NETS)
def test_outputs_have_the_models_shape_and_the_dsp_has_n_times_the_channels(name: str) -> None:
    proto, made = converted(name, 4)
    (item,) = made.graph.outputs
    (sample,) = feeds(proto, 1, 50)
    assert Simulator(made).run(sample)["y"].shape == item.shape
    assert item.raw_shape[CHANNELS[name]] == 4 * item.shape[CHANNELS[name]]
    assert int(np.prod(item.bhwd)) == 4 * int(np.prod(item.shape))
    assert sqnr(proto, made) >= sqnr(*converted(name, 1)) - 0.5


@pytest.mark.parametrize("name", NETS)
def test_a_saved_model_returns_the_same_and_its_reference_returns_slices(
    name: str, tmp_path: Path
) -> None:
    import onnxruntime

    proto, made = converted(name, 3)
    (sample,) = feeds(proto, 1, 50)
    paths = {path.name.partition(".")[2]: path for path in made.save(tmp_path)}
    expected = Simulator(made).run(sample)["y"]
    assert np.array_equal(Simulator(load(paths["pb"])).run(sample)["y"], expected)
    session = onnxruntime.InferenceSession(str(paths["reference.onnx"]))
    fed = {"x": sample["x"].reshape([int(size) for size in session.get_inputs()[0].shape])}
    (slices,) = session.run(None, fed)
    (item,) = made.graph.outputs
    assert item.slices is not None and slices.shape == item.raw_shape
    whole = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, sample)[0]
    clipped = np.clip(whole, item.slices.ends[0], item.slices.ends[-1])
    np.testing.assert_allclose(item.slices.joined(slices), clipped, atol=1e-5)
    assert as_exported(onnx.load(paths["reference.onnx"])).graph == proto.graph
    sizes = ",".join(map(str, item.raw_shape))
    assert sizes in paths["yml"].read_text(encoding="utf-8").replace(" ", "")


@pytest.mark.parametrize("accuracy", ["minmax", "default"])
@pytest.mark.parametrize("name", NETS)
def test_slices_that_the_dsp_adds_up_are_the_same_output_in_the_models_shape(
    name: str, accuracy: str, tmp_path: Path
) -> None:
    """In float, and so in the same order, as the application would add them up."""
    proto, apart = converted(name, 4, accuracy=accuracy)
    _, made = converted(name, 4, accuracy=accuracy, join_slices=True)
    (item,), (sample,) = made.graph.outputs, feeds(proto, 1, 50)
    assert item.slices is None and item.raw_shape == item.shape
    found = Simulator(made).run(sample)["y"]
    assert np.array_equal(found, Simulator(apart).run(sample)["y"])
    paths = {path.name.partition(".")[2]: path for path in made.save(tmp_path)}
    assert np.array_equal(Simulator(load(paths["pb"])).run(sample)["y"], found)
    assert made.conversion is not None
    (row,) = made.conversion.floats
    assert row.why == "adds up the slices of an output" and row.nnlib.count("Add_f") == 4


@pytest.mark.parametrize("form", ["NCHW", "NHWC", "NONE"])
def test_they_are_added_up_in_any_format(form: str) -> None:
    """Channels are computed last: where the application wants them first they are transposed."""
    settings = {"data_formats": {"y": form}}
    proto, apart = converted("image", 4, **settings)
    _, made = converted("image", 4, join_slices=True, **settings)
    (sample,) = feeds(proto, 1, 50)
    assert np.array_equal(Simulator(made).run(sample)["y"], Simulator(apart).run(sample)["y"])
    assert ("Transpose_f" in made.graph.histogram()) == (form == "NONE")


def test_outputs_of_8_bits_beside_a_joined_one_stay_as_they_were() -> None:
    proto = linear()
    proto.graph.node.append(helper.make_node("Relu", ["x"], ["r"]))
    proto.graph.output.append(helper.make_tensor_value_info("r", 1, (1, 5, 32)))
    plain, made = (
        hexconv.convert(proto, samples=feeds(proto, 8), **settings)
        for settings in ({}, {"output_slices": {"y": 4}, "join_slices": True})
    )
    (sample,) = feeds(proto, 1, 50)
    found, before = (Simulator(item).run(sample)["r"] for item in (made, plain))
    assert np.array_equal(found, before)
    assert made.graph.nodes[-1].op == "OUTPUT" and len(made.graph.nodes[-1].inputs) == 8
    if os.environ.get("HEXCONV_LIBRARY"):
        library = Library()
        real = library.run(made, sample)
        for name, values in Simulator(made, library.version).run(sample).items():
            assert np.array_equal(real[name], values)


def test_joining_without_slices_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no use without --output-slices"):
        hexconv.convert(linear(), samples=feeds(linear(), 2), join_slices=True)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("name", ["linear", "wave", "norm"])
def test_the_exact_model_returns_the_simulators_bits(name: str, joined: bool) -> None:
    import onnxruntime

    proto, made = converted(name, 4, join_slices=joined)
    (sample,) = feeds(proto, 1, 50)
    exact = export(made, "v66")
    session = onnxruntime.InferenceSession(exact.SerializeToString())
    assert (
        session.run(None, sample)[0].tobytes() == Simulator(made, "v66").run(sample)["y"].tobytes()
    )


def test_values_beyond_the_calibrated_range_are_kept_as_far_as_the_margin() -> None:
    """5 % of the range at both ends; 30 % of outputs of few numbers."""
    for name, margin in (("one row", 0.05), ("linear", 0.3)):
        _, made = converted(name, 2)
        (item,) = made.graph.outputs
        assert item.slices is not None
        low, high = made.ranges["y"]
        assert item.slices.ends[0] == pytest.approx(low - margin * (high - low), rel=1e-5)
        assert item.slices.ends[-1] == pytest.approx(high + margin * (high - low), rel=1e-5)


def test_the_report_has_the_ends_of_the_slices() -> None:
    _, made = converted("linear", 4)
    report = check_document(made.report(), "report")
    assert len(report["outputs"][0]["slices"]) == 5 and report["inputs"][0]["slices"] is None
    assert report["conversion"]["settings"]["output_slices"] == {"y": 4}


@pytest.mark.parametrize("accuracy", ["minmax", "default", "high"])
@pytest.mark.parametrize("optimize", ["none", "default"])
def test_they_go_with_every_level(accuracy: str, optimize: str) -> None:
    proto, made = converted("linear", 4, accuracy=accuracy, optimize=optimize)
    assert sqnr(proto, made) > sqnr(*converted("linear", 1)) + 3.0


def test_ranges_that_were_written_give_the_same_model() -> None:
    proto, made = converted("wave", 4)
    again = hexconv.convert(proto, ranges=made.ranges, output_slices={"y": 4})
    assert [c.array.tobytes() for c in again.graph.consts] == [
        c.array.tobytes() for c in made.graph.consts
    ]


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        ({"z": 4}, "no output 'z'"),
        ({"y": 1}, "is 1"),
        ({"y": 17}, "is 17"),
        ({"y": 2.5}, "2.5 is not a whole number"),
    ],
)
def test_what_cannot_be_sliced_is_an_error(slices: dict[str, int], told: str) -> None:
    proto = linear()
    with pytest.raises(ConfigError, match=told):
        hexconv.convert(proto, samples=feeds(proto, 2), output_slices=slices)


def test_an_output_that_there_is_not_is_an_error_before_anything_is_measured() -> None:
    def samples() -> Iterator[dict[str, Array]]:
        pytest.fail("a sample was read")
        yield {}

    with pytest.raises(ConfigError, match="no output 'z'"):
        hexconv.convert(linear(), samples=samples(), output_slices={"z": 4})


def test_an_output_that_no_product_makes_is_an_error_that_says_so() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    proto = model(nodes, {"x": (1, 5, 8)}, ["y"], {})
    with pytest.raises(ConfigError, match="is not made by a Conv"):
        hexconv.convert(proto, samples=feeds(proto, 2), output_slices={"y": 4})


def test_an_output_that_the_model_rounds_itself_names_what_it_rounds() -> None:
    """The quantizer of a QDQ model leaves it 256 values: slices in front of it have more."""
    consts = {"w": numbers((8, 4), 1), "scale": np.float32(0.05), "zero": np.uint8(128)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], name="d"),
    ]
    proto = model(nodes, {"x": (1, 5, 8)}, ["y"], consts)
    with pytest.raises(ConfigError, match="rounds it to 8 bits itself") as error:
        hexconv.convert(proto, samples=feeds(proto, 2), output_slices={"y": 4})
    assert error.value.hint == "make what it rounds the output: --outputs p"
    made = hexconv.convert(proto, samples=feeds(proto, 2), outputs=["p"], output_slices={"p": 4})
    assert made.graph.outputs[0].slices is not None


@pytest.mark.parametrize("text", ["y", "y=", "=4", "y=four", "y=-2"])
def test_the_option_has_one_form(text: str) -> None:
    found = CliRunner().invoke(group, ["convert", "net.onnx", "--output-slices", text])
    assert found.exit_code == 2 and "logits=4" in found.output


def test_slices_of_a_value_add_up_to_it() -> None:
    slices = Slices((-1.0, 0.0, 0.5, 2.0), 1)
    values = np.float32([[-1.0, -0.25, 0.25, 1.5, 2.0]])
    parts = [np.clip(values - a, 0, b - a) for a, b in pairwise(slices.ends)]
    np.testing.assert_allclose(slices.joined(np.concatenate(parts, 1)), values, atol=1e-6)
    for ends in ((0.0, 1.0), (0.0, 1.0, 1.0), (0.0, float("nan"), 1.0)):
        with pytest.raises(ValueError, match="slices"):
            Slices(ends, 0)


@real_library.needed
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_the_library_returns_the_simulators_bits(name: str, joined: bool) -> None:
    library = Library()
    proto, made = converted(name, 4, library=library.version, join_slices=joined)
    (sample,) = feeds(proto, 1, 50)
    found = library.run(made.graph, sample)
    assert np.array_equal(found["y"], Simulator(made, library.version).run(sample)["y"])
