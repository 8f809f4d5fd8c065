"""`hexconv device`: what each command shows, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

import hexconv
from hexconv.cli.device import command
from hexconv.errors import HexconvError
from tests.cli.terminal import misfits
from tests.device.fake_library import graph_of, values

NEG = "QuantizedNeg_8"


@pytest.fixture
def run(fake_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command with the fake library; MODEL `chainN.pb` is N negations."""
    monkeypatch.setenv("HEXCONV_LIBRARY", str(fake_path))

    def load(path: Path) -> SimpleNamespace:
        count = int(Path(path).stem.removeprefix("chain"))
        return SimpleNamespace(graph=graph_of(*[NEG] * count))

    monkeypatch.setattr(hexconv, "load", load)

    def invoke(*arguments: object, fails: bool = False) -> Result:
        result = CliRunner().invoke(command, [str(a) for a in arguments])
        if not fails:
            assert result.exit_code == 0, result.output + repr(result.exception)
        return result

    return invoke


@pytest.fixture
def x_file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", values())
    return tmp_path / "x.npy"


def test_setup_says_what_is_there_and_what_is_not(run, fake_path: Path) -> None:
    """The fake library has no addition, so all is well but the self-test."""
    result = run("setup", fails=True)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        ["ok", f"{name}:"] for name in ("emulator", "compiler", "runner", "library", "containment")
    ]
    assert lines[5].startswith("MISSING  self-test: the library failed while appending a node")
    assert str(fake_path) in lines[3]
    assert "release 1.2.3" in lines[3]


def test_setup_without_a_library_says_where_to_get_one(run, monkeypatch) -> None:
    monkeypatch.delenv("HEXCONV_LIBRARY")
    result = run("setup", "--json", fails=True)
    assert result.exit_code == 1
    last = json.loads(result.output)["checks"][-1]
    assert (last["name"], last["ok"]) == ("library", False)
    assert "third_party/nnlib/v66" in last["hint"]


def test_setup_without_an_emulator_says_how_to_install_it(run, monkeypatch) -> None:
    monkeypatch.setenv("HEXCONV_QEMU", "no-such-qemu")
    result = run("setup", fails=True)
    assert result.exit_code == 1
    assert "hint: apt-get install qemu-user" in result.output


def test_ops_lists_where_library_and_catalogue_disagree(run) -> None:
    """The fake library numbers its ops in its own way and lacks most of them."""
    result = run("ops", fails=True)
    assert result.exit_code == 3
    assert "library 1.2.3 for v66, " in result.output
    assert "in MACE's log it is 0x10203" in result.output
    assert f"{NEG}: the catalogue gives it id" in result.output
    assert "QuantizedAdd_8p8to8: the library has no such op" in result.output
    listed = json.loads(run("ops", "--json", fails=True).output)
    assert {"name": "Reject", "library_id": 7, "catalogue_id": None, "problems": []} in listed[
        "device_ops"
    ]


def test_run_writes_the_outputs(run, x_file: Path, tmp_path: Path) -> None:
    result = run("run", "chain1.pb", "--input", x_file, "-o", tmp_path / "out")
    np.testing.assert_allclose(np.load(tmp_path / "out" / "y.npy"), -values(), atol=1e-6)
    assert result.output.startswith("y 2x3x5 [")
    named = run("run", "chain2.pb", "--input", f"x={x_file}", "-o", tmp_path / "out", "--json")
    assert json.loads(named.output)["results"][0]["name"] == "y"
    np.testing.assert_allclose(np.load(tmp_path / "out" / "y.npy"), values(), atol=1e-6)


def test_run_takes_several_samples_as_simulate_does(run, tmp_path: Path) -> None:
    """One more axis in front; each output is stacked in the same way."""
    many = np.stack([values(), values()[:, ::-1], values()[::-1]])
    np.save(tmp_path / "many.npy", many)
    result = run("run", "chain1.pb", "--input", tmp_path / "many.npy", "-o", tmp_path / "out")
    np.testing.assert_allclose(np.load(tmp_path / "out" / "y.npy"), -many, atol=1e-6)
    assert result.output.startswith("y 3x2x3x5 [")


def test_profile_says_which_of_several_samples_it_takes(run, tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.stack([values(), values()]))
    result = run("profile", "chain1.pb", "--input", tmp_path / "many.npy")
    assert "of several samples the first one is taken" in result.output


def test_run_shows_the_nodes_before_and_after_prepare(run) -> None:
    output = run("run", "chain1.pb", "--nodes").output
    assert "3 nodes before prepare" in output
    assert "3 nodes after prepare" in output
    assert f"/layer2/{NEG}" in output


def test_quiet_prints_nothing(run, x_file: Path, tmp_path: Path) -> None:
    assert run("run", "chain1.pb", "--input", x_file, "-o", tmp_path, "-q").output == ""


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((), "no data for input 'x'"),
        (("z=X",), "the model has no input 'z'"),
        (("x=X", "x=X"), "given twice"),
        (("X", "x=X"), "only some have the name of an input"),
        (("nowhere.npy",), "no such sample file"),
        ((__file__,), "samples are .npy, .npz or raw .bin files"),
    ],
)
def test_wrong_inputs_are_clear(run, x_file: Path, given: tuple[str, ...], error: str) -> None:
    inputs = [item for text in given for item in ("--input", text.replace("X", str(x_file)))]
    result = run("run", "chain1.pb", *inputs, fails=True)
    assert isinstance(result.exception, HexconvError) and result.exception.exit_code == 2
    assert error in str(result.exception)


def test_profile_counts_every_node_and_compares_two_models(run, tmp_path: Path) -> None:
    result = run("profile", "chain2.pb", "--compare", "chain1.pb", "--csv", tmp_path / "n.csv")
    assert "4 nodes, " in result.output
    assert "bytes to prepare" in result.output
    assert "ratio" in result.output
    rows = (tmp_path / "n.csv").read_text().splitlines()
    assert rows[0] == "name,op,packets,instructions,hvx_instructions,main_packets"
    assert [row.split(",")[1] for row in rows[2:4]] == [NEG, NEG]
    counted = json.loads(run("profile", "chain2.pb", "--json").output)["measured"]
    assert counted["memory"]["execute"] >= counted["memory"]["prepare"] > 0
    assert counted["packets"] == sum(node["packets"] for node in counted["nodes"])


def test_limits_are_checked_by_the_command_line(run) -> None:
    for wrong in (("--timeout", "0"), ("--memory", "9"), ("--timeout", "soon")):
        assert run("run", "chain1.pb", *wrong, fails=True).exit_code == 2


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_terminal_no_line_is_too_long_and_no_word_is_cut(
    run, x_file: Path, tmp_path: Path, language: str
) -> None:
    feeds, out = ("--input", x_file), ("-o", tmp_path / "out")
    for arguments in (
        ("device", "run", "chain1.pb", *feeds, *out, "--nodes"),
        ("device", "profile", "chain2.pb", "--compare", "chain1.pb", "--all"),
    ):
        for columns in (80, 120):
            assert misfits(arguments, columns, language) == []


def test_setup_in_chinese_has_aligned_columns_and_translated_names(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEXCONV_LIBRARY")
    monkeypatch.setattr("hexconv.translation._chosen", ["zh"])
    *_, missing, hint = run("setup", fails=True).output.splitlines()
    assert missing.startswith("缺少     库：没有给出 DSP 库")
    assert hint.startswith("         建议：")
