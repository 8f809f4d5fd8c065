"""Softmaxes of many elements are computed from centered scores where little more time allows it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.model import Model
from hexconv.pipeline import prepared
from hexconv.precision import PLAIN, Precision
from hexconv.refine import default_packets
from hexconv.refine.default_packets import affordable, too_dear
from hexconv.settings import Settings
from tests.calibrate import test_outlier_channels as outlier_nets
from tests.calibrate import test_stream_ends as stream_ends
from tests.calibrate.test_centered_scores import attention, feeds, is_centered
from tests.lowering.proof import decibels, model

NAMES = ["d", "b", "c", "a"]


@pytest.mark.parametrize(
    ("packets", "time", "taken"),
    [
        (5.0, 5.0, "abcd"),
        (7.0, 15.0, "abcd"),
        (9.0, 5.0, "bcd"),
        (28.0, 5.0, "d"),
        (29.0, 5.0, ""),
        (5.0, 24.0, "bd"),
        (5.0, 71.0, ""),
    ],
)
def test_the_first_ones_are_taken_as_packets_and_time_allow(
    packets: float, time: float, taken: str
) -> None:
    built: list[Precision] = []

    def price(precision: Precision) -> tuple[float, float]:
        built.append(precision)
        count = len(precision.written_out)
        return 1000.0 + packets * count, 1000.0 + time * count

    found = affordable(NAMES, price, lambda: (1000.0, 1000.0))
    assert found == Precision(written_out=tuple(taken))
    assert len(built) <= 3


def test_without_any_nothing_is_built() -> None:
    def never(*_: object) -> tuple[float, float]:
        raise AssertionError

    assert affordable([], never, never) == PLAIN


@pytest.mark.parametrize(("packets", "left"), [(1028.0, 0), (1029.0, 1)])
def test_sums_by_channel_are_left_out_where_they_take_too_many_packets(
    packets: float, left: int
) -> None:
    assert len(too_dear((packets, 2000.0), (1000.0, 1000.0))) == left


@pytest.mark.parametrize(("most", "times"), [(1.0, 0), (10.0, 4)])
def test_a_model_has_them_where_packets_allow(
    most: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_packets, "MOST_PACKETS", most)
    monkeypatch.setattr(outlier_nets, "WIDTH", 256)
    proto, samples = outlier_nets.post_norm(outlier_nets.LARGE), outlier_nets.feeds("post", 2)
    made = hexconv.convert(proto, samples=samples)
    assert made.conversion is not None
    found = sum(r.times for r in made.conversion.rewrites if r.name == "sums_by_channel")
    assert found == times
    again = hexconv.convert(proto, ranges=made.ranges)
    assert again.graph.consts == made.graph.consts


def test_a_range_file_without_the_names_of_minmax_is_enough() -> None:
    """As a price was asked for, which ended in an error."""
    proto, samples = stream_ends.post_norm_of_parts(), outlier_nets.feeds("post", 4)
    ranges = hexconv.convert(proto, samples=samples).ranges
    default, minmax = (
        set(prepared(proto, None, Settings(accuracy=accuracy))[0].computed_values())
        for accuracy in ("default", "minmax")
    )
    assert minmax - default
    known = {name: ends for name, ends in ranges.items() if name not in minmax - default}
    assert hexconv.convert(proto, ranges=known).graph.nodes


def converted(**settings: str) -> Model:
    samples = [feeds(seed, heads=4) for seed in range(2)]
    return hexconv.convert(attention(heads=4), samples=samples, **settings)


def test_a_small_model_keeps_the_op_of_the_library() -> None:
    """90,000 elements are half of its packets."""
    assert not is_centered(converted())


def test_with_room_for_packets_it_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    before, held = converted(), [feeds(seed, heads=4) for seed in (20, 21)]
    monkeypatch.setattr(default_packets, "MOST_PACKETS", 2.0)
    monkeypatch.setattr(default_packets, "MOST_TIME", 2.0)
    made = converted()
    assert is_centered(made)
    assert not is_centered(converted(accuracy="minmax"))
    again = hexconv.convert(attention(heads=4), ranges=made.ranges)
    assert again.graph.consts == made.graph.consts
    gained = decibels(attention(heads=4), held, ranges=made.ranges)
    monkeypatch.undo()
    assert gained > decibels(attention(heads=4), held, ranges=before.ranges) + 10.0


def test_values_whose_mean_is_0_have_a_gain() -> None:
    """The product is 0 throughout: noise over signal is no number."""
    shape = (1, 6, 128, 16)
    values = np.ones(shape, np.float32)
    values[:, :, ::2] = -1.0
    nodes = [
        helper.make_node("Transpose", ["q"], ["k"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Softmax", ["a"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    proto = model(nodes, {"q": shape, "v": shape}, ["y"], {})
    made = hexconv.convert(proto, samples=[{"q": np.zeros(shape, np.float32), "v": values}])
    assert not is_centered(made)  # it would be most of the packets


def test_what_either_has_is_joined() -> None:
    first = Precision((("a", 2), ("b", 2)), ("s",))
    second = Precision((("a", 3),), ("r",))
    assert first.joined(second) == Precision((("a", 3), ("b", 2)), ("r", "s"))
