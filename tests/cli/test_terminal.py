"""What commands print: at 80 and 120 columns no word is cut, in a pipe every name is whole."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hexconv.cli import group
from hexconv.cli._examples import EXAMPLES
from hexconv.cli._terminal import KEPT, cell_len, middle, table, wrapped
from hexconv.names import counted

from .terminal import Terminal, misfits, shown, told

LONG = "/encoder/encoder_layers.0/self_attention_with_relative_positions/linear_projection"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deep.onnx, whose nodes have long names, and samples."""
    folder = tmp_path_factory.mktemp("terminal")
    values = np.random.default_rng(0).normal(size=(2, 16, 16)).astype(np.float32)
    weights = [numpy_helper.from_array(array, f"{LONG}/w{i}") for i, array in enumerate(values)]
    names = ["x", f"{LONG}/MatMul_output_0", f"{LONG}/Relu_output_0", f"{LONG}/output"]
    nodes = [
        helper.make_node("MatMul", [names[0], f"{LONG}/w0"], [names[1]], f"{LONG}/MatMul"),
        helper.make_node("Relu", [names[1]], [names[2]], f"{LONG}/Relu"),
        helper.make_node("MatMul", [names[2], f"{LONG}/w1"], [names[3]], f"{LONG}/MatMul_1"),
    ]
    info = helper.make_tensor_value_info
    ends = [info(name, TensorProto.FLOAT, [1, 8, 16]) for name in (names[0], names[3])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "deep.onnx")
    rows = np.random.default_rng(1).normal(size=(3, 8, 16)).astype(np.float32)
    np.save(folder / "samples.npy", rows)
    shown(["convert", folder / "deep.onnx", "--samples", folder / "samples.npy", "-o", folder])
    report = json.loads((folder / "deep.report.json").read_text())
    report["cost"]["packets"] *= 2
    (folder / "other.report.json").write_text(json.dumps(report))
    return folder


LOG = Path(__file__).parents[1] / "golden" / "logs" / "published_encoder.log"
ELSEWHERE = {
    "bench": "commands to copy, with a temporary folder: tests/cli/test_bench_command.py",
    "demo": "convert, of the built-in model",
    "device compare": "tests/device/test_command.py",
    "device ops": "tests/device/test_command.py",
    "device profile": "tests/device/test_command.py",
    "device run": "tests/device/test_command.py",
    "device setup": "tests/device/test_command.py",
    "export hifigan": "needs torch: tests/cli/test_export_command.py",
    "mace convert": "needs a checkout of MACE",
    "mace exec": "runs a script of MACE",
    "phone profile": "needs a phone: tests/phone",
    "phone run": "needs a phone: tests/phone",
    "vocode": "tests/cli/test_vocode_command.py",
}
"""Commands that need more than a model, and where what they print is tested."""

COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "check": lambda at: ["check", at / "deep.onnx"],
    "check --all": lambda at: ["check", at / "deep.onnx", "--all"],
    "convert": lambda at: [
        *("convert", at / "deep.onnx", "--samples", at / "samples.npy", "-o", at / "again")
    ],
    "cost": lambda at: ["cost", at / "deep.pb"],
    "cost --by layer": lambda at: ["cost", at / "deep.pb", "--by", "layer"],
    "cost --by node": lambda at: ["cost", at / "deep.pb", "--by", "node"],
    "cost --compare": lambda at: ["cost", at / "deep.pb", "--compare", at / "deep.pb"],
    "cost --soc list": lambda at: ["cost", "--soc", "list"],
    "calibrate": lambda at: [
        *("calibrate", at / "deep.onnx", "--samples", at / "samples.npy", "-o", at / "a.ranges")
    ],
    "diff": lambda at: ["diff", at / "deep.report.json", at / "other.report.json"],
    "explore": lambda at: ["explore", at / "deep.pb", "--no-open", "-o", at],
    "preset list": lambda at: ["preset", "list"],
    "profile": lambda at: ["profile", LOG],
    "report": lambda at: ["report", at / "deep.pb", "--html", at / "deep.html"],
    "exact": lambda at: ["exact", at / "deep.pb", "-o", at / "deep.dsp.onnx"],
    "ops": lambda at: ["ops"],
    "ops --unsupported": lambda at: ["ops", "--unsupported"],
    "ops --wide": lambda at: ["ops", "--wide"],
    "simulate": lambda at: ["simulate", at / "deep.pb", "--input", at / "samples.npy"],
    "verify": lambda at: ["verify", at / "deep.onnx", "--samples", at / "samples.npy"],
    "verify --levels": lambda at: [
        *("verify", at / "deep.onnx", "--samples", at / "samples.npy", "--levels")
    ],
    "verify --test": lambda at: [
        *("verify", at / "deep.onnx", "--samples", at / "samples.npy"),
        *("--test", at / "samples.npy"),
    ],
}


SCRIPTS: dict[str, Callable[[Path], list[object]]] = {
    "phone plan": lambda at: ["phone", "plan", at / "deep.pb"],
    "preset show": lambda at: ["preset", "show", "conformer_dsp"],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_commands_and_yaml_to_copy_are_the_same_on_every_terminal(place: Path, name: str) -> None:
    arguments = SCRIPTS[name](place)
    assert shown(arguments, 80) == shown(arguments, 120) == shown(arguments) != ""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", COMMANDS)
def test_on_a_terminal_no_line_is_too_long_and_no_word_is_cut(
    place: Path, name: str, language: str
) -> None:
    for columns in (80, 120):
        assert misfits(COMMANDS[name](place), columns, language) == []


ERRORS: dict[str, Callable[[Path], list[object]]] = {
    "a file that is missing": lambda at: ["convert", at / "gone.onnx"],
    "a model without samples": lambda at: ["convert", at / "deep.onnx", "-o", at / "unsampled"],
    "samples of another shape": lambda at: [
        *("convert", at / "deep.onnx", "--samples", at / "samples.npy", "--shape", "x=2,8,16")
    ],
    "a misspelled option": lambda at: ["check", at / "deep.onnx", "--shapes", "x=1,8,16"],
    "a misspelled figure": lambda at: ["cost", at / "deep.pb", "--fail-above", "pakets=1"],
    "an unknown SoC": lambda at: ["cost", at / "deep.pb", "--soc", "sd999"],
    "a threshold": lambda at: [
        *("verify", at / "deep.onnx", "--samples", at / "samples.npy", "--fail-below", "sqnr=90")
    ],
    "a warning as an error": lambda at: [
        *("convert", at / "deep.onnx", "--strict", "-o", at / "strict")
    ],
    "a figure that is worse": lambda at: [
        *("diff", at / "deep.report.json", at / "other.report.json", "--fail-if-worse")
    ],
    "a file that is no report": lambda at: ["diff", at / "deep.pb", at / "deep.pb"],
    "a misspelled op": lambda at: ["ops", "MatMull"],
    "a misspelled preset": lambda at: ["preset", "show", "confromer_dsp"],
    "an input that is missing": lambda at: ["simulate", at / "deep.pb"],
    "a cut that is not there": lambda at: [
        *("convert", at / "deep.onnx", "--split", "nowhere", "-o", at / "cut")
    ],
    "a log that is none": lambda at: ["profile", at / "deep.onnx"],
}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ERRORS)
def test_errors_and_warnings_fit_a_terminal_too(place: Path, name: str, language: str) -> None:
    arguments = ERRORS[name](place)
    assert told([*arguments, "--lang", language]) and "Traceback" not in told(arguments)
    for columns in (80, 120):
        assert misfits(arguments, columns, language, told) == []


@pytest.mark.parametrize("name", ["MatMul", "QuantizedAdd_8p8to8"])
def test_one_op_in_full_fits_a_terminal_and_is_unbroken_in_a_pipe(name: str) -> None:
    for columns in (80, 120):
        lines = shown(["ops", name], columns).splitlines()
        assert len(lines) > 5 and max(map(cell_len, lines)) <= columns
    assert shown(["ops", name]) == shown(["ops", name, "--format", "md"])


def test_every_command_is_shown_here_or_says_why_not() -> None:
    shown_here = {name.partition(" --")[0] for name in (*COMMANDS, *SCRIPTS)}
    assert {name for name in ALL if name and name not in GROUPS} - shown_here == set(ELSEWHERE)


@pytest.mark.parametrize("name", ["check --all", "cost --by node", "cost --by layer", "verify"])
def test_in_a_pipe_names_are_whole(place: Path, name: str) -> None:
    text = shown(COMMANDS[name](place))
    assert f"{LONG}/MatMul" in text and "…" not in text


def test_one_layer_has_one_name_in_every_command(place: Path) -> None:
    for name in ("check --all", "cost --by layer", "verify"):
        assert f"{LONG}/MatMul_1 " in shown(COMMANDS[name](place)), name


def commands(command: click.Command, name: str = "") -> list[tuple[str, click.Command]]:
    """Every command below one, by its whole name."""
    if not isinstance(command, click.Group):
        return [(name, command)]
    context = click.Context(command)
    found = [(name, command)]
    for below in command.list_commands(context):
        inner = command.get_command(context, below)
        assert inner is not None
        found += commands(inner, f"{name} {below}".strip())
    return found


ALL = [name for name, _ in commands(group)]
GROUPS = {name for name, command in commands(group) if isinstance(command, click.Group)}


@pytest.mark.parametrize("name", ALL)
def test_help_fits_a_terminal_and_ends_with_examples(name: str) -> None:
    text = shown([*name.split(), "--help"], 80)
    assert max(map(len, text.splitlines())) <= 80
    if name in EXAMPLES:
        assert text.rstrip().splitlines()[-1].strip() == EXAMPLES[name][-1]


def test_every_command_has_examples() -> None:
    assert set(ALL) - GROUPS - set(EXAMPLES) == set()


@pytest.mark.parametrize(
    "example", [line for name, lines in EXAMPLES.items() for line in lines if name != "mace exec"]
)
def test_the_options_of_examples_exist(example: str) -> None:
    words = example.partition(" > ")[0].split()[1:]
    command: click.Command = group
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(click.Context(command), words)
        if name == "phone" and words[0].endswith(".pb"):
            words = ["plan", *words]
    command.make_context(name or "", words)


def test_text_is_broken_between_words() -> None:
    text = wrapped("  one two three", 10)
    assert text.split("\n") == ["  one two", "  three"]
    assert wrapped("a/very/long/path/name stays", 10).split("\n")[0] == "a/very/long/path/name"
    assert wrapped("模型不支持该算子。", 12).split("\n") == ["模型不支持该", "  算子。"]


@pytest.mark.parametrize(
    "text, lines",
    [
        ("one two_x_three four", ["one", "  two_x_three", "  four"]),
        ("层位于在_a/name_中的", ["层位于", "  在_a/name_中", "  的"]),
    ],
)
def test_words_that_belong_together_stay_on_one_line(text: str, lines: list[str]) -> None:
    shown_lines = wrapped(text.replace("_", KEPT), 14).replace(KEPT, "_").split("\n")
    assert shown_lines == lines


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_node_that_another_one_is_in_stands_beside_the_word(place: Path, language: str) -> None:
    arguments = [*COMMANDS["check --all"](place), "--lang", language]
    last = [line.split()[-1] for line in shown(arguments, 80).splitlines() if line]
    assert not {"in", "在", "x"} & set(last) and not any(
        KEPT in shown(arguments, w) for w in (80, None)
    )


def test_each_op_has_its_whole_name_on_a_narrow_terminal() -> None:
    assert "…" not in shown(["ops", "--wide"], 80)


def test_times_of_a_profile_have_equally_many_decimals(place: Path) -> None:
    text = shown(["profile", LOG, "--against", place / "deep.pb"], 120)
    rows = [
        re.findall(r"-?\d+\.\d+", line) for line in text.splitlines()[1:] if " nodes, " not in line
    ]
    assert all(len(cell.partition(".")[2]) == 3 for row in rows if len(row) == 3 for cell in row)
    assert any(len(row) == 3 for row in rows)


def test_chinese_pages_of_ops_have_chinese_marks() -> None:
    for arguments in (["ops", "MatMul"], ["ops", "--unsupported"]):
        lines = shown([*arguments, "--lang", "zh"]).splitlines()
        assert not [line for line in lines if re.search(r"[\u4e00-\u9fff*]: ", line)]


def test_spans_of_time_and_purposes_are_chinese_in_chinese_tables(place: Path) -> None:
    cost = shown(["cost", place / "deep.pb", "--lang", "zh"], 120)
    assert re.search(r"\d 到 \d", cost) and " to " not in cost
    assert not re.search("[，。] ", shown(["preset", "list", "--lang", "zh"]))


def test_names_are_shortened_in_the_middle() -> None:
    assert middle("abcdefghij", 7) == "abc…hij"
    assert middle("abcdefg", 7) == "abcdefg"


def test_numbers_are_right_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table(["name", "count"], [("a", 1), ("b", 1000)])
    assert capsys.readouterr().out == "name  count\na         1\nb     1,000\n"


def test_one_is_singular() -> None:
    assert counted(1, "node") == "1 node" and counted(1200, "node") == "1,200 nodes"


def test_force_color_colors_a_pipe_and_no_color_a_terminal_not(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(out: io.StringIO) -> str:
        with monkeypatch.context() as here:
            here.setattr(sys, "stdout", out)
            group(["ops"], standalone_mode=False)
        return out.getvalue()

    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1m" in printed(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in printed(Terminal())
