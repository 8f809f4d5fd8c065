"""`hexconv simulate`: samples in, outputs out, clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.errors import HexconvError
from hexconv.model import Model
from hexconv.nnlib.graph import Interface
from hexconv.nnlib.layout import Layout
from hexconv.simulator.golden import recorded

GOLDEN = Path(__file__).parents[1] / "golden" / "graphs"
LENGTH = 9


def run(*arguments: object) -> Result:
    """The command's result; its errors are raised."""
    return CliRunner().invoke(
        group, ["simulate", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A vocoder as MACE's files."""
    graph = recorded(GOLDEN / "vocoder_s2b.json").graph
    layout = Layout.channels_last(3)
    samples = graph.nodes[-1].inputs[0]
    length = graph.node_by_id()[samples.node].outputs[0].shape[2]
    graph.inputs = [Interface("mel", (1, 80, LENGTH), layout)]
    graph.outputs = [Interface("wave", (1, 1, length), layout)]
    Model(graph.renumbered()).save(tmp_path / "build")
    return next((tmp_path / "build").glob("*.pb"))


@pytest.fixture
def mels(tmp_path: Path) -> Path:
    """Three samples in one file."""
    path = tmp_path / "mels.npy"
    random = np.random.default_rng(0)
    np.save(path, random.normal(size=(3, 80, LENGTH)).astype(np.float32))
    return path


def test_a_batch_computes_the_same_as_its_samples_one_by_one(
    model: Path, mels: Path, tmp_path: Path
) -> None:
    run(model, "--input", mels, "-o", tmp_path / "out", "-q")
    together = np.load(tmp_path / "out" / "wave.npy")
    assert together.shape[0] == 3
    for number, sample in enumerate(np.load(mels)):
        np.save(tmp_path / "one.npy", sample[None])
        run(model, "--input", f"mel={tmp_path / 'one.npy'}", "-o", tmp_path / "one", "-q")
        np.testing.assert_array_equal(np.load(tmp_path / "one" / "wave.npy")[0], together[number])


def test_json_shows_shape_and_range_of_every_output(model: Path, mels: Path) -> None:
    returned = json.loads(run(model, "--input", mels, "--json", "--library", "v60").output)
    assert returned["library"] == "v60"
    (wave,) = returned["results"]
    assert wave["name"] == "wave"
    assert wave["shape"][0] == 3
    assert wave["min"] <= wave["mean"] <= wave["max"]


def test_nothing_is_written_when_a_sample_is_bad(model: Path, mels: Path, tmp_path: Path) -> None:
    data = np.load(mels)
    data[2, 0, 0] = np.nan
    np.save(mels, data)
    with pytest.raises(HexconvError, match="NaN"):
        run(model, "--input", mels, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_model_and_an_unknown_input_are_clear_errors(model: Path, mels: Path) -> None:
    with pytest.raises(HexconvError, match="cannot be read"):
        run("none.pb", "--input", mels)
    with pytest.raises(HexconvError, match="no input 'mol'"):
        run(model, "--input", f"mol={mels}")


@pytest.mark.parametrize("arguments", [[], ["m.pb"], ["m.pb", "--golden", "x"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(group, ["simulate", *arguments]).exit_code == 2


def test_the_golden_check_counts_and_sets_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    for path in GOLDEN.glob("layernorm_recip.*"):
        shutil.copy(path, tmp_path / "graphs")
    (tmp_path / "manifest.json").write_text('{"cases": []}')
    result = CliRunner().invoke(group, ["simulate", "--golden", str(tmp_path), "--json"])
    assert result.exit_code == 0
    results = json.loads(result.output)["groups"]["graphs: outputs"]
    assert results == {"cases": 1, "exact": 1, "largest_difference": 0.0}
