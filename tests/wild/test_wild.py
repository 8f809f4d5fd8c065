"""The benchmark of trained networks: its manifest, its samples, and rows of whatever happens."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from benchmarks.wild import draw, files, manifest, measure, report, rows, samples, sound
from tests.lowering.proof import model, numbers

SOURCES, MODELS = manifest.read()
IN_MATERIAL = {"wake-mels", "wake-embeddings", "photo", "face", "bytes", "digit"}
"""Makers that read files of sources, or of scikit-learn."""
MADE = [item for item in MODELS if not IN_MATERIAL & {given.kind for given in item.inputs.values()}]


def test_the_manifest_has_forty_networks_of_known_origin() -> None:
    assert len(MODELS) >= 40
    assert len({item.name for item in MODELS}) == len(MODELS)
    for source in SOURCES.values():
        assert ("==" in source.package) != bool(source.repository and len(source.commit) == 40)
    for item in MODELS:
        assert len(item.sha256) == 64 and item.inputs
        assert (item.floor is None) == (not item.samples)
        assert set(item.states) <= set(item.inputs)
        assert not set(item.constants) & set(item.inputs)


def test_every_kind_of_sample_has_a_maker() -> None:
    kinds = {given.kind for item in MODELS for given in item.inputs.values()}
    assert kinds == set(draw.MAKERS)


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> draw.Material:
    """Without downloads and without espeak-ng: speech is noise."""

    def noise(_: Any, rng: np.random.Generator, held: bool, length: int, rate: int) -> sound.Wave:
        return np.float32(0.1 * rng.standard_normal(length) + 0.01 * held)

    monkeypatch.setattr(sound.Recordings, "draw", noise)
    return draw.Material(files.Cache(tmp_path), SOURCES, {item.name: item for item in MODELS})


@pytest.mark.parametrize("item", MADE, ids=lambda item: item.name)
def test_samples_have_the_shapes_of_the_manifest(
    item: manifest.Model, material: draw.Material
) -> None:
    one = samples.feeds(item, draw.Draw(material, 0, held=False))
    again = samples.feeds(item, draw.Draw(material, 0, held=False))
    other = samples.feeds(item, draw.Draw(material, 1, held=True))
    assert {name: array.shape for name, array in one.items()} == {
        name: given.shape for name, given in item.inputs.items()
    }
    for name, array in one.items():
        assert np.isfinite(array).all() and array.dtype in (np.float32, np.int32, np.int64)
        assert np.array_equal(array, again[name])
        assert item.inputs[name].kind == "zeros" or not np.array_equal(array, other[name])


def published(folder: Path, proto: onnx.ModelProto, **changed: Any) -> manifest.Model:
    """A model of the manifest whose package is in the cache."""
    content = proto.SerializeToString()
    packages = folder / "packages" / "net"
    packages.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(packages / "net-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("net/net.onnx", content)
    return manifest.Model(
        **{
            "name": "net",
            "source": manifest.Source("net", package="net==1"),
            "file": "net/net.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "inputs": {"x": manifest.Input("normal", (1, 6, 8), {})},
            **changed,
        }
    )


def linear() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    return model(nodes, {"x": (1, 6, 8)}, ["y"], {"w": numbers((8, 8))})


def test_a_network_has_figures_of_both_sides(
    tmp_path: Path, material: draw.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEXCONV_LIBRARY", raising=False)
    item = published(tmp_path, linear())
    row = measure.Bench(item, material, tmp_path / "row.json").run()
    assert row.errors == {} and row.check and row.nodes[0] == 2
    assert row.hexconv["y"] > 20 and row.tensor["y"] > 20 and row.channel["y"] > 20
    assert json.loads((tmp_path / "row.json").read_text("utf-8"))["stage"] == "done"


@pytest.mark.parametrize("theirs", [30.0, 45.0])
def test_of_a_network_behind_onnx_runtime_it_is_known_whether_convert_warns(
    theirs: float, tmp_path: Path, material: draw.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEXCONV_LIBRARY", raising=False)
    figures = iter([{"y": 29.0}, {"y": theirs}, {"y": theirs}])
    monkeypatch.setattr(measure, "decibels", lambda *_: next(figures))
    monkeypatch.setattr(measure, "low_accuracy", lambda *_, own_samples: [f"low: {own_samples}"])
    item = published(tmp_path, linear())
    row = measure.Bench(item, material, tmp_path / "row.json").run()
    assert row.low == (["low: True"] if theirs > 31.0 else [])


def test_a_stage_that_fails_is_a_reason_and_the_others_go_on(
    tmp_path: Path, material: draw.Material
) -> None:
    proto = linear()
    proto.graph.node[1].op_type = "IsNaN"
    item = published(tmp_path, proto)
    row = measure.Bench(item, material, tmp_path / "row.json").run()
    assert row.check is False and "IsNaN" in row.errors["convert"] and row.hexconv == {}


def test_another_file_than_the_one_described_is_not_used(
    tmp_path: Path, material: draw.Material
) -> None:
    item = published(tmp_path, linear(), sha256="0" * 64)
    row = measure.Bench(item, material, tmp_path / "row.json").run()
    assert "expected 0000" in row.errors["fetch"]


def test_a_process_that_crashes_or_hangs_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, real = published(tmp_path, linear()), sys.executable
    for program, reason in (("raise SystemExit(9)", "exit code 9"), ("while 1: pass", "stopped")):
        fake = tmp_path / "python"
        fake.write_text(f"#!{real}\n{program}\n", encoding="utf-8")
        fake.chmod(0o755)
        monkeypatch.setattr(rows.sys, "executable", str(fake))
        row = rows.in_process(item.name, cache=tmp_path, timeout=2.0)
        assert reason in str(row["errors"])


def test_on_a_cluster_each_network_is_a_row_kept_here_too(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    names = ["no-such-a", "no-such-b"]
    found = list(rows.rows_on("local:1", names, cache=tmp_path, timeout=60.0))
    assert {row["name"] for row in found} == set(names)
    assert all("no-such" in row["errors"]["start"] for row in found)
    kept = {
        file.stem: json.loads(file.read_text("utf-8")) for file in (tmp_path / "rows").iterdir()
    }
    assert kept == {row["name"]: row for row in found}


ROWS: dict[str, Any] = {
    "mnist-conv": {
        "name": "mnist-conv",
        "nodes": [12, 10],
        "hexconv": {"a": 30.0, "b": 20.0},
        "tensor": {"a": 29.0, "b": 23.0},
        "channel": {},
        "device": "same bits",
        "errors": {},
    },
    "pfld": {"name": "pfld", "errors": {"convert": "no | such op"}},
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_shows_the_worst_output_and_the_reasons(language: str) -> None:
    text = report.table(MODELS, ROWS, language)
    (row,) = [line for line in text.splitlines() if line.startswith("| mnist-conv")]
    assert "| 12 → 10 | 20.0 | 23.0 | - |" in row
    assert "no \\| such op" in text
    assert text.splitlines()[0].count("1") >= 3  # converted, same bits, worse


@pytest.mark.parametrize(("low", "silent"), [([], 1), (["output 'b' has 20.0 dB"], 0)])
def test_the_table_counts_what_is_worse_without_a_warning(low: list[str], silent: int) -> None:
    text = report.table(MODELS, {"mnist-conv": {**ROWS["mnist-conv"], "low": low}}, "en")
    assert f"by tensor, {silent} of them without a warning" in text.splitlines()[0]
    assert ("`convert` warns" in text) == (not silent)


def test_the_pages_keep_what_is_around_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"en": tmp_path / "a.md", "zh": tmp_path / "b.md"}
    monkeypatch.setattr(report, "PAGES", places)
    for page in places.values():
        page.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write(MODELS, ROWS)
    report.write(MODELS, ROWS)
    for page in places.values():
        text = page.read_text("utf-8")
        assert text.startswith("before\n") and text.endswith("\nafter\n")
        assert "old" not in text and text.count("| pfld |") == 1


def test_a_floor_that_is_missed_fails_the_run() -> None:
    known = next(item for item in MODELS if item.name == "mnist-conv")
    row = dict(ROWS["mnist-conv"])
    assert not report.below_floor(row, [manifest.Model(**{**vars(known), "floor": 20.0})])
    assert report.below_floor(row, [manifest.Model(**{**vars(known), "floor": 20.1})])
    assert report.below_floor({**row, "device": "1 of 2 outputs differ"}, [known])


def test_a_floor_holds_for_its_own_samples() -> None:
    """Those of another machine have other figures; rounding does not make other samples."""
    known = next(item for item in MODELS if item.name == "mnist-conv")
    noted = manifest.Model(**{**vars(known), "floor": 20.1, "samples": (0.5, 0.25)})
    row = dict(ROWS["mnist-conv"])
    for loud, other in (((0.5, 0.25), False), ((0.5001, 0.25), False), ((0.5, 0.26), True)):
        made = {**row, "samples": list(loud)}
        assert report.has_other_samples(made, noted) == other
        assert report.below_floor(made, [noted]) != other
    assert not report.has_other_samples(row, noted) and report.below_floor(row, [noted])


def test_loudness_is_that_of_all_inputs() -> None:
    drawn = [
        {"x": np.float32([3.0, 3.0]), "n": np.int32([0])},
        {"x": np.float32([3.0, 3.0]), "n": np.int32([0])},
    ]
    assert samples.loudness(drawn) == pytest.approx(np.sqrt(6.0))


def test_a_network_of_which_check_says_other_than_convert_fails_the_run() -> None:
    row, rejected = {**ROWS["mnist-conv"], "check": True}, {**ROWS["pfld"], "check": False}
    assert not report.disagrees(row) and not report.disagrees(rejected)
    assert report.disagrees({**row, "check": False})
    assert report.disagrees({**rejected, "check": True})
    assert report.disagrees({**row, "errors": {"device": "the library fails"}})
    text = report.table(MODELS, {"mnist-conv": row, "pfld": rejected}, "en").splitlines()[0]
    assert "`check` finds 1 of 2 supported: 1 of these convert" in text
    assert "the library runs or prepares 1; of the others, 0 convert" in text
