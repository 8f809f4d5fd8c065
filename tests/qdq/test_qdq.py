"""A model as quantized ONNX: the DSP model's ranges, weights for each channel, right in ORT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import ModelProto, helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.compare.accuracy import accuracy
from hexconv.errors import ConfigError, HexconvError, ModelError
from hexconv.model import Model
from hexconv.nnlib.graph import Ref
from hexconv.qdq import opset, qdq_accuracy, to_qdq
from tests.lowering.proof import float_outputs, model, numbers, one

FEEDS = [{"x": numbers((1, 8, 12, 12), seed)} for seed in range(4)]
CONSTS = {"w": numbers((16, 8, 3, 3)) / 8, "b": numbers((16,)), "v": numbers((5, 16, 1, 1)) / 4}


def net(*between: Any) -> ModelProto:
    """A convolution, `between` from c to r, and another convolution."""
    conv = helper.make_node("Conv", ["x", "w", "b"], ["c"], name="first", pads=[1, 1, 1, 1])
    last = helper.make_node("Conv", ["r", "v"], ["y"], name="last")
    return model([conv, *between, last], {"x": (1, 8, 12, 12)}, ["y"], CONSTS)


RELU = helper.make_node("Relu", ["c"], ["r"], name="relu")


def parameters(made: ModelProto) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scales and zero points by the name of the tensor that QuantizeLinear reads."""
    init = {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}
    return {
        node.input[0].removesuffix("_QuantizeLinear_Input"): (
            init[node.input[1]],
            init[node.input[2]],
        )
        for node in made.graph.node
        if node.op_type == "QuantizeLinear"
    }


def dsp_range(converted: Model, tensor: str) -> tuple[float, float]:
    """(min, max) that a convolution of the DSP model is asked for."""
    values = {const.id: const.array for const in converted.graph.consts}
    for node in converted.graph.nodes:
        if node.origin is not None and node.origin.tensor == tensor:
            low, high = (values[Ref(*ref).node] for ref in node.inputs[10:12])
            return float(low.flat[0]), float(high.flat[0])
    raise AssertionError(tensor)


def errors(made: ModelProto, proto: ModelProto) -> float:
    """The largest error in steps of the output's range, over the samples."""
    session = ort.InferenceSession(made.SerializeToString())
    found = []
    for feeds in FEEDS:
        (wanted,) = float_outputs(proto, feeds)
        (got,) = session.run(None, feeds)
        found.append(np.abs(got - wanted).max() * 255 / np.ptp(wanted))
    return float(max(found))


def test_activations_have_the_dsp_models_ranges() -> None:
    proto = net(RELU)
    made, warnings = to_qdq(proto, samples=FEEDS)
    converted = hexconv.convert(proto, samples=FEEDS)
    assert not warnings
    for tensor in ("r", "y"):
        scale, zero = parameters(made)[tensor]
        low, high = dsp_range(converted, tensor)
        assert (scale.dtype, zero.dtype) == (np.float32, np.uint8)
        ends = (np.array([0.0, 255.0]) - zero) * scale
        np.testing.assert_allclose(ends, [low, high], rtol=1e-6)


def test_weights_are_int8_with_a_scale_for_each_output_channel() -> None:
    made, _ = to_qdq(net(RELU), samples=FEEDS)
    init = {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}
    for name, channels in (("w", 16), ("v", 5)):
        assert init[f"{name}_quantized"].dtype == np.int8
        assert init[f"{name}_scale"].shape == (channels,)
        assert not init[f"{name}_zero_point"].any()


@pytest.mark.parametrize(
    "between",
    [
        (RELU,),
        (helper.make_node("Sigmoid", ["c"], ["r"]),),
        (helper.make_node("LeakyRelu", ["c"], ["r"], alpha=0.1),),
        (
            helper.make_node("Add", ["c", "c"], ["a"]),
            helper.make_node("Relu", ["a"], ["r"]),
        ),
        (
            helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
            helper.make_node("Relu", ["p"], ["r"]),
        ),
        (
            helper.make_node("Sigmoid", ["c"], ["g"]),
            helper.make_node("Mul", ["c", "g"], ["r"]),
        ),
        (
            helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
            helper.make_node("Relu", ["t"], ["r"]),
        ),
        (
            helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
            helper.make_node("MaxPool", ["t"], ["p"], kernel_shape=[2, 2]),
            helper.make_node("Relu", ["p"], ["r"]),
        ),
    ],
    ids=lambda between: "-".join(node.op_type for node in between),
)
def test_onnx_runtime_is_as_near_to_float_as_the_dsp(between: tuple[Any, ...]) -> None:
    """8 bits of three tensors and per-channel weights: a few steps of the output."""
    proto = net(*between)
    made, _ = to_qdq(proto, samples=FEEDS)
    onnx.checker.check_model(made, full_check=True)
    assert errors(made, proto) < 5
    (found,) = qdq_accuracy(made, proto, FEEDS).values()
    (dsp,) = accuracy(hexconv.convert(proto, samples=FEEDS), proto, FEEDS).values()
    assert found.sqnr > dsp.sqnr - 1.0


def test_what_only_an_activation_reads_has_its_range() -> None:
    transpose = helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2])
    made, _ = to_qdq(net(transpose, helper.make_node("Relu", ["t"], ["r"])), samples=FEEDS)
    found = parameters(made)
    assert found["c"] == found["r"]
    assert found["c"][1] == 0


def test_what_others_read_as_well_keeps_the_range_below_zero() -> None:
    """A tensor of which one half goes to a Relu, and one that a sum reads beside the Relu."""
    halves = helper.make_node("Split", ["c"], ["h", "k"], axis=1, num_outputs=2)
    relu = helper.make_node("Relu", ["h"], ["j"])
    joined = helper.make_node("Concat", ["j", "k"], ["r"], axis=1)
    beside = helper.make_node("Relu", ["c"], ["j"]), helper.make_node("Add", ["j", "c"], ["r"])
    for between in ((halves, relu, joined), beside):
        proto = net(*between)
        proto.opset_import[0].version = 18
        made, _ = to_qdq(proto, samples=FEEDS)
        assert parameters(made)["c"][1] > 100
        assert errors(made, proto) < 6


def test_an_activation_that_clips_low_is_not_lost() -> None:
    """ReLU6 on a tensor from -20 to 20: the quantizer drops it, the range clips."""
    clip = helper.make_node("Clip", ["c", "zero", "six"], ["r"])
    proto = net(clip)
    for name, value in (("zero", 0.0), ("six", 1.5)):
        proto.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    made, _ = to_qdq(proto, samples=FEEDS)
    scale, zero = parameters(made)["r"]
    assert zero == 0 and 255 * scale <= 1.51
    assert errors(made, proto) < 5


def test_the_opset_is_the_oldest_that_means_the_same() -> None:
    made, _ = to_qdq(net(RELU), samples=FEEDS)
    assert made.opset_import[0].version == opset.OLDEST_OPSET
    norm = one(
        "LayerNormalization",
        (1, 6, 16),
        np.ones(16, np.float32),
        np.zeros(16, np.float32),
        opset=17,
    )
    made, _ = to_qdq(norm, samples=[{"x": numbers((1, 6, 16))}])
    assert made.opset_import[0].version == 17


def test_ops_that_few_runtimes_know_are_written_out() -> None:
    swish = one("Swish", (1, 6, 16), opset=24)
    made, _ = to_qdq(swish, samples=[{"x": numbers((1, 6, 16))}])
    assert "Swish" not in {node.op_type for node in made.graph.node}
    assert made.opset_import[0].version <= opset.NEWEST_OP


def test_samples_may_come_from_a_generator() -> None:
    made, _ = to_qdq(net(RELU), samples=iter(FEEDS))
    again, _ = to_qdq(net(RELU), samples=FEEDS)
    assert made.SerializeToString() == again.SerializeToString()


def test_ranges_may_come_from_the_dsp_model() -> None:
    converted = hexconv.convert(net(RELU), samples=FEEDS, optimize="none")
    made, _ = to_qdq(net(RELU), ranges=converted.ranges, optimize="none")
    again, _ = to_qdq(net(RELU), samples=FEEDS, optimize="none")
    assert parameters(made) == parameters(again)


def test_without_samples_a_warning_says_so() -> None:
    _, warnings = to_qdq(net(RELU))
    assert "NO SAMPLES" in warnings[0]


def test_weights_beyond_one_file_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opset, "LARGEST", 1000)
    with pytest.raises(ModelError, match="do not fit one ONNX file"):
        to_qdq(net(RELU), samples=FEEDS)


# ---- the command


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    onnx.save(net(RELU), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", **FEEDS[0])
    return tmp_path


def run(*args: Any) -> Any:
    return CliRunner().invoke(group, [str(arg) for arg in args])


def test_convert_writes_one_file_and_compares(saved: Path) -> None:
    arguments = ["convert", saved / "net.onnx", "--to", "qdq", "-o", saved / "out"]
    result = run(*arguments, "--samples", saved / "x.npz", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert [path.name for path in (saved / "out").iterdir()] == ["net.qdq.onnx"]
    assert printed["opset"] == 13
    for key, where in (("accuracy", "simulate"), ("accuracy_onnxruntime", "onnxruntime")):
        (output,) = printed[key]["outputs"]
        assert printed[key]["on"] == where
        assert output["name"] == "y" and output["calibration"]["sqnr"] > 25


def test_bad_samples_write_nothing(saved: Path) -> None:
    np.save(saved / "bad.npy", np.zeros((1, 3), np.float32))
    arguments = ["convert", saved / "net.onnx", "--to", "qdq", "-o", saved / "out"]
    result = run(*arguments, "--samples", saved / "bad.npy")
    assert isinstance(result.exception, HexconvError)
    assert not (saved / "out").exists()


def test_what_only_mace_has_is_a_usage_error(saved: Path) -> None:
    layout = (["--split", "c"], ["--mace-layout"], ["--save-inputs"], ["--preset", "x"])
    for other in (*layout, ["--accuracy", "high", "--extra-packets", "5"]):
        result = run("convert", saved / "net.onnx", "--to", "qdq", *other)
        assert result.exit_code == 2, other
        assert "--to qdq" in result.output


def test_a_misspelled_setting_is_an_error() -> None:
    with pytest.raises(ConfigError, match="there is no setting 'observr'"):
        to_qdq(net(RELU), samples=FEEDS, observr="minmax")  # type: ignore[call-arg]
