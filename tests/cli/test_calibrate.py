"""`hexconv calibrate` writes a range file, or reports clearly why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import hexconv
from hexconv.calibrate import read_ranges
from hexconv.cli.calibrate import command
from hexconv.errors import ModelError, RangeError
from hexconv.model import Model
from hexconv.pipeline import prepared
from hexconv.settings import ACCURACY_LEVELS, Settings
from tests.calibrate.test_outlier_channels import feeds, streams
from tests.calibrate.test_stream_ends import post_norm_of_parts, pre_norm
from tests.lowering.proof import Array, numbers
from tests.onnx_graph.models import model, node, original_outputs


def files(folder: Path) -> tuple[str, str]:
    nodes = [node("Mul", "speech w", "m"), node("Relu", "m", "y")]
    onnx.save(model(nodes, {"speech": ("t", 2)}, consts={"w": [2.0, -1.0]}), folder / "m.onnx")
    np.save(folder / "s.npy", np.array([[[1, 2], [3, 4]], [[-1, 0], [5, 6]]], np.float32))
    return str(folder / "m.onnx"), str(folder / "s.npy")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_a_range_file_beside_the_model(tmp_path: Path) -> None:
    path, samples = files(tmp_path)
    result = run(path, "--samples", samples, "--shape", "speech=2,2")
    assert result.exit_code == 0 and "2 samples" in result.output
    ranges = read_ranges(tmp_path / "m.ranges")
    assert ranges == {"w": (-1, 2), "speech": (-1, 6), "m": (-6, 10), "y": (0, 10)}


def test_json_and_quiet(tmp_path: Path) -> None:
    path, samples = files(tmp_path)
    common = (path, "--samples", samples, "--shape", "speech=2,2", "-o", str(tmp_path / "r"))
    returned = json.loads(run(*common, "--json").output)
    assert returned["samples"] == {"count": 2}
    assert returned["tensor_ranges"]["m"] == [-6, 10]
    assert run(*common, "-q").output == ""


def test_a_shape_that_is_missing_is_requested(tmp_path: Path) -> None:
    path, samples = files(tmp_path)
    error = run(path, "--samples", samples).exception
    assert isinstance(error, ModelError)
    assert "dimension 0 ('t')" in str(error) and "--shape speech=1,2" in error.hint


def test_samples_that_tell_nothing_of_real_use_are_named(tmp_path: Path) -> None:
    path, samples = files(tmp_path)
    np.save(samples, np.zeros((3, 2, 2), np.float32))
    result = run(path, "--samples", samples, "--shape", "speech=2,2", "-q")
    assert result.exit_code == 0
    assert "THE SAMPLES of 'speech': all zero" in " ".join(result.stderr.split())


def test_bad_samples_leave_no_file(tmp_path: Path) -> None:
    path, samples = files(tmp_path)
    np.save(samples, np.full((2, 2), np.nan, np.float32))
    result = run(path, "--samples", samples, "--shape", "speech=2,2")
    assert isinstance(result.exception, RangeError)
    assert not (tmp_path / "m.ranges").exists()


def test_samples_are_needed(tmp_path: Path) -> None:
    path, _ = files(tmp_path)
    assert run(path).exit_code == 2


NORM = {"s": np.ones(8), "b": np.zeros(8)}


@pytest.mark.filterwarnings("error::hexconv.errors.HexconvWarning")
@pytest.mark.parametrize(
    ("op", "inputs", "consts"),
    [("LogSoftmax", "x", {}), ("InstanceNormalization", "x s b", NORM)],
)
def test_a_range_file_is_as_good_as_the_samples(
    op: str, inputs: str, consts: dict[str, np.ndarray], tmp_path: Path
) -> None:
    proto = model([node(op, inputs, "y")], {"x": (1, 8, 30)}, consts=consts)
    onnx.save(proto, tmp_path / "m.onnx")
    level = np.linspace(-3, 3, 8, dtype=np.float32)[:, None]
    samples = np.concatenate([numbers((1, 8, 30), seed) + level for seed in range(4)])
    np.save(tmp_path / "s.npy", samples)
    assert run(str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s.npy")).exit_code == 0
    found = []
    for given in ({"samples": tmp_path / "s.npy"}, {"ranges": tmp_path / "m.ranges"}):
        converted = hexconv.convert(tmp_path / "m.onnx", **given)
        found.append(decibels_of(converted, proto, [{"x": samples[:1]}]))
    assert found[1] > found[0] - 1


def test_streams_with_a_large_channel_are_measured_as_convert_does(tmp_path: Path) -> None:
    """Its channels, and what scaling them makes: 3 dB without."""
    proto = pre_norm()
    onnx.save(proto, tmp_path / "m.onnx")
    samples = feeds("post", 8)
    np.save(tmp_path / "s.npy", np.concatenate([sample["x"] for sample in samples]))
    result = run(
        str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s.npy"), "--observer", "mse"
    )
    assert result.exit_code == 0
    ranges = read_ranges(tmp_path / "m.ranges")
    assert any(name.endswith("/channel/median") for name in ranges)
    made = hexconv.convert(proto, ranges=ranges)
    own = hexconv.convert(proto, samples=samples, observer="mse")
    assert streams(made) == streams(own) == 1
    found = [decibels_of(item, proto, feeds("post", 4, first=40)) for item in (made, own)]
    assert found[0] > found[1] - 1.0 and found[0] > 12.0


def decibels_of(made: Model, proto: onnx.ModelProto, samples: list[dict[str, Array]]) -> float:
    signal = noise = 0.0
    for sample in samples:
        (expected,) = original_outputs(proto, sample)
        error = expected - hexconv.simulate(made, sample)["y"]
        signal, noise = signal + float((expected**2).sum()), noise + float((error**2).sum())
    return float(10 * np.log10(signal / noise))


def test_the_file_serves_every_level(tmp_path: Path) -> None:
    proto = post_norm_of_parts()
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", np.concatenate([sample["x"] for sample in feeds("post", 4)]))
    run(str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s.npy"))
    ranges = read_ranges(tmp_path / "m.ranges")
    for accuracy in ACCURACY_LEVELS:
        graph, _ = prepared(proto, None, Settings(accuracy=accuracy))
        assert set(graph.computed_values()) <= ranges.keys()
