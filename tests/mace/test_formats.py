"""The right data at the first and at every later run, in each data format, or a clear error."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import ConfigError
from hexconv.from_deployment import convert_deployment
from hexconv.raw_tensors import from_raw, to_raw

from .engine import Engine, Tensor

RUNS = 3


def model_of(nodes: list[Any], x: list[int], y: list[int], weights: dict[str, Any]) -> Any:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [info("x", TensorProto.FLOAT, x)],
        [info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def random(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def image() -> Any:
    """A convolution: its channels are last in the library."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return model_of([node], [1, 3, 8, 6], [1, 5, 8, 6], {"w": random(5, 3, 3, 3)})


def plain(*shape: int, out: int = 4) -> Any:
    """A product over the last axis: no image."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return model_of([node], [*shape], [*shape[:-1], out], {"w": random(shape[-1], out)})


def written(folder: Path) -> dict[str, Any]:
    (entry,) = yaml.safe_load((folder / "net.yml").read_text())["models"].values()
    graph: dict[str, Any] = entry["subgraphs"][0]
    return graph


def sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def check_runs(folder: Path) -> None:
    """An application that follows the YAML gets what `simulate` says, run after run."""
    graph, engine = written(folder), Engine(folder / "net.pb")
    model = hexconv.load(folder / "net.pb")
    (taken,), (given,) = model.graph.inputs, model.graph.outputs
    (in_format,), (out_format,) = graph["input_data_formats"], graph["output_data_formats"]
    for number in range(RUNS):
        feeds = {"x": np.random.default_rng(number).uniform(-1, 1, taken.shape).astype(np.float32)}
        raw = np.frombuffer(to_raw(feeds["x"], taken.data_format), np.float32)
        asked = Tensor(sizes(graph["output_shapes"][0]), out_format, raw)
        found = engine.run(
            {"x": Tensor(sizes(graph["input_shapes"][0]), in_format, raw)}, {"y": asked}
        )["y"]
        got = from_raw(found.tobytes(), given.shape, given.data_format)
        right = hexconv.simulate(model, feeds, library="v60")["y"]
        assert np.array_equal(got, right), f"run {number}"


def saved(source: Any, folder: Path, **settings: Any) -> hexconv.Model:
    path = folder / "net.onnx"
    onnx.save(source, path)
    shape = [dim.dim_value for dim in source.graph.input[0].type.tensor_type.shape.dim]
    model = hexconv.convert(path, samples=[{"x": random(*shape)}], **settings)
    model.save(folder)
    return model


SHAPES = [(7,), (6, 7), (1, 9, 7), (2, 9, 7), (1, 2, 9, 7), (3, 2, 9, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_an_input_of_any_rank_runs_again_and_again(tmp_path: Path, shape: tuple[int, ...]) -> None:
    saved(plain(*shape), tmp_path)
    assert len(sizes(written(tmp_path)["input_shapes"][0])) == 4
    check_runs(tmp_path)


FORMATS = ["NONE", "NCHW", "NHWC"]
PAIRS = list(product(FORMATS, FORMATS))


@pytest.mark.parametrize("made", [image, lambda: plain(1, 2, 9, 7)], ids=["image", "plain"])
@pytest.mark.parametrize("formats", PAIRS, ids="-".join)
def test_each_format_of_a_4d_tensor_is_lowered_to_the_right_data(
    tmp_path: Path, made: Any, formats: tuple[str, str]
) -> None:
    saved(made(), tmp_path, data_formats=dict(zip("xy", formats, strict=True)))
    graph = written(tmp_path)
    assert (graph["input_data_formats"], graph["output_data_formats"]) == (
        [formats[0]],
        [formats[1]],
    )
    check_runs(tmp_path)


def declare(folder: Path, **values: str) -> Path:
    """The deployment of `saved`, with other words, in its own folder."""
    path = folder / "net.yml"
    document = yaml.safe_load(path.read_text())
    document["models"]["net"]["subgraphs"][0].update({k: [v] for k, v in values.items()})
    path = folder / "asked.yml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("formats", PAIRS, ids="-".join)
def test_a_yaml_requests_each_format(tmp_path: Path, formats: tuple[str, str]) -> None:
    saved(image(), tmp_path)
    shapes = {"NHWC": ("1,8,6,3", "1,8,6,5")}
    one, two = (shapes.get(form, ("1,3,8,6", "1,5,8,6"))[i] for i, form in enumerate(formats))
    path = declare(
        tmp_path,
        input_data_formats=formats[0],
        input_shapes=one,
        output_data_formats=formats[1],
        output_shapes=two,
    )
    convert_deployment(path).save(tmp_path / "two")
    assert written(tmp_path / "two")["input_shapes"] == [one]
    assert written(tmp_path / "two")["output_shapes"] == [two]
    check_runs(tmp_path / "two")


def test_a_silent_yaml_means_nhwc_as_it_does_to_mace(tmp_path: Path) -> None:
    saved(image(), tmp_path)
    path = declare(tmp_path, input_shapes="1,8,6,3", output_shapes="1,8,6,5")
    document = yaml.safe_load(path.read_text())
    for side in ("input", "output"):
        del document["models"]["net"]["subgraphs"][0][f"{side}_data_formats"]
    path.write_text(yaml.safe_dump(document))
    model = convert_deployment(path)
    model.save(tmp_path / "two")
    assert model.graph.data_formats == {"x": "NHWC", "y": "NHWC"}
    check_runs(tmp_path / "two")


@pytest.mark.parametrize("shape", ["1,9,7", "1,1,9,7"])
def test_an_input_that_is_no_image_cannot_be_nchw(tmp_path: Path, shape: str) -> None:
    saved(plain(1, 9, 7), tmp_path)
    path = declare(tmp_path, input_data_formats="NCHW", input_shapes=shape)
    with pytest.raises(ConfigError, match="cannot be NCHW") as caught:
        convert_deployment(path)
    assert "write input_data_formats: NONE" in str(caught.value)
    assert f"{path}, line " in str(caught.value)


def test_why_it_cannot_the_first_run_is_right_and_the_second_transposed(tmp_path: Path) -> None:
    saved(plain(1, 1, 9, 7), tmp_path)
    engine = Engine(tmp_path / "net.pb")
    x = random(1, 1, 9, 7)
    tensors = {"x": Tensor(x.shape, "NCHW", x)}, {"y": Tensor((1, 1, 9, 4), "NONE", x)}
    right = hexconv.simulate(hexconv.load(tmp_path / "net.pb"), {"x": x}, library="v60")["y"]
    assert np.array_equal(engine.run(*tensors)["y"], right.reshape(-1))
    with pytest.raises(RuntimeError, match="out too small"):
        engine.run(*tensors)


@pytest.mark.parametrize("form", ["NONE", "NHWC"])
@pytest.mark.parametrize("shape", ["1,9,7", "1,1,9,7"])
def test_leading_ones_and_formats_without_effect_are_taken(
    tmp_path: Path, shape: str, form: str
) -> None:
    saved(plain(1, 9, 7), tmp_path)
    path = declare(
        tmp_path,
        input_data_formats=form,
        input_shapes=shape,
        output_data_formats=form,
        output_shapes="1,1,9,4",
    )
    convert_deployment(path).save(tmp_path / "two")
    graph = written(tmp_path / "two")
    assert graph["input_shapes"] == ["1,1,9,7"]
    assert graph["output_shapes"] == ["1,1,9,4"]
    # MACE's tools transpose what a 4-D NHWC tensor holds before they compare it.
    assert graph["input_data_formats"] == graph["output_data_formats"] == ["NONE"]
    check_runs(tmp_path / "two")


def test_an_output_of_three_sizes_may_be_nchw_for_mace_does_not_turn_it(tmp_path: Path) -> None:
    saved(plain(1, 9, 7), tmp_path)
    path = declare(tmp_path, output_data_formats="NCHW", output_shapes="1,9,4")
    convert_deployment(path).save(tmp_path / "two")
    assert written(tmp_path / "two")["output_data_formats"] == ["NCHW"]
    check_runs(tmp_path / "two")


def test_the_same_output_of_four_sizes_may_not(tmp_path: Path) -> None:
    saved(plain(1, 9, 7), tmp_path)
    path = declare(tmp_path, output_data_formats="NCHW", output_shapes="1,1,9,4")
    with pytest.raises(ConfigError, match="write output_data_formats: NONE"):
        convert_deployment(path)


def test_one_format_for_two_tensors_is_corrected_for_each(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["y"]),
    ]
    net = model_of(nodes, [1, 3, 8, 6], [1, 5, 8, 6], {"w": random(5, 3, 3, 3)})
    net.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [8, 6]))
    onnx.save(net, tmp_path / "net.onnx")
    feeds = {"x": random(1, 3, 8, 6), "b": random(8, 6)}
    hexconv.convert(tmp_path / "net.onnx", samples=[feeds]).save(tmp_path)
    path = declare(tmp_path, input_data_formats="NCHW")
    with pytest.raises(ConfigError) as caught:
        convert_deployment(path)
    assert "write input_data_formats: [NCHW, NONE]" in str(caught.value)


def test_formats_in_python_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no input or output 'z'"):
        saved(image(), tmp_path, data_formats={"z": "NONE"})
    with pytest.raises(ConfigError, match="use NONE"):
        saved(plain(9, 7), tmp_path, data_formats={"x": "NCHW"})
    with pytest.raises(ConfigError, match="did you mean 'NCHW'"):
        saved(image(), tmp_path, data_formats={"x": "NCWH"})
