"""Dynamic dimensions are fixed by name; errors name the dimension."""

from __future__ import annotations

import pytest

from hexconv.errors import ConfigError, ModelError
from hexconv.onnx_graph import load
from tests.onnx_graph.models import Shape, model, node


def add(first: Shape, second: Shape, **shapes: tuple[int, ...]) -> list[tuple[int, ...]]:
    graph = load(model([node("Add", "a b", "y")], {"a": first, "b": second}), shapes)
    return [info.shape for info in graph.inputs]


def test_a_missing_dimension_is_requested_by_name() -> None:
    with pytest.raises(ModelError) as error:
        add(("batch", "time", 40), (1, 1, 40))
    text = str(error.value)
    assert "input 'a' [batch, time, 40]: dimension 0 ('batch'), dimension 1 ('time')" in text
    assert 'shapes={"a": (1, 100, 40)' in text


def test_unnamed_dimensions_and_missing_shapes_are_requested() -> None:
    with pytest.raises(ModelError, match=r"dimension 1 \(unnamed\)"):
        add((1, None), (1, 1))


def test_a_symbol_given_once_counts_everywhere() -> None:
    assert add(("n", 3), ("n", 1), a=(5, 3)) == [(5, 3), (5, 1)]


def test_static_shapes_need_nothing_and_may_be_repeated() -> None:
    assert add((2, 3), (2, 3), a=(2, 3)) == [(2, 3), (2, 3)]


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({"a": (1, 2, 3)}, "has 2 dimensions, 3 were given"),
        ({"a": (4, 7)}, "dimension 1 of input 'a' is 3, 7 was given"),
        ({"a": (0, 3)}, "below 1"),
        ({"a": (-1, 3)}, "below 1"),
        ({"a": (2, 3), "b": (4, 3)}, "'n' was given as 2 and as 4"),
        ({"A": (2, 3)}, "no input 'A'"),
    ],
)
def test_shapes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        add(("n", 3), ("n", 3), **shapes)


def test_an_unknown_input_is_reported_with_the_nearest() -> None:
    proto = model([node("Relu", "speech", "y")], {"speech": ("t",)})
    with pytest.raises(ConfigError, match="did you mean 'speech'"):
        load(proto, {"speach": (3,)})
