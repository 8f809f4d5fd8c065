"""What exporters and optimizers leave in files."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import hexconv
from hexconv.errors import ConfigError, ModelError, UnsupportedOpError, UnsupportedOpErrors
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import numbers
from tests.onnx_graph.models import feeds_of, model, node, ops, original_outputs, same_outputs

I64 = np.int64
MICROSOFT = "com.microsoft"


def sqnr(expected: Any, found: Any) -> float:
    """dB of `expected` over its difference from `found`."""
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def fused(
    op: str, inputs: str, outputs: str, consts: dict[str, Any], shape: Any, **attrs: Any
) -> onnx.ModelProto:
    """A model of one op of ONNX Runtime's own."""
    proto = model(
        [node(op, inputs, outputs, domain=MICROSOFT, **attrs)],
        {"x": shape},
        outputs.split()[:1],
        consts,
    )
    proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return proto


def branch(nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, "b", [], [helper.make_empty_tensor_value_info(output)])


def test_the_weights_of_a_branch_that_is_never_taken_are_dropped() -> None:
    dead = branch([node("MatMul", "x unused", "d")], "d")
    inner = helper.make_node(
        "If", ["no"], ["i"], then_branch=dead, else_branch=branch([node("MatMul", "x w", "l")], "l")
    )
    outer = helper.make_node(
        "If",
        ["no"],
        ["y"],
        then_branch=branch([node("MatMul", "x unused", "e")], "e"),
        else_branch=branch([inner], "i"),
    )
    consts = {"no": np.array(False), "w": numbers((40, 40)), "unused": numbers((40, 40), 2)}
    graph = same_outputs(model([outer], {"x": (3, 40)}, consts=consts))
    assert ops(graph) == ["MatMul"] and "unused" not in graph.graph.initializers


@pytest.mark.parametrize(
    "sizes", [(-1, 3, -1, -1), ("?", 3, "?", "?"), ("-1", 3, "None", "None"), (0, 3, 0, 0)]
)
def test_sizes_that_exporters_leave_open_may_differ(sizes: Any) -> None:
    graph = load(model([node("Relu", "x", "y")], {"x": sizes}), {"x": (2, 3, 8, 12)})
    assert graph.outputs[0].shape == (2, 3, 8, 12)


def test_dimensions_of_one_real_name_stay_equal() -> None:
    with pytest.raises(ConfigError, match="'h' was given as 8 and as 12"):
        load(model([node("Relu", "x", "y")], {"x": (1, 3, "h", "h")}), {"x": (1, 3, 8, 12)})


@pytest.mark.parametrize("parts", ["e x", "x e x", "x x e"])
def test_empty_parts_of_a_concatenation_are_dropped(parts: str) -> None:
    nodes = [
        node("Slice", "x zero zero axis", "e"),
        node("Concat", parts, "c", axis=1),
        node("Relu", "c", "y"),
    ]
    consts = {"zero": np.array([0], I64), "axis": np.array([1], I64)}
    graph = same_outputs(model(nodes, {"x": (1, 4, 5)}, consts=consts))
    assert "Slice" not in ops(graph)


def test_a_split_into_nothing_and_the_rest() -> None:
    nodes = [node("Split", "x sizes", "a b c", axis=1), node("Concat", "b a c", "y", axis=1)]
    same_outputs(model(nodes, {"x": (1, 5, 3)}, consts={"sizes": np.array([2, 0, 3], I64)}))


@pytest.mark.parametrize(
    ("op", "bound"),
    [
        ("Max", -np.inf),
        ("Max", np.finfo(np.float32).min),
        ("Min", np.inf),
        ("Min", np.finfo(np.float32).max),
    ],
)
def test_bounds_that_no_float_reaches_are_dropped(op: str, bound: float) -> None:
    nodes = [node(op, "b x", "m"), node("Relu", "m", "y")]
    graph = same_outputs(model(nodes, {"x": (2, 3)}, consts={"b": np.full((1, 3), bound)}))
    assert ops(graph) == ["Relu"]


def test_a_bound_that_broadcasts_still_does() -> None:
    graph = same_outputs(
        model([node("Max", "x b", "y")], {"x": (1, 3)}, consts={"b": np.full((2, 1), -np.inf)})
    )
    assert graph.outputs[0].shape == (2, 3)


@pytest.mark.parametrize("far", [-np.inf, -1e30, -50.0])
def test_a_far_bound_among_near_ones_costs_no_resolution(far: float) -> None:
    proto = model(
        [node("Max", "x b", "y")], {"x": (1, 8, 4)}, consts={"b": np.array([0.0, far, -0.5, far])}
    )
    samples = [{"x": numbers((1, 8, 4), seed)} for seed in range(3)]
    converted = hexconv.convert(proto, samples=samples)
    (expected,) = original_outputs(proto, samples[0])
    assert sqnr(expected, hexconv.simulate(converted, samples[0])["y"]) > 38


FUSED = {
    "FusedConv": fused(
        "FusedConv",
        "x w b",
        "y",
        {"w": numbers((6, 4, 3)), "b": numbers((6,))},
        (1, 4, 9),
        activation="Relu",
        pads=[1, 1],
        kernel_shape=[3],
    ),
    "FusedConv, Z, LeakyRelu": fused(
        "FusedConv",
        "x w b z",
        "y",
        {"w": numbers((4, 4, 3)), "b": numbers((4,)), "z": numbers((1, 4, 9))},
        (1, 4, 9),
        activation="LeakyRelu",
        activation_params=[0.2],
        pads=[1, 1],
        kernel_shape=[3],
    ),
    "FusedConv, Clip": fused(
        "FusedConv",
        "x w",
        "y",
        {"w": numbers((4, 4, 3))},
        (1, 4, 9),
        activation="Clip",
        activation_params=[-0.5, 0.8],
        kernel_shape=[3],
    ),
    "FusedConv, HardSigmoid": fused(
        "FusedConv",
        "x w",
        "y",
        {"w": numbers((4, 4, 3))},
        (1, 4, 9),
        activation="HardSigmoid",
        activation_params=[0.2, 0.4],
        kernel_shape=[3],
    ),
    "FusedMatMul": fused(
        "FusedMatMul",
        "x w",
        "y",
        {"w": numbers((2, 7, 5))},
        (2, 5, 3),
        transA=1,
        transB=1,
        alpha=0.25,
    ),
    "FusedMatMul, batch": fused(
        "FusedMatMul", "x w", "y", {"w": numbers((3, 5, 4))}, (2, 3, 5), transBatchA=1
    ),
    "FusedGemm": fused(
        "FusedGemm",
        "x w b",
        "y",
        {"w": numbers((6, 8)), "b": numbers((6,))},
        (3, 8),
        activation="LeakyRelu",
        activation_alpha=0.1,
        transB=1,
    ),
    "BiasGelu": fused("BiasGelu", "x b", "y", {"b": numbers((8,))}, (3, 8)),
    "SkipLayerNormalization": fused(
        "SkipLayerNormalization",
        "x s g b c",
        "y",
        {"s": numbers((1, 3, 8)), "g": numbers((8,)), "b": numbers((8,), 2), "c": numbers((8,), 3)},
        (1, 3, 8),
        epsilon=1e-3,
    ),
    "SkipSimplifiedLayerNormalization": fused(
        "SkipSimplifiedLayerNormalization",
        "x s g",
        "y",
        {"s": numbers((1, 3, 8)), "g": numbers((8,))},
        (1, 3, 8),
        epsilon=1e-3,
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_what_onnx_runtime_fuses_is_what_it_fused(name: str) -> None:
    graph = load(FUSED[name])
    feeds = feeds_of(graph)
    (expected,) = original_outputs(FUSED[name], feeds)
    np.testing.assert_allclose(FloatSession(graph).run(feeds)["y"], expected, rtol=2e-4, atol=2e-4)


def test_an_op_of_the_optimizer_alone_is_named_as_such() -> None:
    proto = model(
        [node("Conv", "x w", "y", domain="com.microsoft.nchwc")],
        {"x": (1, 8, 4, 4)},
        consts={"w": numbers((8, 8, 1, 1))},
    )
    proto.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    with pytest.raises(UnsupportedOpError) as told:
        load(proto)
    assert "NCHWc" in str(told.value) and "before optimization" in str(told.value)


def test_an_unknown_fused_activation_is_named() -> None:
    proto = fused(
        "FusedConv",
        "x w",
        "y",
        {"w": numbers((4, 4, 3))},
        (1, 4, 9),
        activation="Softsign",
        kernel_shape=[3],
    )
    with pytest.raises(UnsupportedOpError, match="'Softsign'"):
        load(proto)


def test_a_name_that_is_no_utf8_in_the_docs_of_a_model_does_no_harm() -> None:
    content = model([node("Relu", "x", "y")], {"x": (1, 2)})
    content.doc_string = "QQ"
    assert load(onnx.ModelProto.FromString(content.SerializeToString().replace(b"QQ", b"\xff\xfe")))


def test_a_function_that_calls_itself_is_an_error() -> None:
    proto = model([node("F", "x", "y", domain="local")], {"x": (1, 2)})
    proto.opset_import.append(helper.make_opsetid("local", 1))
    body = [helper.make_node("F", ["a"], ["b"], domain="local")]
    proto.functions.append(
        helper.make_function("local", "F", ["a"], ["b"], body, proto.opset_import)
    )
    with pytest.raises(ModelError):
        load(proto)


def test_a_model_without_outputs_is_an_error() -> None:
    with pytest.raises(ModelError, match="no output"):
        load(model([node("Relu", "x", "y")], {"x": (1, 2)}, []))


def test_the_external_data_of_a_constant_node_is_read_beside_the_model(tmp_path: Any) -> None:
    weights = numbers((4, 4))
    tensor = TensorProto(name="w", data_type=1, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    (tmp_path / "w.bin").write_bytes(weights.tobytes())
    proto = model(
        [helper.make_node("Constant", [], ["w"], value=tensor), node("MatMul", "x w", "y")],
        {"x": (1, 4)},
    )
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(load(tmp_path / "m.onnx").const("w"), weights)


NARROW = [kind for name, kind in TensorProto.DataType.items() if "FLOAT8" in name]


@pytest.mark.parametrize("kind", NARROW)
def test_a_cast_to_float8_at_run_time_is_unsupported(kind: int) -> None:
    """It rounds 0.3 to 0.3125 and 500 to 448: the DSP would compute other numbers."""
    nodes = [node("Cast", "x", "f", to=kind), node("Cast", "f", "g", to=1), node("Relu", "g", "y")]
    with pytest.raises(UnsupportedOpErrors, match=r"'f' is of type float8(.|\n)*hint"):
        load(model(nodes, {"x": (1, 4)}, opset=24))


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_a_random_op_of_wide_floats_is_not_called_coarse(kind: int) -> None:
    nodes = [node("Bernoulli", "x", "f", dtype=kind), node("Cast", "f", "y", to=1)]
    (found,) = hexconv.check(model(nodes, {"x": (1, 4)})).unsupported
    assert found.reason == "no lowering for the op Bernoulli"


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("kind", NARROW)
def test_a_constant_that_is_cast_to_float8_and_back_is_what_onnx_computes(
    kind: int, saturate: int
) -> None:
    array = np.array([0.3, -5, 200, 1e-9], np.float32) * (1000 if saturate else 1)
    nodes = [
        node("Cast", "w", "f", to=kind, saturate=saturate),
        node("Cast", "f", "g", to=1),
        node("Add", "x g", "y"),
    ]
    proto = model(nodes, {"x": (1, 4)}, consts={"w": array}, opset=24)
    try:
        graph = load(proto)
    except ModelError as error:
        if "not currently registered" in error.why:
            pytest.skip("this ONNX Runtime does not have the type")
        raise
    found = graph.const(str(graph.nodes[0].inputs[1].name))
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": np.zeros((1, 4), np.float32)})
    np.testing.assert_array_equal(np.reshape(found, (1, 4)), expected)


def test_weights_of_float8_are_floats() -> None:
    array = numpy_helper.to_array(numpy_helper.from_array(numbers((4, 4)))).astype(np.float32)
    proto = model(
        [node("Cast", "w8", "w", to=1), node("MatMul", "x w", "y")], {"x": (1, 4)}, opset=19
    )
    proto.graph.initializer.append(
        helper.make_tensor("w8", TensorProto.FLOAT8E4M3FN, (4, 4), array.reshape(-1).tolist())
    )
    graph = load(proto)
    found = graph.const(str(graph.nodes[0].inputs[1].name))
    assert found is not None and np.abs(found - array).max() < 0.13 * np.abs(array).max()


def test_an_input_without_axes() -> None:
    proto = model([node("Mul", "x w", "y")], {"x": ()}, consts={"w": numbers((4,))})
    x = np.array(0.7, np.float32)
    converted = hexconv.convert(proto, samples=[{"x": x}])
    assert sqnr(x * numbers((4,)), hexconv.simulate(converted, {"x": x})["y"]) > 38


IMAGE = {"scale": np.float32(1 / 255), "mean": np.array([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1)}
READ_AS = {
    "Cast": [node("Cast", "x", "f", to=1)],
    "Transpose, Cast": [
        node("Transpose", "x", "t", perm=[0, 1, 3, 2]),
        node("Cast", "t", "f", to=1),
    ],
    "DequantizeLinear": [node("DequantizeLinear", "x scale zero", "f")],
}


@pytest.mark.parametrize("kind", ["uint8", "int32", "bool"])
@pytest.mark.parametrize("read", READ_AS)
def test_integers_that_are_data_are_floats_on_the_dsp(read: str, kind: str) -> None:
    if read == "DequantizeLinear" and kind != "uint8":
        pytest.skip("of bytes only")
    nodes = [*READ_AS[read], node("Mul", "f scale", "m"), node("Sub", "m mean", "y")]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    consts = {**IMAGE, "zero": np.array(3, np.uint8)}
    proto = model(nodes, {"x": (1, 3, 8, 8)}, consts=consts, dtype=dtype)
    pixels = np.random.default_rng(0).integers(0, 2 if kind == "bool" else 256, (1, 3, 8, 8))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (expected,) = session.run(None, {"x": pixels.astype(kind)})
    as_floats = {"x": pixels.astype(np.float32)}
    converted = hexconv.convert(proto, samples=[as_floats])
    found = hexconv.simulate(converted, as_floats)["y"]
    assert sqnr(expected, found) > 40
