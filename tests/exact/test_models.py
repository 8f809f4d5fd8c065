"""Whole graphs as exact models: valid ONNX, with the simulator's bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hexconv
from hexconv.arrays import Array
from hexconv.errors import ConfigError, GraphError, HexconvError
from hexconv.exact import check, export
from hexconv.exact.functions import DOMAIN, EXACT, load_functions
from hexconv.models.encoder import EncoderConfig, reference_encoder
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Graph, Interface
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.ops import catalogue, spec
from hexconv.simulator import Simulator
from hexconv.simulator.golden import recorded
from hexconv.simulator.registry import KERNELS
from tests.exact.runs import ALL, NONE, assert_same, known, session
from tests.nnlib.random_graphs import Generator
from tests.test_promises import emitted

GRAPHS = sorted((Path(__file__).parents[1] / "golden" / "graphs").glob("*.json"))
LIBRARIES = ("v60", "v65", "v66")


def test_every_kernel_that_a_conversion_emits_has_a_function() -> None:
    load_functions()
    made = {name for name in KERNELS if name in catalogue() and spec(name).emit == "prepare"}
    forms = {n for op in emitted() for n in catalogue() if op in (n, spec(n).form_of)}
    needed = (forms & set(KERNELS)) | {n for n in made if spec(n).form_of in emitted()}
    assert needed - set(EXACT) == set()


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_are_exact(seed: int) -> None:
    graph, feeds = Generator(seed).graph()
    library = LIBRARIES[seed % 3]
    try:
        has_functions = known(graph, library)
    except HexconvError:
        pytest.skip("the library rejects this graph")
    if not has_functions:
        pytest.skip("an op that no conversion emits")
    assert_same(graph, feeds, library)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_recorded_graphs_are_exact(path: Path) -> None:
    item = recorded(path)
    if not known(item.graph, item.library):
        pytest.skip("an op that no conversion emits")
    sources, _ = item.runs[0]
    if any(node.op == INPUT_OP for node in item.graph.nodes):
        assert_same_model(with_interface(item.graph), sources[0], item.library)
    else:
        assert_same(item.graph, sources, item.library)


def with_interface(graph: Graph) -> Graph:
    """MACE's ends named, laid out as the library has them."""
    ends = {node.op: node for node in graph.nodes}
    plain = Layout.plain(4)
    shape = ends[INPUT_OP].outputs[0].shape
    made = {node.id: node for node in graph.nodes}[ends[OUTPUT_OP].inputs[0].node]
    graph.inputs = [Interface("in", shape, plain)]
    graph.outputs = [Interface("out", made.outputs[0].shape, plain)]
    return graph


def assert_same_model(graph: Graph, data: Array, library: Any) -> None:
    """A graph with MACE's ends computes the simulator's bytes."""
    feeds = {"in": data.astype(np.float32)}
    (found,) = session(export(graph, library)).run(None, feeds)
    assert found.tobytes() == Simulator(graph, library).run(feeds)["out"].tobytes()


def small(op: str, seed: int = 3) -> onnx.ModelProto:
    """A convolution, an activation, a residual, a pool, and what `op` makes of that."""
    draw = np.random.default_rng(seed)

    def weights(name: str, *sizes: int) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(
            (draw.standard_normal(sizes) * 0.3).astype(np.float32), name
        )

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "x"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["g"]),
        helper.make_node("Mul", ["a", "g"], ["m"]),
        helper.make_node(op, ["m"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [info("x", TensorProto.FLOAT, [1, 6, 9, 7])],
        [info("y", TensorProto.FLOAT, [1, 6, 9, 7]), info("g", TensorProto.FLOAT, [1, 6, 1, 1])],
        [weights("w", 6, 6, 3, 3), weights("b", 6)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def encoder() -> onnx.ModelProto:
    return reference_encoder(
        EncoderConfig(frames=24, width=64, feed_forward=96, blocks=1, labels=19)
    )


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "sigmoid": lambda: small("Sigmoid"),
    "softmax": lambda: small("Softmax"),
    "encoder": encoder,
}


def feeds_of(proto: onnx.ModelProto, seed: int, scale: float = 1.0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    shapes = {
        item.name: [d.dim_value for d in item.type.tensor_type.shape.dim]
        for item in proto.graph.input
    }
    return {
        name: (draw.standard_normal(sizes) * scale).astype(np.float32)
        for name, sizes in shapes.items()
    }


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MODELS)
def test_models_are_exact_whatever_the_input_level(name: str, library: Any) -> None:
    """Quiet and loud inputs, silence, and one that has a single sign."""
    proto = MODELS[name]()
    model = hexconv.convert(proto, samples=[feeds_of(proto, seed) for seed in range(3)])
    made, simulator = export(model, library), Simulator(model, library)
    onnx.checker.check_model(made, full_check=True)
    inputs = [feeds_of(proto, 7, scale) for scale in (1.0, 0.01, 100.0, 1e-6, 0.0)]
    inputs.append({key: np.abs(value) for key, value in inputs[0].items()})
    for level in (ALL, NONE):
        opened = session(made, level)
        names = [item.name for item in opened.get_outputs()]
        for feeds in inputs:
            expected = simulator.run(feeds)
            for key, found in zip(names, opened.run(None, feeds), strict=True):
                assert found.tobytes() == expected[key].tobytes(), key


def test_an_exact_model_is_plain_onnx_of_opset_17_with_the_dsps_graph() -> None:
    proto = small("Sigmoid")
    model = hexconv.convert(proto, samples=[feeds_of(proto, 1)])
    made = export(model)
    assert made.ir_version <= 9
    assert {item.domain: item.version for item in made.opset_import}[""] <= 17
    assert [item.name for item in made.graph.input] == ["x"]
    assert [item.name for item in made.graph.output] == ["y", "g"]
    ops = [node.op_type for node in made.graph.node if node.domain == DOMAIN]
    assert "Supernode_8x8p32to8_d32" in ops or "InputSupernode_8x8p32to8_outd32" in ops
    said = {item.key: item.value for node in made.graph.node for item in node.metadata_props}
    assert {"nnlib_op", "packets", "range"} <= set(said)
    standard = {
        node.op_type
        for function in made.functions
        for node in function.node
        if not node.domain.startswith("hexconv")
    }
    known_ops = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    assert standard <= known_ops


def test_the_same_model_gives_the_same_bytes() -> None:
    proto = small("Softmax")
    model = hexconv.convert(proto, samples=[feeds_of(proto, 1)])
    contents = {export(model).SerializeToString(deterministic=True) for _ in range(3)}
    assert len(contents) == 1


def test_equal_nodes_share_one_function() -> None:
    made = export(hexconv.convert(encoder(), samples=[feeds_of(encoder(), 1)]))
    ops = [node.op_type for node in made.graph.node if node.domain == DOMAIN]
    assert ops.count("Supernode_8x8p32to8_d32") > 5
    assert len({f.name for f in made.functions}) == len(made.functions)


def test_an_op_without_a_function_is_named() -> None:
    path = next(path for path in GRAPHS if "i16" in path.stem)
    graph = recorded(path).graph
    with pytest.raises(GraphError, match=r"no exact function for .*QuantizedLayerNorm_i16"):
        assert_same(graph, recorded(path).runs[0][0], "v60")


def test_a_graph_without_maces_ends_is_an_error() -> None:
    with pytest.raises(GraphError, match="QuantizeINPUT_f_to_8"):
        export(Graph("empty"))


def test_an_unknown_library_is_an_error() -> None:
    with pytest.raises(ConfigError, match="v99"):
        export(Graph("empty"), "v99")  # type: ignore[arg-type]


def test_a_runtime_that_lacks_an_op_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = small("Sigmoid")
    model = hexconv.convert(proto, samples=[feeds_of(proto, 1)])
    made = export(model)
    made.opset_import[0].version = 99
    with pytest.raises(GraphError, match=r"ONNX Runtime \S+ does not run the exact model"):
        check.check_exact(made, model, "v66")


def test_a_runtime_with_other_arithmetic_is_found_out() -> None:
    models = [
        hexconv.convert(small("Sigmoid", seed), samples=[feeds_of(small("Sigmoid"), 1)])
        for seed in (3, 4)
    ]
    with pytest.raises(GraphError, match="other bits than the simulator"):
        check.check_exact(export(models[0]), models[1], "v66")
