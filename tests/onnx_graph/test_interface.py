"""Models with another interface: inputs bound to constants or cut off, outputs left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

import hexconv
from hexconv.cli import group
from hexconv.errors import ConfigError, HexconvError, HexconvWarning, ModelError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.interface import change_interface
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import numbers
from tests.onnx_graph.interfaces import FRAMES, Inputs, embedded, gated, masked, outputs_of, proto
from tests.onnx_graph.models import node, ops


@pytest.mark.parametrize("given", [4, "4", np.array(4), [4], np.int32(4), 4.0])
@pytest.mark.parametrize("shape", [[], [1]])
def test_a_bound_length_is_a_constant_before_shapes_are_inferred(given: Any, shape: Any) -> None:
    model = masked(shape)
    changed = change_interface(model, {"x": (1, FRAMES, 4)}, constants={"lengths": given})
    graph = load(changed.model, changed.shapes)
    x = numbers((1, FRAMES, 4))
    expected = outputs_of(model, x=x, lengths=np.full(shape, 4))[0]
    np.testing.assert_array_equal(FloatSession(graph).run({"x": x})["y"], expected)
    assert graph.dropped_inputs == ("lengths",)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TensorProto.BOOL, "true"),
        (TensorProto.BOOL, False),
        (TensorProto.BOOL, 1),
        (TensorProto.UINT8, "0"),
        (TensorProto.INT32, "1,0,1,1,0,0"),
        (TensorProto.BOOL, [[True, False, True], [False, True, True]]),
        (TensorProto.FLOAT16, 1.0),
    ],
)
def test_booleans_and_vectors_fill_the_shape_of_their_input(kind: int, given: Any) -> None:
    model = gated(kind, [2, 3])
    changed = change_interface(model, {}, constants={"on": given})
    x = numbers((2, 3))
    words = {"true": True, "0": False, "1,0,1,1,0,0": [[1, 0, 1], [1, 0, 0]]}
    values = np.broadcast_to(words.get(given, given) if isinstance(given, str) else given, (2, 3))
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    (expected,) = outputs_of(model, x=x, on=values.astype(dtype))
    found = FloatSession(load(changed.model)).run({"x": x})["y"]
    np.testing.assert_array_equal(found, expected)


def test_an_array_of_a_file_is_bound(tmp_path: Path) -> None:
    path = tmp_path / "on.npy"
    np.save(path, np.array([[True, False, True]] * 2))
    for given in (path, str(path)):
        changed = change_interface(gated(TensorProto.BOOL, ["n", 3]), {}, constants={"on": given})
        assert ops(load(changed.model))


@pytest.mark.parametrize(
    ("kind", "shape", "given", "told"),
    [
        (TensorProto.UINT8, [], 300, "has the value 300.*whole numbers from 0 to 255"),
        (TensorProto.INT64, [], 1.5, "has the value 1.5.*whole numbers"),
        (TensorProto.INT32, [], 2**40, f"has the value {2**40}"),
        (TensorProto.INT32, [], float("nan"), "has the value nan"),
        (TensorProto.BOOL, [], 2, "has the value 2.*true and false"),
        (TensorProto.FLOAT, [], float("inf"), "has the value inf.*finite"),
        (TensorProto.INT64, [2, 3], [1, 2], r"has the shape \[2\].*declares \[2, 3\]"),
        (TensorProto.INT64, [], [1, 2], r"has the shape \[2\].*declares \[\]"),
        (TensorProto.INT64, ["n", "t"], 1, r"declares \[n, t\].*--shape on=1,10"),
        (TensorProto.INT64, [], "many", "'many' is no constant"),
        (TensorProto.INT64, [], "gone.npy", "no such constant for 'on'"),
        (TensorProto.STRING, [], 1, "is string"),
    ],
)
def test_a_constant_that_does_not_fit_is_an_error(
    kind: int, shape: Any, given: Any, told: str
) -> None:
    model = gated(kind, shape) if kind != TensorProto.STRING else gated(TensorProto.INT8, [])
    model.graph.input[1].type.tensor_type.elem_type = kind
    with pytest.raises(HexconvError) as error:
        change_interface(model, {}, constants={"on": given})
    assert re.search(told, error.value.render(cli=True), re.DOTALL)


def test_an_unknown_input_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'on'"):
        change_interface(gated(TensorProto.BOOL, []), {}, constants={"om": 1})


@pytest.mark.parametrize(
    ("kind", "shape", "option"),
    [
        (TensorProto.INT64, [], "--constant on=1"),
        (TensorProto.BOOL, [1], "--constant on=true"),
    ],
)
def test_the_error_of_an_integer_input_names_the_option(kind: int, shape: Any, option: str) -> None:
    with pytest.raises(ModelError) as error:
        load(gated(kind, shape))
    assert option in error.value.render(cli=True)
    assert 'constants={"on": ' in str(error.value)


def test_sizes_that_depend_on_an_integer_input_name_the_option_too() -> None:
    with pytest.raises(ModelError, match="'lengths' is int64"):
        nodes = [
            node("Range", "zero lengths step", "r"),
            node("Cast", "r", "f", to=1),
            node("Add", "x f", "y"),
        ]
        inputs: Inputs = {"x": (1, [1, 1]), "lengths": (TensorProto.INT64, [])}
        load(proto(nodes, inputs, zero=np.int64(0), step=np.int64(1)))


def test_the_error_of_token_ids_names_the_tensor_behind_the_embedding() -> None:
    """Also where a Reshape is between, and where a mask is computed of the ids as well."""
    with pytest.raises(ModelError) as plain:
        load(embedded(), {"ids": (1, 7)})
    assert plain.value.render(cli=True).endswith(
        "cut the model where its data is float: --inputs e"
    )
    nodes = [
        node("Reshape", "ids row", "flat"),
        node("Gather", "table flat", "embedded"),
        node("Equal", "flat pad", "absent"),
        node("Cast", "absent", "mask", to=1),
        node("Mul", "embedded mask", "y"),
    ]
    operands = {"row": np.array([7, 1]), "pad": np.int64(0), "table": numbers((20, 8))}
    with pytest.raises(ModelError) as masked_too:
        load(proto(nodes, {"ids": (TensorProto.INT64, [1, 7])}, **operands))
    assert "--inputs embedded,mask" in masked_too.value.render(cli=True)
    assert "inputs=['embedded', 'mask']" in str(masked_too.value)


@pytest.mark.parametrize("shapes", [{"ids": (1, 7)}, {"e": (1, 7, 8)}])
def test_an_inner_tensor_becomes_the_input_and_the_front_computes_it(shapes: Any) -> None:
    model = embedded()
    ids = np.arange(7).reshape(1, 7) % 20
    changed = change_interface(model, shapes, constants={}, inputs=["e"], outputs=["y"])
    assert changed.front is not None
    (e,) = outputs_of(changed.front, ids=ids)
    graph = load(changed.model, changed.shapes)
    assert [(info.name, info.shape) for info in graph.inputs] == [("e", (1, 7, 8))]
    expected = outputs_of(model, ids=ids)[0]
    np.testing.assert_allclose(FloatSession(graph).run({"e": e})["y"], expected, rtol=1e-5)


def test_outputs_that_nobody_wants_are_left_out() -> None:
    nodes = [node("Relu", "x", "y"), node("Cast", "x", "i", to=7), node("Add", "i one", "z")]
    model = proto(nodes, {"x": (1, [1, 3])}, "y z", one=np.int64(1))
    changed = change_interface(model, {}, constants={}, outputs=["y"])
    assert ops(load(changed.model)) == ["Relu"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        (["ee"], (), "did you mean 'e'"),
        (["table"], ["y"], "it is a constant"),
        (["r"], ["y", "sizes"], "depend on the input 'ids' too"),
        ((), ["yy"], "could become an output"),
        (["y"], ["y"], "nothing is left"),
    ],
)
def test_an_interface_that_is_none_is_an_error(inputs: Any, outputs: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        change_interface(embedded(), {"ids": (1, 7)}, constants={}, inputs=inputs, outputs=outputs)


def test_a_converted_model_has_the_interface_and_what_maces_tools_need(tmp_path: Path) -> None:
    path = tmp_path / "tokens.onnx"
    onnx.save(embedded(), path)
    x = [{"e": numbers((1, 7, 8), seed)} for seed in range(3)]
    model = hexconv.convert(path, {"ids": (1, 7)}, x, inputs=["e"], outputs=["y"])
    model.save(tmp_path / "build")
    made = onnx.load(tmp_path / "build" / "tokens.reference.onnx")
    assert [item.name for item in made.graph.input] == ["e"]
    front = onnx.load(tmp_path / "build" / "tokens.front.onnx")
    assert [item.name for item in front.graph.output] == ["e"]
    again = hexconv.convert(tmp_path / "build" / "tokens.reference.onnx", samples=x)
    assert again.graph.inputs == model.graph.inputs
    text = (tmp_path / "build" / "tokens.yml").read_text()
    assert "model_file_path: tokens.reference.onnx" in text


def test_the_bound_model_is_the_one_that_is_compared_and_referenced(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(masked([]), path)
    x = [{"x": numbers((1, FRAMES, 4), seed), "lengths": np.int64(3)} for seed in range(3)]
    model = hexconv.convert(path, {"x": (1, FRAMES, 4)}, x, constants={"lengths": 4})
    assert model.idle_inputs == ("lengths",) and model.name == "m"
    report = hexconv.verify(model, path, x, constants={"lengths": 4})
    assert report.outputs[0].calibration.sqnr > 35
    found = hexconv.check(path, {"x": (1, FRAMES, 4)}, constants={"lengths": 4})
    assert found.ok


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("rounding", ["", "Round", "Floor"])
def test_an_output_of_bytes_is_the_float_before_it(
    rounding: str, moved: bool, declared: bool
) -> None:
    nodes = [node("Mul", "x scale", "m"), node(rounding or "Identity", "m", "r")]
    nodes += [node("Cast", "r", "y" if not moved else "b", to=TensorProto.UINT8)]
    nodes += [node("Transpose", "b", "y", perm=[0, 2, 1])] if moved else []
    model = proto(nodes, {"x": (1, [1, 3, 4])}, scale=np.float32(255))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    if declared:
        model = onnx.shape_inference.infer_shapes(model)
    x = np.random.default_rng(0).uniform(0, 1, (1, 3, 4)).astype(np.float32)
    with pytest.warns(HexconvWarning, match="'y' is uint8 in the model: the DSP returns floats"):
        made = hexconv.convert(model, samples=[{"x": x}])
    found = hexconv.simulate(made, {"x": x})["y"]
    expected = outputs_of(model, x=x)[0].astype(np.float32)
    assert found.shape == expected.shape and np.abs(found - expected).max() < 2.5


STATE = (2, 1, 4, 2, 3)


def with_state() -> onnx.ModelProto:
    """A product of a rank-5 state and its image, and the state turned around, of rank 6."""
    nodes = [
        node("Reshape", "state flat", "s"),
        node("MatMul", "s w", "p"),
        node("Relu", "p", "y"),
        node("Transpose", "state", "t", perm=[1, 0, 3, 2, 4]),
        node("Unsqueeze", "t last", "next"),
    ]
    consts = {"flat": np.array([8, 6]), "w": numbers((6, 5)), "last": np.array([5])}
    return proto(nodes, {"state": (1, ["n", *STATE[1:]])}, "y next", **consts)


def test_tensors_of_five_and_six_axes_are_reshaped_outside(tmp_path: Path) -> None:
    path = tmp_path / "state.onnx"
    onnx.save(with_state(), path)
    x = [{"state": numbers(STATE, seed)} for seed in range(3)]
    model = hexconv.convert(path, {"state": STATE}, x)
    model.save(tmp_path / "build")
    assert "input_shapes:\n      - 2,4,2,3" in (tmp_path / "build" / "state.yml").read_text()
    loaded = hexconv.load(tmp_path / "build" / "state.pb")
    expected = outputs_of(with_state(), **x[0])
    for found, wanted in zip(hexconv.simulate(loaded, x[0]).values(), expected, strict=True):
        assert found.shape == wanted.shape
        assert 10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()) > 35
    reference = tmp_path / "build" / "state.reference.onnx"
    fed = outputs_of(onnx.load(reference), state=x[0]["state"].reshape(2, 4, 2, 3))
    np.testing.assert_array_equal(fed[0], expected[0])
    for again in (
        hexconv.convert(reference, samples=x),
        hexconv.convert_deployment(tmp_path / "build" / "state.yml", samples=x),
    ):
        assert again.graph.inputs == model.graph.inputs


def test_the_command_line_binds_and_cuts(tmp_path: Path) -> None:
    onnx.save(masked([]), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", numbers((1, FRAMES, 4)))
    shape = ["--shape", f"x=1,{FRAMES},4"]
    run = CliRunner()
    given = [str(tmp_path / "m.onnx"), *shape, "--constant", "lengths=4"]
    checked = run.invoke(group, ["check", *given])
    assert checked.exit_code == 0, checked.output
    build = ["--samples", f"x={tmp_path / 'x.npy'}", "-o", str(tmp_path / "b"), "--json"]
    done = run.invoke(group, ["convert", *given, *build])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["accuracy"]["outputs"][0]["calibration"]["sqnr"] > 35
    cut = ["--inputs", "r", "--outputs", "y", "--shape", f"r=1,{FRAMES},4", *build[2:]]
    inner = run.invoke(group, ["convert", *given, *cut])
    assert inner.exit_code == 0, inner.output
    assert (tmp_path / "b" / "m.front.onnx").exists()


def test_no_value_given_is_wrong_usage(tmp_path: Path) -> None:
    found = CliRunner().invoke(group, ["check", str(tmp_path / "m.onnx"), "--constant", "lengths"])
    assert found.exit_code == 2 and "lengths=300" in found.output
