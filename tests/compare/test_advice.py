"""Advice about weights that v65 and v66 squeeze to int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import hexconv
from hexconv.compare.advice import AdviceCase, advise
from hexconv.compare.metrics import Metrics
from hexconv.compare.sites import find_sites
from hexconv.compare.tally import Figures
from hexconv.nnlib.graph import Const, Graph
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.versions import LibraryVersion

CHANNELS = 8
POOR = Metrics(25.0, 1.0, 0.1, 0.1, 0.5, None, 1.0, 4)
ZERO = 90


def convolution(stride: tuple[int, int], depth: int, groups: int) -> onnx.ModelProto:
    """x -> Conv -> y; weights fill their range."""
    weights = np.random.default_rng(1).uniform(-1, 1, (CHANNELS, depth // groups, 3, 3))
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=stride, pads=[1] * 4, group=groups)
    size = [-(-12 // step) for step in stride]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "convolution",
        [value("x", 1, (1, depth, 12, 12))],
        [value("y", 1, (1, CHANNELS, *size))],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def with_zero_point(graph: Graph, zero: int) -> Graph:
    """The weights' values as they are, in a range with another zero point."""

    def moved(const: Const) -> Const:
        return replace(const, range=(-zero / 100, (255 - zero) / 100)) if const.range else const

    return replace(graph, consts=tuple(moved(const) for const in graph.consts))


def advice(
    library: LibraryVersion,
    *,
    stride: tuple[int, int] = (1, 1),
    depth: int = CHANNELS,
    groups: int = 1,
    zero: int = ZERO,
) -> str:
    """What a convolution of 25 dB is told."""
    proto = convolution(stride, depth, groups)
    feeds = {"x": np.random.default_rng(0).standard_normal((1, depth, 12, 12)).astype("f4")}
    graph = with_zero_point(hexconv.convert(proto, samples=[feeds]).graph, zero)
    shape = tuple(dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim)
    sites = find_sites(graph, trace(graph), {"y": shape})
    (site,) = sites.all
    figures = Figures(POOR, POOR, None)
    case = AdviceCase(
        site, figures, figures, None, sites.weights["y"], library, None, None, share=1.0
    )
    return "; ".join(advise(case))


@pytest.mark.parametrize("library", ["v65", "v66"])
def test_squeezed_weights_are_named(library: LibraryVersion) -> None:
    assert f"{library} squeezes these weights (zero point 90)" in advice(library)
    assert "squeezes" in advice(library, stride=(3, 2))


def test_weights_that_lose_nothing_are_not_named() -> None:
    assert "squeezes" not in advice("v60")
    assert "squeezes" not in advice("v66", zero=128)


@pytest.mark.parametrize("library", ["v65", "v66"])
def test_convolutions_with_the_code_of_v60_squeeze_nothing(library: LibraryVersion) -> None:
    assert "squeezes" not in advice(library, depth=1024)


def test_steps_of_three_columns_squeeze_on_v65_and_not_on_v66() -> None:
    assert "squeezes" in advice("v65", stride=(1, 3))
    assert "squeezes" not in advice("v66", stride=(1, 3))


def test_other_kernels_never_squeeze() -> None:
    assert "squeezes" not in advice("v66", groups=CHANNELS)  # depthwise
    assert "squeezes" not in advice("v66", depth=3)  # a first convolution
