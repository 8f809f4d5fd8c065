"""Ranges of parts of the samples merge to those of all samples, bit for bit."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import hexconv
from hexconv import native
from hexconv.calibrate import (
    measure,
    observe,
    read_ranges,
    read_statistics,
    synthetic_samples,
    write_ranges,
    write_statistics,
)
from hexconv.calibrate.histogram import Histogram
from hexconv.calibrate.statistics import Statistics
from hexconv.cli.calibrate import command
from hexconv.errors import FileError, RangeError
from hexconv.onnx_graph import load
from hexconv.settings import OBSERVERS, PERCENTILE, Observer
from tests.calibrate.test_observe import network
from tests.onnx_graph.models import model, node


def parts(observer: Observer, sizes: tuple[int, ...] = (3, 1, 4)) -> list[Statistics]:
    graph = network()
    stream = iter(list(synthetic_samples(graph, count=sum(sizes))))
    return [measure(graph, itertools.islice(stream, size), observer) for size in sizes]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("observer", OBSERVERS)
def test_parts_merge_to_the_whole_in_any_order(
    observer: Observer, order: tuple[int, ...], tmp_path: Path
) -> None:
    graph = network()
    whole = measure(graph, synthetic_samples(graph, count=8), observer)
    found = parts(observer)
    merged = found[order[0]]
    for place in order[1:]:
        merged.merge(found[place])
    assert merged.ranges(99.0) == whole.ranges(99.0)
    used = 99.0 if observer == "percentile" else PERCENTILE
    assert merged.ranges(99.0) == observe(
        graph, synthetic_samples(graph, count=8), observer, percentile=used
    )
    for name, statistics in (("whole.npz", whole), ("merged.npz", merged)):
        write_statistics(tmp_path / name, statistics)
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "merged.npz").read_bytes()


@pytest.mark.parametrize("observer", OBSERVERS)
def test_a_file_has_everything_that_merging_needs(observer: Observer, tmp_path: Path) -> None:
    (statistics,) = parts(observer, (3,))
    write_statistics(tmp_path / "a.npz", statistics)
    read = read_statistics(tmp_path / "a.npz")
    assert read.ranges() == statistics.ranges() and read.samples == 3
    write_statistics(tmp_path / "b.npz", read)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
edges = st.integers(-149, 127).map(lambda power: float(np.float32(2.0**power)))
chunks = st.lists(st.lists(floats | edges | edges.map(lambda x: -x), min_size=1), min_size=1)


@given(chunks, st.randoms())
def test_a_histogram_does_not_depend_on_how_values_are_distributed(
    values: list[list[float]], random: Any
) -> None:
    """Powers of two are the edges of bins: they belong to the bin above at any width."""
    whole = Histogram()
    whole.add(np.array([x for chunk in values for x in chunk], np.float32))
    pieces = []
    for chunk in values:
        pieces.append(Histogram())
        pieces[-1].add(np.array(chunk, np.float32))
    random.shuffle(pieces)
    merged = Histogram()
    for piece in pieces:
        merged.merge(piece)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert (merged.width, merged.low, merged.high) == (whole.width, whole.low, whole.high)


@given(chunks)
def test_the_compiled_histogram_counts_as_numpy_does(values: list[list[float]]) -> None:
    if native.ensure() is None:
        pytest.skip(native.status())
    compiled, plain = Histogram(), Histogram()
    for chunk in values:
        compiled.add(np.array(chunk, np.float32))
        with native.disabled():
            plain.add(np.array(chunk, np.float32))
    np.testing.assert_array_equal(compiled.counts, plain.counts)


def test_samples_of_other_shapes_do_not_merge() -> None:
    found = []
    for frames in (4, 5):
        proto = model([node("Relu", "x", "y")], {"x": (1, "time", 6)})
        graph = load(proto, {"x": (1, frames, 6)}, recognize=False)
        found.append(measure(graph, synthetic_samples(graph, count=2)))
    with pytest.raises(RangeError, match=r"(?s)different shapes.*x 1x4x6 and x 1x5x6"):
        found[0].merge(found[1])


def test_other_models_and_observers_do_not_merge() -> None:
    (mine,) = parts("minmax", (2,))
    other = load(model([node("Relu", "x", "y")], {"x": (1, 5, 6)}))
    with pytest.raises(RangeError, match="different models"):
        mine.merge(measure(other, synthetic_samples(other, count=1)))
    with pytest.raises(RangeError, match=r"(?s)different observers.*minmax and percentile"):
        mine.merge(parts("percentile", (2,))[0])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"x@@0,1\n"])
def test_other_files_are_no_statistics(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(FileError, match="not a file of ranges to merge"):
        read_statistics(tmp_path / "a.npz")


@pytest.mark.parametrize("change", ["schema_version", "low", "header", "values", "counts"])
def test_damaged_statistics_are_an_error(change: str, tmp_path: Path) -> None:
    (statistics,) = parts("percentile", (2,))
    write_statistics(tmp_path / "a.npz", statistics)
    with np.load(tmp_path / "a.npz") as stored:
        arrays = dict(stored)
    header = arrays["header"].tobytes()
    changed = {
        "schema_version": header.replace(b'"schema_version": 1', b'"schema_version": 9'),
        "header": header[:-20],
        "values": header.replace(b'"values": ["x", ', b'"values": ['),
    }
    if change in changed:
        assert changed[change] != header
        arrays["header"] = np.frombuffer(changed[change], np.uint8)
    else:
        arrays[change] = arrays[change][:-1]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileError, match="not a file of ranges to merge"):
        read_statistics(tmp_path / "a.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"(?s)no such file.*a\.npz"):
        read_statistics(tmp_path / "a.npz")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, words)])


def written(folder: Path) -> list[Path]:
    """A model, and its samples in two files."""
    proto = model([node("MatMul", "x w", "y")], {"x": (1, 6)}, consts={"w": np.eye(6)})
    onnx.save(proto, folder / "m.onnx")
    draw = np.random.default_rng(3)
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", draw.standard_normal((5, 1, 6)).astype("f"))
    return [folder / "a.npy", folder / "b.npy"]


def test_the_command_merges_to_the_file_over_all_samples(tmp_path: Path) -> None:
    samples = written(tmp_path)
    for path in samples:
        target = path.with_suffix(".ranges.npz")
        assert run(tmp_path / "m.onnx", "--samples", path, "-o", target).exit_code == 0
    every = [word for path in samples for word in ("--samples", path)]
    assert run(tmp_path / "m.onnx", *every).exit_code == 0
    found = [path.with_suffix(".ranges.npz") for path in reversed(samples)]
    assert run("--merge", *found, "-o", tmp_path / "merged.ranges").exit_code == 0
    assert (tmp_path / "merged.ranges").read_bytes() == (tmp_path / "m.ranges").read_bytes()
    assert run("--merge", *found, "-o", tmp_path / "all.npz").exit_code == 0
    write_ranges(tmp_path / "again", read_statistics(tmp_path / "all.npz").ranges())
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m.ranges").read_bytes()


def rows(seed: int) -> np.ndarray[Any, Any]:
    """Rows that are up to ten times as loud as others."""
    draw = np.random.default_rng(seed)
    loudness = 10.0 ** draw.uniform(-1, 0, (4, 1, 30, 1))
    return (loudness * draw.standard_normal((4, 1, 30, 32))).astype(np.float32)


def test_merged_ranges_have_what_a_norm_of_an_input_needs(tmp_path: Path) -> None:
    consts = {"s": np.ones(32), "b": np.zeros(32)}
    norm = node("LayerNormalization", "x s b", "y")
    onnx.save(model([norm], {"x": (1, 30, 32)}, consts=consts, opset=17), tmp_path / "m.onnx")
    for seed, name in enumerate(("a", "b")):
        np.save(tmp_path / f"{name}.npy", rows(seed))
        path = tmp_path / f"{name}.npy"
        assert run(tmp_path / "m.onnx", "--samples", path, "-o", path.with_suffix(".npz"))
    merged = tmp_path / "merged.ranges"
    assert run("--merge", tmp_path / "a.npz", tmp_path / "b.npz", "-o", merged).exit_code == 0
    assert any(name.endswith("/span") for name in read_ranges(merged))
    samples = [{"x": array} for seed in (0, 1) for array in rows(seed)]
    found = []
    for given_ in ({"samples": samples}, {"ranges": merged}):
        converted = hexconv.convert(tmp_path / "m.onnx", **given_)  # type: ignore[arg-type]
        assert converted.conversion is not None and not converted.conversion.warnings
        report = hexconv.verify(converted, tmp_path / "m.onnx", samples)
        metrics = report.outputs[0].calibration
        assert metrics is not None
        found.append(metrics.sqnr)
    assert min(found) > 30.0 and abs(found[0] - found[1]) < 0.5  # 27.1 without


def test_statistics_without_what_others_measure_too_still_load(tmp_path: Path) -> None:
    (statistics,) = parts("minmax", (2,))
    write_statistics(tmp_path / "new.npz", statistics)
    with np.load(tmp_path / "new.npz") as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    del header["optional"]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", **arrays)
    assert read_statistics(tmp_path / "old.npz").ranges() == statistics.ranges()


def test_wrong_usage_of_merge_is_an_error(tmp_path: Path) -> None:
    samples = written(tmp_path)
    path = tmp_path / "m.onnx"
    assert isinstance(run("--merge", path).exception, FileError)
    assert "takes files of ranges" in run("--merge", "a.npz", "--samples", samples[0]).output
    assert "takes files of ranges" in run("--merge", "a.npz", "--cluster", "local:2").output
    assert "there are no --samples" in run(path).output
    assert "give one MODEL.onnx" in run(path, path, "--samples", samples[0]).output


def test_parts_that_do_not_fit_are_named(tmp_path: Path) -> None:
    (mine,), (other,) = parts("minmax", (2,)), parts("percentile", (2,))
    for name, statistics in (("a.npz", mine), ("b.npz", other)):
        write_statistics(tmp_path / name, statistics)
    error = run("--merge", tmp_path / "a.npz", tmp_path / "b.npz").exception
    assert isinstance(error, RangeError) and "b.npz" in error.where
    assert not list(tmp_path.glob("*.ranges"))


@pytest.mark.parametrize(("place", "value"), [(0, "nothing"), (0, 7), (1, "Nothing"), (2, ["x"])])
def test_a_range_that_follows_from_none_is_no_statistics(
    place: int, value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "m.npz"
    write_statistics(path, parts("minmax")[0])
    arrays = dict(np.load(path))
    header = json.loads(arrays["header"].tobytes())
    next(iter(header["derived"].values()))[place] = value
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(FileError, match="not a file of ranges to merge"):
        read_statistics(path)
