"""Attention masks leave the scores their resolution."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.calibrate.mask_ways import MARGIN
from hexconv.calibrate.masks import bounded_masks
from hexconv.errors import HexconvError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, matches, model, numbers

SHAPE = (1, 2, 6, 6)


def attention(how: str, far: float) -> tuple[list[NodeProto], dict[str, Array]]:
    """Softmax of scores to which a causal mask is added, or which it replaces."""
    later = np.triu(np.ones((6, 6), bool), 1)
    if how == "Add":
        consts: dict[str, Array] = {"m": np.where(later, np.float32(far), np.float32(0))}
        mask = helper.make_node("Add", ["x", "m"], ["masked"], name="mask")
    else:
        consts = {"m": later, "far": np.array(far, np.float32)}
        mask = helper.make_node("Where", ["m", "far", "x"], ["masked"], name="mask")
    return [mask, helper.make_node("Softmax", ["masked"], ["y"], name="softmax")], consts


@pytest.mark.parametrize("how", ["Add", "Where"])
@pytest.mark.parametrize("far", [-1e4, -1e9, -np.inf])
def test_masked_softmax_is_right_in_8_bits(how: str, far: float) -> None:
    nodes, consts = attention(how, far)
    proto = model(nodes, {"x": SHAPE}, ["y"], consts)
    # Scores of -3..3 and the margin in 255 levels: 0.07 per level, 7 % of a probability at most.
    matches(proto, 10.0, {"x": numbers(SHAPE)})


def test_a_masked_score_is_a_margin_below_the_others() -> None:
    nodes, consts = attention("Add", -1e9)
    graph = load(model(nodes, {"x": SHAPE}, ["y"], consts))
    found = bounded_masks(graph, {"x": (-3.0, 4.0), "masked": (-1e9, 4.0), "y": (0.0, 1.0)})
    assert found["masked"] == (-3.0 - MARGIN, 4.0)
    assert found["x"] == (-3.0, 4.0)


def test_what_others_read_too_is_left_alone() -> None:
    nodes, consts = attention("Add", -1e9)
    graph = load(model(nodes, {"x": SHAPE}, ["y", "masked"], consts))
    observed = {"x": (-3.0, 4.0), "masked": (-1e9, 4.0), "y": (0.0, 1.0)}
    assert bounded_masks(graph, observed) == observed


def test_infinity_elsewhere_is_rejected() -> None:
    nodes = [helper.make_node("Add", ["x", "m"], ["y"], name="node")]
    consts = {"m": np.array([-np.inf, 0], np.float32)}
    with pytest.raises(HexconvError, match="infinite"):
        hexconv.convert(model(nodes, {"x": (3, 2)}, ["y"], consts))


FRAMES, WIDTH = 12, 8
LOWEST = float(np.finfo(np.float32).min)

COMPUTED = {
    "(1 - m) * far": [("Sub", ["one", "m"], "p"), ("Mul", ["p", "far"], "bias")],
    "(m - 1) * -far": [("Sub", ["m", "one"], "p"), ("Mul", ["p", "near"], "bias")],
    "(-m + 1) * far": [
        ("Neg", ["m"], "n"),
        ("Add", ["n", "one"], "p"),
        ("Mul", ["far", "p"], "bias"),
    ],
    "where(m, 0, far)": [("Greater", ["m", "half"], "g"), ("Where", ["g", "zero", "far"], "bias")],
    "where(1 - m, far, 1 - m)": [
        ("Sub", ["one", "m"], "p"),
        ("Greater", ["p", "half"], "g"),
        ("Where", ["g", "far", "p"], "bias"),
    ],
    "of two masks": [
        ("Sub", ["one", "m"], "p"),
        ("Mul", ["p", "far"], "own"),
        ("Add", ["own", "causal"], "bias"),
    ],
}


def runtime_mask(form: str, far: float, behind: str = "") -> onnx.ModelProto:
    """Attention whose mask m, 1 for what counts, is an input."""
    constants = {
        "far": np.float32(far),
        "near": np.float32(-far),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "scale": np.float32(0.5),
        "causal": np.triu(np.full((FRAMES, FRAMES), far, np.float32), 1),
    }
    nodes = [helper.make_node(op, inputs, [out]) for op, inputs, out in COMPUTED[form]]
    nodes += [
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "k"], ["a"]),
        helper.make_node("Add", ["a", "bias"], ["s"]),
    ]
    last = "s"
    if behind:
        inputs = ["s", "scale" if behind == "Mul" else "far"]
        nodes.append(helper.make_node(behind, inputs, ["t"]))
        last = "t"
    nodes += [
        helper.make_node("Softmax", [last], ["p_"], axis=-1),
        helper.make_node("MatMul", ["p_", "x"], ["y"]),
    ]
    read = {name for node in nodes for name in node.input}
    consts = {name: np.asarray(value) for name, value in constants.items() if name in read}
    return model(nodes, {"x": (1, FRAMES, WIDTH), "m": (1, 1, FRAMES)}, ["y"], consts)


def feeds(padded: int, seed: int = 0) -> dict[str, Array]:
    mask = np.ones((1, 1, FRAMES), np.float32)
    mask[..., FRAMES - padded :] = 0.0
    return {"x": numbers((1, FRAMES, WIDTH), seed=seed), "m": mask}


def decibels(proto: onnx.ModelProto, calibrated_with: int) -> float:
    """SQNR of a padded input, calibrated on samples with some frames of padding."""
    read = {item.name for item in proto.graph.input}
    samples = [feeds(calibrated_with, seed) for seed in range(3)]
    samples = [{name: feed[name] for name in read} for feed in samples]
    converted = hexconv.convert(proto, samples=samples)
    feed = {name: feeds(4, 1)[name] for name in read}
    (wanted,) = FloatSession(load(proto)).run(feed).values()
    noise = ((hexconv.simulate(converted, feed)["y"] - wanted) ** 2).sum()
    return float(10.0 * np.log10((wanted**2).sum() / noise))


@pytest.mark.parametrize("form", COMPUTED)
@pytest.mark.parametrize("far", [-100.0, -1e4, -1e9, LOWEST])
def test_a_mask_computed_in_each_run_is_as_good_as_a_constant(form: str, far: float) -> None:
    # The scores and the margin in 255 levels leave 26 dB; one level for all of them, 0 dB.
    assert decibels(runtime_mask(form, far), 4) > 26.0


@pytest.mark.parametrize("form", COMPUTED)
def test_a_mask_works_that_no_sample_needed(form: str) -> None:
    assert decibels(runtime_mask(form, -1e9), 0) > 25.0


@pytest.mark.parametrize("behind", ["Max", "Mul", "Clip"])
def test_a_bound_or_a_factor_may_stand_behind_the_mask(behind: str) -> None:
    assert decibels(runtime_mask("(1 - m) * far", -1e9, behind), 4) > 25.0


@pytest.mark.parametrize("order", ["mask, bias", "bias, mask"])
@pytest.mark.parametrize("wide", [1.0, 50.0])
def test_scores_that_are_added_behind_a_mask_lie_above_it(order: str, wide: float) -> None:
    """However far they reach; and scores of -150 to 150 are no mask of the bias."""
    select = ["even", "far", "x" if order == "mask, bias" else "sum"]
    masked = helper.make_node("Where", select, ["masked"])
    added = helper.make_node(
        "Add",
        ["masked" if order == "mask, bias" else "x", "bias"],
        ["all" if order == "mask, bias" else "sum"],
    )
    nodes = [masked, added] if order == "mask, bias" else [added, masked]
    last = "all" if order == "mask, bias" else "masked"
    nodes.append(helper.make_node("Softmax", [last], ["y"], axis=-1))
    consts = {
        "even": np.arange(FRAMES)[None] % 2 == 0,
        "far": np.array(-1e9, np.float32),
        "bias": numbers((1, FRAMES), 5),
    }
    proto = model(nodes, {"x": (6, FRAMES)}, ["y"], consts)
    samples = [{"x": np.float32(wide) * numbers((6, FRAMES), seed)} for seed in range(3)]
    converted = hexconv.convert(proto, samples=samples)
    for sample in samples:
        (wanted,) = FloatSession(load(proto)).run(sample).values()
        noise = ((hexconv.simulate(converted, sample)["y"] - wanted) ** 2).sum()
        assert 10.0 * np.log10((wanted**2).sum() / noise) > 20.0


@pytest.mark.parametrize(
    ("op", "number"), [("Max", -np.inf), ("Max", LOWEST), ("Min", np.inf), ("Min", -LOWEST)]
)
def test_a_bound_that_nothing_reaches_is_dropped(op: str, number: float) -> None:
    nodes = [helper.make_node(op, ["c", "x"], ["h"]), helper.make_node("Exp", ["h"], ["y"])]
    graph = load(model(nodes, {"x": (3, 4)}, ["y"], {"c": np.array(number, np.float32)}))
    assert [node.op_type for node in graph.nodes] == ["Exp"]


PADS = np.array([0, 2, 0, 1])
MASKED = {
    "constant": ([("Where", ["even", "x", "far"], "s")], {"even": np.arange(24)[None] % 2 == 0}),
    "added": (
        [("Add", ["x", "m"], "s")],
        {"m": np.where(np.arange(24) % 2, -np.inf, 0)[None].astype(np.float32)},
    ),
    "of the data": (
        [("Less", ["x", "high"], "b"), ("Where", ["b", "x", "far"], "s")],
        {"high": np.float32(0)},
    ),
    "padded": ([("Pad", ["x", "pads", "far"], "s")], {"pads": PADS}),
    "masked and padded": (
        [("Where", ["even", "x", "far"], "t"), ("Pad", ["t", "pads", "far"], "s")],
        {"even": np.arange(24)[None] % 2 == 1, "pads": PADS},
    ),
}


def widest_gap(samples: list[dict[str, Array]]) -> Array:
    """A threshold near 0.2 of 1 that no value is near to: one that is, is decided by chance."""
    values = np.sort(np.concatenate([sample["x"].reshape(-1) for sample in samples]))
    values = values[len(values) // 2 : len(values) * 7 // 10]
    place = int(np.argmax(np.diff(values)))
    return np.asarray(values[place : place + 2].mean())


@pytest.mark.parametrize("form", MASKED)
@pytest.mark.parametrize("end", ["ArgMax", "Softmax"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_the_largest_of_what_is_not_masked_is_found(form: str, end: str, scale: float) -> None:
    steps, consts = MASKED[form]
    nodes = [helper.make_node(op, inputs, [out]) for op, inputs, out in steps]
    parts: dict[str, Array] = {name: np.asarray(value) for name, value in consts.items()}
    samples = [{"x": np.float32(scale) * numbers((6, 24), seed)} for seed in range(3)]
    if "far" in {name for _, inputs, _ in steps for name in inputs}:
        parts["far"] = np.array(-np.inf, np.float32)
    if "high" in parts:
        parts["high"] = widest_gap(samples)
    if end == "ArgMax":
        nodes += [helper.make_node("ArgMax", ["s"], ["a"], axis=-1)]
        nodes += [helper.make_node("Cast", ["a"], ["y"], to=1)]
    else:
        nodes += [helper.make_node("Softmax", ["s"], ["y"], axis=-1)]
    proto = model(nodes, {"x": (6, 24)}, ["y"], parts)
    converted = hexconv.convert(proto, samples=samples)
    (wanted,) = FloatSession(load(proto)).run(samples[1]).values()
    found = hexconv.simulate(converted, samples[1])["y"].reshape(wanted.shape)
    if end == "ArgMax":
        scores, before = samples[1]["x"], 2 if "pads" in parts else 0
        places = [np.rint(place).astype(int) - before for place in (found, wanted)]
        chosen, largest = (np.take_along_axis(scores, place, -1) for place in places)
        # Scores of -3..3 that are two levels of 255 apart may change places.
        assert np.abs(chosen - largest).max() < 0.05 * scale
    elif scale == 1.0:
        assert np.abs(found - wanted).max() < 0.03
    else:
        assert found[wanted == 0].max() < 0.01


FILLED = {
    "sum": [("Mul", ["m", "far"], "f"), ("Add", ["x", "f"], "s")],
    "difference": [("Mul", ["m", "opposite"], "f"), ("Sub", ["x", "f"], "s")],
    "selection": [("Greater", ["m", "half"], "b"), ("Where", ["b", "far", "x"], "s")],
}
AXES = {"ax": np.array([1])}
READ_BELOW = {
    "ReduceMax": [("ReduceMax", ["t", "ax"], "y")],
    "MaxPool": [("MaxPool", ["t"], "y")],
    "Max": [("Max", ["t", "x"], "y")],
    "Softmax": [("Softmax", ["t"], "y")],
    "Sigmoid": [("Sigmoid", ["t"], "y")],
    "Exp": [("Exp", ["t"], "y")],
    "Relu": [("Relu", ["t"], "y")],
    "Gelu": [("Gelu", ["t"], "y")],
    "sum of Exp": [("Exp", ["t"], "e"), ("ReduceSum", ["e", "ax"], "y")],
    "LogSumExp": [("ReduceLogSumExp", ["t", "ax"], "y")],
}
READ_ABOVE = {
    "ReduceMin": [("ReduceMin", ["s", "ax"], "y")],
    "Min": [("Min", ["s", "x"], "y")],
    "TopK": [("TopK", ["s", "one"], "y")],
    **{
        f"{name} of the negative": [("Neg", ["s"], "t"), *steps]
        for name, steps in READ_BELOW.items()
    },
    "Softmax of the scaled negative": [("Mul", ["s", "scale"], "t"), ("Softmax", ["t"], "y")],
}
SETTINGS = {"MaxPool": {"kernel_shape": [5], "strides": [5]}, "TopK": {"largest": 0, "axis": 1}}


@pytest.mark.parametrize("form", FILLED)
@pytest.mark.parametrize(
    ("sign", "read"), [(-1, read) for read in READ_BELOW] + [(1, read) for read in READ_ABOVE]
)
@pytest.mark.parametrize("far", [1e4, 1e9])
def test_a_number_far_away_that_a_run_fills_in_is_never_returned(
    form: str, sign: int, read: str, far: float
) -> None:
    steps = [*FILLED[form], *(READ_BELOW if sign < 0 else READ_ABOVE)[read]]
    steps = [
        (op, ["s" if i == "t" and sign < 0 else i for i in ins], out) for op, ins, out in steps
    ]
    nodes = [
        helper.make_node(op, ins, [out, "i"][: 1 + (op == "TopK")], **SETTINGS.get(op, {}))
        for op, ins, out in steps
    ]
    numbers_of = {"far": sign * far, "opposite": -sign * far, "half": 0.5, "scale": -0.5}
    consts = {name: np.array(number, np.float32) for name, number in numbers_of.items()}
    used = {name for _, inputs, _ in steps for name in inputs}
    consts = {
        name: v for name, v in (consts | AXES | {"one": np.array([1])}).items() if name in used
    }
    samples = [
        {"x": numbers((1, 4, 20), seed), "m": np.float32(numbers((1, 1, 20), seed + 9) > 0.5)}
        for seed in range(4)
    ]
    proto = model(nodes, {"x": (1, 4, 20), "m": (1, 1, 20)}, ["y"], consts, opset=20)
    converted = hexconv.convert(proto, samples=samples)
    (wanted,) = FloatSession(load(proto)).run(samples[0]).values()
    noise = ((hexconv.simulate(converted, samples[0])["y"] - wanted) ** 2).sum()
    # One range for both would leave 0 to 8 dB; a softmax has a margin in its levels.
    assert noise < (wanted**2).sum() * 10 ** (-2.5 if "Softmax" in read else -3.0)
