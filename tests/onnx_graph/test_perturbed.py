"""Errors added to tensors of the float model: as if they were added in the whole model."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.perturbed import PARTS, Perturbed
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, numbers

SHAPE = (1, 6)
STEPS = 2 * PARTS


def branches() -> ModelProto:
    """Two chains of which each step reads the one before, one of them an output as well."""
    nodes = [helper.make_node("Mul", ["x", "a"], ["t0"]), helper.make_node("Neg", ["x"], ["u0"])]
    for step in range(1, STEPS):
        nodes.append(helper.make_node("Tanh", [f"t{step - 1}"], [f"t{step}"]))
        nodes.append(helper.make_node("Add", [f"u{step - 1}", "b"], [f"u{step}"]))
    nodes.append(helper.make_node("Sub", [f"t{STEPS - 1}", f"u{STEPS - 1}"], ["y"]))
    consts = {"a": numbers(SHAPE, 1), "b": numbers(SHAPE, 2)}
    return model(nodes, {"x": SHAPE}, ["y", "t3"], consts)


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    return load(branches())


@pytest.fixture(scope="module")
def errors(graph: FloatGraph) -> dict[str, Array]:
    return {name: 0.1 * numbers(SHAPE, i) for i, name in enumerate(graph.computed_values(), 5)}


def wanted(added: dict[str, Array]) -> dict[str, Array]:
    """Each error is an input of the model."""
    proto = branches()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    renamed: dict[str, str] = {}

    def add(name: str) -> None:
        if name in added:
            renamed[name] = f"{name}/wrong"
            proto.graph.input.append(helper.make_tensor_value_info(f"{name}/error", 1, SHAPE))
            proto.graph.node.append(
                helper.make_node("Add", [name, f"{name}/error"], [renamed[name]])
            )

    add("x")
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        proto.graph.node.append(node)
        add(node.output[0])
    for item in proto.graph.output:
        item.name = renamed.get(item.name, item.name)
    feeds = {"x": numbers(SHAPE), **{f"{name}/error": error for name, error in added.items()}}
    found = FloatSession(load(proto)).run(feeds)
    return {name: found[renamed.get(name, name)] for name in ("y", "t3")}


@pytest.mark.parametrize("names", [(), ("x",), ("t3",), ("u5",), ("y",), ("x", "t9", "u20", "t21")])
def test_the_outputs_are_those_of_a_model_with_these_errors(
    names: tuple[str, ...], graph: FloatGraph, errors: dict[str, Array]
) -> None:
    added = {name: errors[name] for name in names}
    perturbed = Perturbed(graph, graph.computed_values())
    clean = perturbed.clean({"x": numbers(SHAPE)})
    found = perturbed.outputs(clean, added)
    assert list(found) == ["y", "t3"]
    for name, array in wanted(added).items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)


def test_a_sample_stays_clean(graph: FloatGraph, errors: dict[str, Array]) -> None:
    perturbed = Perturbed(graph, graph.computed_values())
    clean = perturbed.clean({"x": numbers(SHAPE)})
    before = perturbed.outputs(clean, {})
    perturbed.outputs(clean, errors)
    after = perturbed.outputs(clean, {})
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_what_reads_nothing_wrong_is_not_computed_again(
    graph: FloatGraph, errors: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbed = Perturbed(graph, graph.computed_values())
    clean = perturbed.clean({"x": numbers(SHAPE)})
    runs: list[FloatSession] = []
    run = FloatSession.run

    def counted(self: FloatSession, feeds: dict[str, Array]) -> dict[str, Array]:
        runs.append(self)
        return run(self, feeds)

    monkeypatch.setattr(FloatSession, "run", counted)
    perturbed.outputs(clean, {"y": errors["y"]})
    assert len(runs) == 1
    perturbed.outputs(clean, {"t0": errors["t0"]})
    assert len(runs) == 1 + PARTS


def test_of_a_model_that_returns_its_input(errors: dict[str, Array]) -> None:
    proto = branches()
    proto.graph.output.append(helper.make_tensor_value_info("x", 1, SHAPE))
    perturbed = Perturbed(load(proto), ["x"])
    clean = perturbed.clean({"x": numbers(SHAPE)})
    found = perturbed.outputs(clean, {"x": errors["x"]})
    given = next(array for name, array in found.items() if name not in ("y", "t3"))
    np.testing.assert_allclose(given, numbers(SHAPE) + errors["x"], rtol=0, atol=1e-6)
