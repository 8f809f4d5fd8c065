"""Exit codes: 0 success, 1 failed, 2 wrong usage or input, 3 what is asked for is not reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hexconv import cli
from hexconv.cli import device
from hexconv.compare.device import NodeRow, NodeVerdict
from hexconv.simulator import golden
from hexconv.simulator.golden import GoldenVerdict


def code(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    """What the shell sees."""
    monkeypatch.setattr("sys.argv", ["hexconv", *map(str, arguments)])
    try:
        return cli.main()
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code


@pytest.fixture
def built(home: Path) -> Path:
    """tiny.pb in the current folder."""
    arguments = ["convert", "tiny.onnx", "--samples", "speech.npy", "-q", "-o", "."]
    assert CliRunner().invoke(cli.group, arguments).exit_code == 0
    return home


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type:
    """A library of which every node has a given verdict, whoever asks."""

    class Verdicts:
        verdict = NodeVerdict.EXACT

        @classmethod
        def rows(cls, *_: object) -> list[NodeRow]:
            return [NodeRow("n", "QuantizedRelu_8", cls.verdict)]

    monkeypatch.setattr(device, "opened", lambda *_, **__: None)
    monkeypatch.setattr("hexconv.compare.device.compare_nodes", Verdicts.rows)
    return Verdicts


@pytest.mark.parametrize(
    "verdict, wanted", [(NodeVerdict.EXACT, 0), (NodeVerdict.UNSEEN, 0), (NodeVerdict.DIFFERS, 3)]
)
def test_a_node_that_differs_from_the_library_makes_the_exit_code_3(
    built: Path,
    library: type,
    verdict: NodeVerdict,
    wanted: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.verdict = verdict  # type: ignore[attr-defined]
    compared = ("device", "compare", "tiny.pb", "-q")
    assert code(*compared, monkeypatch=monkeypatch) == wanted


def test_a_recording_that_differs_makes_the_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for difference, wanted in ((0.0, 0), (1.0, 3)):
        verdicts = [GoldenVerdict("one", "op", 0.0), GoldenVerdict("two", "op", difference)]
        monkeypatch.setattr(golden, "check", lambda _, verdicts=verdicts: verdicts)
        given = ("simulate", "--golden", tmp_path, "-q")
        assert code(*given, monkeypatch=monkeypatch) == wanted


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (["check", "tiny.onnx"], 0),
        (["check", "none.onnx"], 2),
        (["simulate", "tiny.pb", "--input", "none=speech.npy"], 2),
        (["simulate", "tiny.pb", "--input", "none.npy"], 2),
        (["convert", "tiny.onnx", "--outputs", "none"], 2),
        (["convert", "tiny.onnx", "--shape", "none=1,2"], 2),
        (["convert", "tiny.onnx", "--without", "none"], 2),
        (["convert", "tiny.onnx", "-q", "--strict"], 3),
        (["cost", "tiny.pb", "--soc", "none"], 2),
        (["cost", "tiny.pb", "--fail-above", "packets=1"], 3),
        (["verify", "tiny.onnx", "--samples", "speech.npy", "--fail-below", "none=1"], 2),
        (["verify", "tiny.onnx", "--samples", "speech.npy", "--fail-below", "sqnr=99"], 3),
        (["diff", "tiny.report.json", "tiny.report.json", "--fail-if-worse"], 0),
        (["diff", "tiny.report.json", "none.report.json"], 2),
        (["report", "none.pb"], 2),
        (["exact", "none.pb"], 2),
        (["calibrate", "tiny.onnx", "--samples", "none"], 2),
        (["preset", "show", "none"], 2),
        (["preset"], 2),
        (["ops", "none"], 2),
        (["none"], 2),
    ],
)
def test_commands_have_the_exit_codes_of_the_documentation(
    built: Path, arguments: list[str], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code(*arguments, monkeypatch=monkeypatch) == wanted


@pytest.mark.parametrize("verb", ["convert", "verify", "calibrate"])
@pytest.mark.parametrize("observer", ["minmax", "mse"])
def test_a_percentile_that_the_observer_would_ignore_is_an_error(
    home: Path,
    verb: str,
    observer: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f"{verb} tiny.onnx --samples speech.npy --observer {observer} --percentile 99"
    assert code(*text.split(), monkeypatch=monkeypatch) == 2
    assert f"--percentile 99.0 has no use with --observer {observer}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "device run m.pb --input x.npy --memory nan",
        "device run m.pb --input x.npy --timeout nan",
        "device run m.pb --input x.npy --timeout 9223372036854775808",
        "phone run m.pb --dry-run --timeout nan",
        "calibrate m.onnx --samples x.npy --percentile nan",
        "verify m.onnx --samples x.npy --percentile 1e30",
        "convert m.onnx --observer mse --percentile -1",
        "export hifigan --variant v3 -o o.onnx --seed -1",
        "export hifigan --variant v3 -o o.onnx --length 9223372036854775808",
    ],
)
def test_a_number_that_no_option_takes_is_wrong_usage(command: str) -> None:
    result = CliRunner().invoke(cli.group, command.split())
    assert result.exit_code == 2 and "Error: Invalid value for" in result.output, result.output
