"""An accuracy that the user has to know of: a warning of convert, an error with --strict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import hexconv
from hexconv.cli import group
from hexconv.compare.accuracy import Accuracy, accuracy
from hexconv.compare.low_accuracy import low_accuracy
from hexconv.compare.metrics import Metrics
from hexconv.errors import AccuracyError, HexconvWarning
from hexconv.onnx_graph import load
from tests.lowering.proof import Array, model, numbers


def ends(*nodes: onnx.NodeProto, **consts: Array) -> onnx.ModelProto:
    """x (1, 6, 8) -> hidden (1, 6, 8), a Linear -> the nodes -> y."""
    first = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["hidden"]),
    ]
    consts = {"w": numbers((8, 8)), "b": numbers((8,), 2), **consts}
    return model([*first, *nodes], {"x": (1, 6, 8)}, ["y"], consts)


def written_out(keepdims: int) -> list[onnx.NodeProto]:
    """LogSoftmax as JAX writes it."""
    behind = ["s"] if keepdims else ["l"]
    nodes = [
        helper.make_node("ReduceMax", ["hidden", "last"], ["m"], keepdims=1),
        helper.make_node("Sub", ["hidden", "m"], ["d"]),
        helper.make_node("Exp", ["d"], ["e"]),
        helper.make_node("ReduceSum", ["e", "last"], ["sum"], keepdims=keepdims),
        helper.make_node("Log", ["sum"], behind),
    ]
    if not keepdims:
        nodes.append(helper.make_node("Unsqueeze", ["l", "last"], ["s"]))
    return [*nodes, helper.make_node("Sub", ["d", "s"], ["y"])]


LAST = np.array([-1], np.int64)
WITH_CLASSES = {
    "LogSoftmax": ends(helper.make_node("LogSoftmax", ["hidden"], ["y"], axis=-1)),
    "Softmax": ends(helper.make_node("Softmax", ["hidden"], ["y"], axis=2)),
    "written out": ends(*written_out(1), last=LAST),
    "written out, without keepdims": ends(*written_out(0), last=LAST),
    "logits": ends(helper.make_node("Identity", ["hidden"], ["y"])),
    "logarithm of a softmax": ends(
        helper.make_node("Softmax", ["hidden"], ["p"], axis=-1),
        helper.make_node("Log", ["p"], ["y"]),
    ),
    "moved": ends(
        helper.make_node("LogSoftmax", ["hidden"], ["p"]),
        helper.make_node("Transpose", ["p"], ["y"], perm=[1, 0, 2]),
    ),
}
WITHOUT = {
    "softmax over frames": ends(helper.make_node("Softmax", ["hidden"], ["y"], axis=1)),
    "classes no longer last": ends(
        helper.make_node("LogSoftmax", ["hidden"], ["p"]),
        helper.make_node("Transpose", ["p"], ["y"], perm=[0, 2, 1]),
    ),
    "activation": ends(helper.make_node("Tanh", ["hidden"], ["y"])),
    "difference": ends(helper.make_node("Sub", ["hidden", "x"], ["y"])),
}


@pytest.mark.parametrize("recognize", [True, False])
@pytest.mark.parametrize("form", WITH_CLASSES)
def test_scores_are_known_in_every_form(form: str, recognize: bool) -> None:
    assert load(WITH_CLASSES[form], recognize=recognize).classes == {"y"}


@pytest.mark.parametrize("form", WITHOUT)
def test_what_is_no_score_has_no_classes(form: str) -> None:
    assert load(WITHOUT[form]).classes == frozenset()


def test_verify_counts_the_classes_of_a_log_softmax() -> None:
    source = WITH_CLASSES["LogSoftmax"]
    samples = [{"x": numbers((1, 6, 8), seed)} for seed in range(4)]
    found = hexconv.verify(hexconv.convert(source, samples=samples), source, samples)
    assert found.outputs[0].calibration is not None
    assert found.outputs[0].calibration.top1 is not None
    assert found.failures({"top1": 0.5}) == []


def beside_a_loud_channel() -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """Quiet channels of a loud input: 8 bits hold nothing of them, whatever computes them."""
    nodes = [helper.make_node("Slice", ["x", "one", "end", "axis"], ["y"])]
    consts = {
        name: np.array([value], np.int64) for name, value in {"one": 1, "end": 8, "axis": 2}.items()
    }
    samples = [{"x": numbers((1, 6, 8), seed)} for seed in range(4)]
    for sample in samples:
        sample["x"][..., 0] *= 1000
    return model(nodes, {"x": (1, 6, 8)}, ["y"], consts), samples


def test_an_output_below_15_db_is_a_warning_that_says_where_help_is(tmp_path: Path) -> None:
    source, samples = beside_a_loud_channel()
    path, data = tmp_path / "quiet.onnx", tmp_path / "x.npy"
    onnx.save(source, path)
    np.save(data, np.concatenate([sample["x"] for sample in samples]))
    command = ["convert", str(path), "--samples", str(data), "-q", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 0
    assert "less than 15" in done.stderr and "docs/accuracy.md" in done.stderr
    strict = CliRunner().invoke(group, [*command[:-1], str(tmp_path / "none"), "--strict"])
    assert isinstance(strict.exception, AccuracyError) and strict.exception.exit_code == 3
    assert not (tmp_path / "none").exists()


def test_random_inputs_tell_nothing_of_15_db() -> None:
    source, samples = beside_a_loud_channel()
    converted = hexconv.convert(source, samples=samples)
    found = accuracy(converted, source, samples)
    assert low_accuracy(found, own_samples=True) and not low_accuracy(found, own_samples=False)
    hexconv.convert(source, ranges=converted.ranges, strict=True)


def test_close_classes_that_change_are_a_warning() -> None:
    """Logits of 0 beside a bias that fills the range: the largest one is a matter of rounding."""
    source = ends(
        helper.make_node("Add", ["hidden", "apart"], ["z"]),
        helper.make_node("LogSoftmax", ["z"], ["y"]),
        b=np.zeros(8, np.float32),
        w=np.float32(0.01) * numbers((8, 8)),
        apart=np.array([-9, -9, -9, -9, 0, 0, 0, 0], np.float32),
    )
    samples = [{"x": numbers((1, 6, 8), seed)} for seed in range(4)]
    found = accuracy(hexconv.convert(source, samples=samples), source, samples)
    assert found["y"].sqnr > 30
    (told,) = low_accuracy(found, own_samples=True)
    assert "largest class" in told and "% of the rows" in told


def measured(sqnr: float, allowed: float | None = None, top1: float | None = None) -> Accuracy:
    """An output with these figures."""
    metrics = Metrics(sqnr, 0.99, 0.1, 0.01, 0.9, top1, 1.0, 4)
    return Accuracy(metrics, allowed)


@pytest.mark.parametrize(
    ("item", "warned"),
    [
        (measured(15.0), False),
        (measured(14.9), True),
        (measured(40.0, allowed=45.9), False),
        (measured(40.0, allowed=46.0), True),
        (measured(40.0, top1=0.81), False),
        (measured(40.0, top1=0.8), True),
        (measured(9.0, allowed=20.0), True),
    ],
)
def test_each_threshold_has_one_warning(item: Accuracy, warned: bool) -> None:
    assert len(low_accuracy({"y": item}, own_samples=True)) == int(warned)


def test_random_inputs_are_in_the_declared_range() -> None:
    """Values below it are in the DSP's range, which includes 0; no tensor behind was seen there."""
    consts = {"w": numbers((4, 4, 3, 3)) / 5}
    conv = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    proto = model([conv], {"x": (1, 4, 8, 8)}, ["y"], consts)
    with pytest.warns(HexconvWarning, match="random data in the declared input range"):
        converted = hexconv.convert(proto, input_ranges={"x": (3.0, 4.0)})
    found = accuracy(converted, proto)["y"]
    assert found.allowed is not None and found.sqnr > found.allowed - 3
