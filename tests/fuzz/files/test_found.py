"""What the fuzzer has found, cut down: one case of each kind."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.calibrate.mask_ways import Way
from hexconv.errors import ConfigError, FileError, ModelError, UnsupportedOpErrors
from hexconv.models import config
from hexconv.onnx_graph import load


def model(
    *nodes: onnx.NodeProto, output: str = "y", kind: int = TensorProto.FLOAT, **constants: Any
) -> onnx.ModelProto:
    """x of (1, 4) to an output of (1, 4)."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info(output, kind, [1, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def branch(**attributes: Any) -> onnx.ModelProto:
    return model(helper.make_node("If", ["yes"], ["y"], "if", **attributes), yes=np.array(True))


BODY = helper.make_graph(
    [helper.make_node("Relu", ["x"], ["r"])], "b", [], [helper.make_empty_tensor_value_info("r")]
)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "it has no attribute '(then|else)_branch'"),
        ({"else_branch": BODY}, "it has no attribute 'then_branch'"),
        ({"then_branch": 1, "else_branch": BODY}, "'then_branch' is of type INT, not GRAPH"),
        (
            {"then_branch": [BODY], "else_branch": BODY},
            "'then_branch' is of type GRAPHS, not GRAPH",
        ),
    ],
    ids=["no branch", "only the other", "a number", "several"],
)
def test_an_if_without_the_branch_that_it_takes_is_invalid(
    attributes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ModelError, match=rf"'if' \(If\)\n  why: .*{why}"):
        load(branch(**attributes))


@pytest.mark.parametrize(
    ("equation", "why"),
    [
        ("....->.", "not one of letters, commas, '...' and one '->'"),
        ("i...j...->ij", "not one of letters, commas, '...' and one '->'"),
        ("i1->i", "not one of letters, commas, '...' and one '->'"),
        ("i j->i->j", "not one of letters, commas, '...' and one '->'"),
        ("ij->ii", "has a letter twice behind '->'"),
    ],
)
def test_an_equation_that_einsum_cannot_have_is_an_error(equation: str, why: str) -> None:
    """ONNX's shape inference does not end for the first."""
    with pytest.raises(ModelError, match=re.escape(why)):
        load(model(helper.make_node("Einsum", ["x"], ["y"], "sum", equation=equation)))


def test_a_text_attribute_that_is_not_utf8_is_an_error_and_no_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    node = helper.make_node("Pad", ["x", "pads"], ["y"], "pad", mode=b"edg\xe5")
    with pytest.raises(ModelError, match=r"attribute 'mode'\n  why: b'edg\\xe5' is not UTF-8"):
        hexconv.convert(model(node, pads=np.zeros(4, np.int64)))
    assert not caplog.records and capfd.readouterr().err == ""


def test_what_onnx_runtime_cannot_run_is_one_error_and_no_log_of_its_own(
    capfd: pytest.CaptureFixture[str],
) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["x", "axes"], ["m"], "max"),
        helper.make_node("Sub", ["x", "m"], ["y"], "sub"),
    ]
    proto = model(*nodes, axes=np.array([[-1]]))
    proto.opset_import[0].version = 18
    with pytest.raises(hexconv.errors.HexconvError):
        hexconv.convert(proto)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("op", ["LRN", "Elu", "LeakyRelu"])
def test_a_parameter_that_is_not_finite_is_an_error(op: str, value: float) -> None:
    size = {"size": 3} if op == "LRN" else {}
    node = helper.make_node(op, ["x"], ["y"], "n", alpha=value, **size)
    with pytest.raises(ModelError, match=r"'n'.*attribute 'alpha'\n  why: .* is not finite"):
        load(model(node))


def test_a_bound_of_a_clip_may_be_infinite() -> None:
    proto = model(helper.make_node("Clip", ["x"], ["y"], min=0.0, max=float("inf")))
    proto.opset_import[0].version = 7
    assert load(proto).nodes[0].op_type in ("Clip", "Relu")


@pytest.mark.filterwarnings("ignore::hexconv.errors.HexconvWarning")
def test_a_model_of_constants_is_simulated_as_the_library_runs_it() -> None:
    values = np.arange(4, dtype=np.float32).reshape(1, 4)
    made = hexconv.convert(model(helper.make_node("Relu", ["x"], ["y"]), output="c", c=values))
    for taps in (False, True):
        found = hexconv.simulate(made, {"x": np.ones((1, 4), np.float32)}, taps=taps)
        np.testing.assert_allclose((found[0] if taps else found)["c"], values, atol=3 / 255)


def test_a_constant_of_integers_is_no_output() -> None:
    proto = model(output="c", kind=TensorProto.INT64, c=np.arange(4).reshape(1, 4))
    with pytest.raises(UnsupportedOpErrors, match="output 'c' is of type int64"):
        hexconv.convert(proto)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{", "\ufeff{}"])
def test_a_config_that_is_no_json_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text, encoding="utf-8")
    with pytest.raises((FileError, ConfigError), match="config"):
        config.read(tmp_path / "c.json")


@pytest.mark.parametrize(
    "change",
    [
        ("8,", "1e999,"),
        ("8,", "NaN,"),
        ("8,", "8.5,"),
        ("512", "1e999"),
        ('"num_mels": 80', '"num_mels": [80]'),
        ("8,", '"x",'),
    ],
)
def test_a_number_that_a_config_cannot_have_is_an_error(change: tuple[str, str]) -> None:
    text = config.V1.to_json()
    assert change[0] in text
    with pytest.raises(ConfigError):
        config.parse(text.replace(*change, 1))


BILLION = 10**9
HUGE = {
    "a window of a constant": (
        {"n": np.array(BILLION)},
        [
            helper.make_node("HannWindow", ["n"], ["w"]),
            helper.make_node("ReduceMax", ["w"], ["m"], keepdims=0),
            helper.make_node("Mul", ["x", "m"], ["y"]),
        ],
    ),
    "a sum of constants": (
        {"a": np.zeros((40_000, 1), np.float32), "b": np.zeros((1, 40_000), np.float32)},
        [
            helper.make_node("Sub", ["a", "b"], ["c"]),
            helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
            helper.make_node("Mul", ["x", "m"], ["y"]),
        ],
    ),
    "a pad": (
        {"n": np.array([0, 0, 0, BILLION])},
        [helper.make_node("Pad", ["x", "n"], ["y"])],
    ),
    "windows over padding": (
        {"s": np.array([1, 1, 4])},
        [
            helper.make_node("Reshape", ["x", "s"], ["r"]),
            helper.make_node(
                *("AveragePool", ["r"], ["y"]), kernel_shape=[BILLION], pads=[BILLION // 2] * 2
            ),
        ],
    ),
    "a convolution with holes": (
        {"s": np.array([1, 1, 4]), "w": np.ones((1, 1, 3), np.float32)},
        [
            helper.make_node("Reshape", ["x", "s"], ["r"]),
            helper.make_node("Conv", ["r", "w"], ["y"], dilations=[BILLION], pads=[BILLION] * 2),
        ],
    ),
    "a resize": (
        {"s": np.array([1, 1, 1, 4]), "n": np.array([1, 1, 1, 2**27])},
        [
            helper.make_node("Reshape", ["x", "s"], ["r"]),
            helper.make_node("Resize", ["r", "", "", "n"], ["y"], mode="linear"),
        ],
    ),
}


@pytest.mark.parametrize("case", HUGE)
def test_what_asks_for_gigabytes_is_an_error_before_they_are_taken(case: str) -> None:
    constants, nodes = HUGE[case]
    tracemalloc.start()
    with pytest.raises(hexconv.errors.HexconvError, match=r"elements|numbers"):
        hexconv.convert(model(*nodes, **constants))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 64 << 20


@pytest.mark.parametrize("size", [10**9, 2**40, 10**30])
def test_a_size_that_is_asked_for_is_bounded_too(size: int) -> None:
    with pytest.raises(hexconv.errors.HexconvError):
        hexconv.check(open_model(), shapes={"x": (1, size)})


def open_model() -> onnx.ModelProto:
    proto = model(helper.make_node("Relu", ["x"], ["y"]))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[1].dim_param = "n"
    return proto


@pytest.mark.parametrize("outputs", [["ghost"], ["x"], ["r", "r"]], ids=str)
def test_a_branch_that_returns_what_it_does_not_compute_is_invalid(outputs: list[str]) -> None:
    infos = [helper.make_empty_tensor_value_info(name) for name in outputs]
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "b", [], infos)
    names = ["y", "z"][: len(outputs)]
    node = helper.make_node("If", ["yes"], names, "if", then_branch=body, else_branch=body)
    with pytest.raises(ModelError, match=r"'if' \(If\)"):
        load(model(node, yes=np.array(True)))


def test_functions_that_grow_without_bound_are_an_error_before_they_are_inlined() -> None:
    proto = model(helper.make_node("F0", ["x"], ["y"], domain="own"))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    proto.opset_import.append(imports[1])
    for depth in range(30):
        steps = [("a", "t"), ("t", "b")]
        body = [helper.make_node(f"F{depth + 1}", [a], [b], domain="own") for a, b in steps]
        last = [helper.make_node("Relu", ["a"], ["b"])]
        body = body if depth < 29 else last
        proto.functions.append(
            helper.make_function("own", f"F{depth}", ["a"], ["b"], body, imports)
        )
    with pytest.raises(ModelError, match="536870912 nodes"):
        load(proto)


def test_text_where_numbers_belong_is_an_error() -> None:
    proto = model(helper.make_node("Add", ["x", "w"], ["y"]))
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.STRING, [1, 4], [b"a"] * 4))
    with pytest.raises(ModelError, match="'w' cannot be read"):
        load(proto)


@pytest.mark.parametrize("nodes", [[], [helper.make_node("Identity", ["e"], ["y"])]], ids=len)
def test_an_output_that_is_an_empty_constant_is_an_error(nodes: list[onnx.NodeProto]) -> None:
    proto = model(*nodes, output="y" if nodes else "e", e=np.zeros((0,), np.float32))
    with pytest.raises(hexconv.errors.HexconvError, match="is empty: its shape is"):
        hexconv.convert(proto)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("settings", [{}, {"keep_float": ["n"]}], ids=["int8", "float"])
@pytest.mark.parametrize("divisor", [1e-45, 1e-38, -1e-38, [1.0, 1e-40, 1.0, 1.0]])
def test_a_division_by_nearly_nothing_is_unsupported(divisor: Any, settings: Any) -> None:
    proto = model(helper.make_node("Div", ["x", "d"], ["y"], "n"), d=np.float32(divisor))
    with pytest.raises(hexconv.errors.HexconvError, match=r"'n'|'y'"):
        hexconv.convert(proto, ranges={"x": (-1, 1), "y": (-1, 1)}, **settings)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("sizes", [[-3, -3], [1, 0], [1, -(2**63)]], ids=str)
def test_a_resize_to_less_than_one_element_is_invalid(mode: str, sizes: list[int]) -> None:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], "n", mode=mode)
    with pytest.raises(ModelError, match=r"'n'|'y'"):
        load(model(node, sizes=np.array(sizes)))


@pytest.mark.parametrize(
    "steps, said",
    [
        ([("Sigmoid", ["d"], ["s"]), ("Mul", ["a", "s"], ["b"])], "'d' is read"),
        ([("Sigmoid", ["a"], ["s"])], "'?b'?"),
        ([("Sigmoid", ["b"], ["s"]), ("Mul", ["a", "s"], ["b"])], "cycle"),
        ([("Sigmoid", ["a"], ["b"]), ("Relu", ["a"], ["b"])], "'b'"),
        ([("Sigmoid", ["x"], ["b"])], "'x' is read"),
    ],
    ids=["gap", "no output", "cycle", "twice", "of the caller"],
)
def test_the_values_of_a_function_are_held_to_its_body(
    steps: list[tuple[str, list[str], list[str]]], said: str
) -> None:
    proto = model(helper.make_node("Own", ["x"], ["y"], domain="own"))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    proto.opset_import.append(imports[1])
    body = [helper.make_node(*step) for step in steps]
    proto.functions.append(helper.make_function("own", "Own", ["a"], ["b"], body, imports))
    with pytest.raises(ModelError, match=said):
        load(proto)


@pytest.mark.parametrize("read, fits", [("a", True), ("c", True), ("x", False), ("q", False)])
def test_a_branch_in_a_function_reads_what_the_function_computes(read: str, fits: bool) -> None:
    proto = model(helper.make_node("Own", ["x"], ["y"], domain="own"))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    proto.opset_import.append(imports[1])
    infos = [helper.make_empty_tensor_value_info("r")]
    branch = helper.make_graph([helper.make_node("Relu", [read], ["r"])], "branch", [], infos)
    body = [
        helper.make_node("Neg", ["a"], ["c"]),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["b"], then_branch=branch, else_branch=branch),
    ]
    proto.functions.append(helper.make_function("own", "Own", ["a"], ["b"], body, imports))
    if fits:
        assert load(proto).model.graph.outputs[0].name == "y"
    else:
        with pytest.raises(ModelError, match=f"'{read}' is read, but nothing computes it"):
            load(proto)


@pytest.mark.filterwarnings("ignore::hexconv.errors.HexconvWarning")
@pytest.mark.parametrize("samples", [None, [{"x": np.float32(0.9)}, {"x": np.array(-0.9)}]])
def test_a_model_of_scalars_converts(samples: Any) -> None:
    proto = model(helper.make_node("Relu", ["x"], ["y"]))
    for value in (*proto.graph.input, *proto.graph.output):
        del value.type.tensor_type.shape.dim[:]
    converted = hexconv.convert(proto, samples=samples, input_ranges={"x": (-1, 1)})
    result = hexconv.simulate(converted, {"x": np.array(0.5, np.float32)})["y"]
    assert result.shape == () and abs(result - 0.5) < 0.01


@pytest.mark.parametrize("between", ["Identity", "Neg"])
def test_constants_that_double_are_an_error_before_memory_is_asked_for(
    between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexconv.onnx_graph.builder.LARGEST", 1 << 16)
    steps, last = [], "c"
    for depth in range(40):
        steps.append(helper.make_node(between, [last], [f"n{depth}"]))
        steps.append(helper.make_node("Concat", [last, f"n{depth}"], [f"c{depth}"], axis=0))
        last = f"c{depth}"
    steps.append(helper.make_node("ReduceMax", [last], ["m"], keepdims=0))
    steps.append(helper.make_node("Mul", ["x", "m"], ["y"]))
    with pytest.raises(hexconv.errors.HexconvError, match="would have shape"):
        load(model(*steps, c=np.ones(1 << 10, np.float32)))


@pytest.mark.parametrize("other", ["x", None], ids=["of the input", "of itself"])
def test_neither_the_length_nor_the_number_of_ways_of_sums_is_a_depth_of_recursion(
    other: str | None,
) -> None:
    names = ["x", *(f"t{number}" for number in range(1100))]
    nodes = [
        helper.make_node("Add", [name, other or name], [after]) for name, after in pairwise(names)
    ]
    graph = ir.from_proto(model(*nodes, helper.make_node("Softmax", [names[-1]], ["y"]))).graph
    way = Way(1.0)
    assert way.follow(graph.inputs[0], 1.0, joined=True)
    assert way.factors == [1.0]


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::hexconv.errors.HexconvWarning")
@pytest.mark.parametrize("scale", [3e38, 2e36])
def test_a_scale_whose_values_are_no_floats_raises_no_warning(scale: float) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    proto = model(*nodes, scale=np.float32(scale), zero=np.int8(0))
    with pytest.raises(hexconv.errors.HexconvError):
        hexconv.convert(proto)


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniform"])
def test_an_op_without_inputs_is_unsupported_and_no_pass_reads_its_first(op: str) -> None:
    random = helper.make_node(op, [], ["z"], "random", shape=[1, 4])
    made = model(random, helper.make_node("Add", ["x", "z"], ["y"], "add"))
    with pytest.raises(UnsupportedOpErrors, match=rf"'random' \({op}\)"):
        hexconv.convert(made)
