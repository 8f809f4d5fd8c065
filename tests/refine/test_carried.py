"""What was changed of a model's constants is in the same model with its output in slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hexconv
from hexconv.model import Model
from hexconv.nnlib.graph import Const, Graph
from hexconv.refine.carried import carried
from tests.optimize.proof import feeds
from tests.optimize.test_output_slices import NETS
from tests.refine.test_high_accuracy import attention
from tests.refine.test_high_accuracy import feeds as rows


def array_of(graph: Graph, name: str) -> np.ndarray:
    return next(const.array for const in graph.consts if const.name == name)


def changed(graph: Graph, amounts: dict[str, int]) -> Graph:
    consts = [
        replace(c, array=(c.array + amounts[c.name]).astype(c.array.dtype))
        if c.name in amounts
        else c
        for c in graph.consts
    ]
    return replace(graph, consts=consts)


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    """Without slices, and with three of them."""
    proto, samples = attention(), rows(8)
    settings = {"output_slices": {"y": 3}, "join_slices": True}
    return hexconv.convert(proto, samples=samples), hexconv.convert(
        proto, samples=samples, **settings
    )


def test_layers_in_common_have_the_changed_constants(models: tuple[Model, Model]) -> None:
    plain, sliced = (made.graph for made in models)
    names = {c.name for c in plain.consts} & {c.name for c in sliced.consts}
    weights = sorted(n for n in names if n.endswith(("/weights", "/bias")))
    assert len(weights) > 2
    after = changed(plain, dict.fromkeys(weights, 3))
    found = carried(sliced, plain, after)
    for name in weights:
        assert np.array_equal(array_of(found, name), array_of(after, name))


def test_slices_repeat_the_weights_of_the_last_layer_and_move_its_biases(
    models: tuple[Model, Model],
) -> None:
    plain, sliced = (made.graph for made in models)
    after = changed(plain, {"y/weights": 2, "y/bias": -70})
    found = carried(sliced, plain, after)
    name = "y/slices_of_product"
    tiled = np.concatenate([array_of(after, "y/weights")] * 3, axis=-1)
    assert np.array_equal(array_of(found, f"{name}/weights"), tiled)
    moved = array_of(found, f"{name}/bias") - array_of(sliced, f"{name}/bias")
    assert set(moved.ravel().tolist()) == {-70}


@pytest.mark.parametrize("name", ["image", "wave", "transposed", "norm"])
def test_what_was_not_changed_stays(name: str) -> None:
    proto = NETS[name]()
    samples = feeds(proto, 8)
    plain = hexconv.convert(proto, samples=samples).graph
    asked = {"output_slices": {"y": 2}, "join_slices": True}
    sliced = hexconv.convert(proto, samples=samples, **asked).graph
    found = carried(sliced, plain, plain)
    assert all(
        np.array_equal(one.array, other.array)
        for one, other in zip(found.consts, sliced.consts, strict=True)
    )


def test_constants_of_the_same_name_and_other_values_are_left() -> None:
    before = Graph(consts=[Const(0, "a", np.int32([[[[1]]]]))])
    after = Graph(consts=[Const(0, "a", np.int32([[[[5]]]]))])
    other = Graph(consts=[Const(0, "a", np.int32([[[[2, 2]]]]))])
    assert np.array_equal(carried(other, before, after).consts[0].array, [[[[2, 2]]]])
