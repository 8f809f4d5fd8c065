"""Names in files are shown, and never steer the terminal, a chart's typesetting, or markup."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.cli._bars import bars
from hexconv.cost.logs import read_log
from hexconv.errors import FileError, HexconvError, HexconvWarning, ModelError
from hexconv.mace import proto
from hexconv.names import CONTROL, LONGEST_LINE, LONGEST_WORD
from tests.cli.converting import process, tiny

STEERING = ["\x1b[31m", "\x9b2J", "\n", "\t", "\0", "\x7f"]
ORDINARY = ["$x^{", "[red]", "[/]", "%s{0}", "<script>", "层", "\U0001f600", "a, b", "@@1,2", "'\""]
LONG = ["n" * 200_000, "n " * 100_000, "层" * 200_000, "n" * 100_000 + " " + "m" * 100_000]
LOG = Path(__file__).parents[1] / "golden" / "logs" / "published_encoder.log"


@pytest.mark.skipif(os.name == "nt", reason="names are not bytes")
@pytest.mark.parametrize(
    "text",
    [
        "convert {} --samples speech.npy -q -o out --html",
        "verify {} --samples speech.npy -q --html --junit a.xml --summary",
        "check {} --json --junit a.xml",
        "explore tiny.pb --onnx {} --no-open -o out -q",
    ],
)
def test_a_file_whose_name_is_not_utf_8_is_a_file(home: Path, text: str) -> None:
    assert (
        CliRunner()
        .invoke(group, ["convert", "tiny.onnx", "--samples", "speech.npy", "-q", "-o", "."])
        .exit_code
        == 0
    )
    odd = Path(os.fsdecode(b"tiny\xff.onnx"))
    odd.write_bytes(Path("tiny.onnx").read_bytes())
    words = [str(odd) if word == "{}" else word for word in text.split()]
    done = process(*words, env={"GITHUB_STEP_SUMMARY": str(home / "a.md")})
    assert done.returncode == 0, done.stderr
    for path in (*home.rglob("*.json"), *home.rglob("a.*"), *home.rglob("*.html")):
        path.read_text("utf-8")


def model(part: str) -> onnx.ModelProto:
    """x to y, with `part` in the names of the node and the tensors between."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m" + part], "matmul" + part),
        helper.make_node("Relu", ["m" + part], ["y"], "relu" + part),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    weights = [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(group, [str(item) for item in arguments], catch_exceptions=True)
    assert result.exception is None or isinstance(result.exception, HexconvError | SystemExit)
    return result


@pytest.mark.parametrize("part", STEERING)
def test_a_model_whose_names_steer_a_terminal_is_invalid(part: str) -> None:
    with pytest.raises(ModelError, match="has a control character") as found:
        hexconv.check(model(part))
    assert str(found.value).replace("\n", " ").isprintable()


@pytest.mark.parametrize("part", ["\x1b[31m", "\n"])
def test_a_pb_whose_names_steer_a_terminal_is_damaged(tmp_path: Path, part: str) -> None:
    made = hexconv.convert(model(""), ranges=dict.fromkeys("xmy", (-1.0, 1.0)), name="m")
    made.save(tmp_path)
    message = proto.MultiNetDef.FromString((tmp_path / "m.pb").read_bytes())
    message.net_def[0].op[0].name += part
    (tmp_path / "m.pb").write_bytes(message.SerializeToString())
    with pytest.raises(FileError, match="has a control character"):
        hexconv.load(tmp_path / "m.pb")


@pytest.mark.parametrize("part", ORDINARY)
def test_other_names_are_shown_as_they_are(tmp_path: Path, part: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(part).SerializeToString())
    np.save(tmp_path / "x.npy", np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype("f4"))
    shown = run("check", path, "--all")
    assert shown.exit_code == 0 and part in shown.stdout
    assert run("convert", path, "-o", tmp_path, "--samples", tmp_path / "x.npy").exit_code == 0
    again = run("convert", path, "-o", tmp_path / "b", "--ranges", tmp_path / "m.ranges")
    assert again.exit_code == 0, again.output
    for verb in (["cost", "--by", "node"], ["cost", "--by", "layer", "--csv"]):
        assert run(*verb[:1], tmp_path / "m.pb", *verb[1:]).exit_code == 0


def test_a_message_writes_control_characters_out() -> None:
    error = HexconvError("the file 'a\x1b[2J' is gone", where="b\x07", why="line\nof two")
    assert str(error) == "the file 'a\\x1b[2J' is gone\n  where: b\\x07\n  why: line\nof two"


def test_the_colors_of_a_log_are_left_out(tmp_path: Path) -> None:
    colored = tmp_path / "c.log"
    lines = LOG.read_text("utf-8").splitlines()
    colored.write_text("".join(f"\x1b[1;32m{line}\x1b[0m\n" for line in lines), "utf-8")
    plain, found = read_log(LOG), read_log(colored)
    assert found.by_type == plain.by_type and found.nodes == plain.nodes


@pytest.mark.parametrize("name", ["$x^{", "\\frac", "层", "a$b$"])
@pytest.mark.parametrize("suffix", ["svg", "png"])
@pytest.mark.filterwarnings("error")
def test_a_chart_draws_names_as_text(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"c.{suffix}"
    bars(path, [(name, 2.0), ("Relu", 1.0)], "ms", name)
    assert path.stat().st_size > 1000
    assert suffix == "png" or path.read_text("utf-8").count(name) >= 2


@pytest.mark.parametrize("odd", ["a\x1b[2Jb", "a\rb", "a\x9b31mb"])
def test_what_the_user_types_does_not_steer_the_terminal(odd: str, tmp_path: Path) -> None:
    onnx.save(tiny(), tmp_path / "m.onnx")
    convert = ["convert", "m.onnx", "-o", odd]
    for command in (convert, ["profile", odd, odd], ["check", odd], [odd]):
        done = process(*command, cwd=tmp_path)
        shown = done.stdout + done.stderr
        assert shown
        assert not CONTROL.search(shown.replace("\n", ""))


def longest(text: str) -> int:
    return max(map(len, text.split("\n")))


@pytest.mark.parametrize("part", LONG)
def test_what_people_read_has_the_ends_of_a_long_name(tmp_path: Path, part: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(part).SerializeToString())
    shown = run("check", path, "--all")
    assert shown.exit_code == 0 and f"matmul{part[:100]}" in shown.stdout
    assert longest(shown.output) < 3 * LONGEST_LINE
    whole = run("check", path, "--json")
    names = re.findall(r'"(?:matmul|relu).*"', whole.stdout)
    assert set(map(json.loads, names)) >= {f"matmul{part}", f"relu{part}"}


@pytest.mark.parametrize("part", LONG)
def test_a_message_has_the_ends_of_a_long_name(part: str) -> None:
    for text in (str(HexconvError(f"no '{part}' here", where=part, why=part)), rejection(part)):
        assert longest(text) <= LONGEST_LINE + len("  where: ")
        assert part[:100] in text and part.strip()[-100:] in text
    assert longest(str(HexconvWarning(f"'{part}' is odd"))) <= LONGEST_LINE


def rejection(part: str) -> str:
    damaged = model(part)
    damaged.graph.node[1].input[0] = f"of-nowhere{part}"
    with pytest.raises(ModelError, match="of-nowhere") as found:
        hexconv.check(damaged)
    return str(found.value)


def test_a_name_as_long_as_real_ones_is_whole() -> None:
    name = "/".join(["layer"] * 150)
    assert len(name) < LONGEST_WORD
    assert f"'{name}'" in str(HexconvError(f"no '{name}' here", why=", ".join([name] * 9)))


@pytest.mark.parametrize("path", ["", ".", "/"])
@pytest.mark.parametrize(
    "command",
    [
        "calibrate {} --samples x.npy",
        "calibrate --merge {}",
        "check {}",
        "convert {} --samples x.npy",
        "cost {}",
        "cost {} --html",
        "exact {}",
        "phone plan {} --soc sd855",
        "profile {}",
        "report {}",
        "simulate {} --input x.npy",
        "verify --model {} --float x.onnx --samples x.npy",
    ],
)
def test_a_path_without_a_name_is_one_error(command: str, path: str) -> None:
    result = run(*(word.format(path) for word in command.split()))
    assert isinstance(result.exception, HexconvError), result.output


def test_a_file_name_that_is_not_utf8_is_written_out(tmp_path: Path) -> None:
    made = hexconv.convert(model(""), ranges=dict.fromkeys("xmy", (-1.0, 1.0)), name="m")
    made.save(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    done = process("simulate", "m.pb", "--input", "x.npy", "-o", "\udcff", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "written: \\udcff"
