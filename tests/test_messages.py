"""Messages in Chinese: none is missing, and what is printed is translated."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hexconv import cli
from hexconv.errors import HexconvError
from hexconv.translation import PLACE, catalogue, choose, of_locale, translated
from tests.compare.nets import convolutions, samples

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "messages.py"
PROSE = re.compile(r"\b[a-z]{3,} [a-z]{2,} [a-z]{2,}\b")
CODE = re.compile(r"`[^`]*`|hexconv [a-z ]+|^ *hexconv .*$", re.MULTILINE)


def english_in(text: str) -> list[str]:
    """Lines with three English words in a row outside of commands."""
    return [line for line in CODE.sub("", text).splitlines() if PROSE.search(line)]


@pytest.fixture(autouse=True)
def english() -> None:
    choose("en")


def tool() -> ModuleType:
    """tools/messages.py."""
    spec = importlib.util.spec_from_file_location("messages", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_message_of_the_source_has_a_translation() -> None:
    """Run `python tools/messages.py` and translate what it adds to hexconv.po when this fails."""
    found = set(tool().messages())
    assert found - set(catalogue()) == set()
    assert set(catalogue()) - found == set(), "messages that are no longer in the source"


def test_the_compiled_catalogue_is_that_of_the_text() -> None:
    pofile = pytest.importorskip("babel.messages.pofile")
    with tool().CATALOGUE.open("rb") as file:
        text = {entry.id: entry.string for entry in pofile.read_po(file) if entry.id}
    assert text == catalogue()


def test_translations_have_the_values_of_their_messages() -> None:
    wrong = [
        key
        for key, text in catalogue().items()
        if not set(PLACE.findall(text)) <= set(PLACE.findall(key))
    ]
    assert wrong == []


def test_every_message_is_found_when_its_values_are_put_in() -> None:
    """Whatever other messages are like it, what is printed has no English left."""
    choose("zh")
    left = {}
    for key, text in catalogue().items():
        said = PLACE.sub("7", key)
        shown = translated(said)
        if english_in(shown) and not english_in(text):
            left[said] = shown
    assert left == {}


def test_what_is_left_out_of_the_catalogue_has_no_errors() -> None:
    """Modules without messages raise none, so that an error is never without its Chinese."""
    package = ROOT / "hexconv"
    raising = re.compile(r"raise \w*Error\(|warnings\.warn\(")
    for name in tool().NOT_MESSAGES:
        path = package / name
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        for file in files:
            assert not raising.search(file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize(
    "english, chinese",
    [
        ("the model has no input 'a b'", "模型没有输入 'a b'"),
        ("  hint: did you mean 'x'? its inputs are x, y", "  建议：您是否想用 'x'？其输入为 x, y"),
        ("1 node", "1 个节点"),
        ("2,000 nodes", "2,000 个节点"),
        ("a text that nobody wrote", "a text that nobody wrote"),
        ("there are no samples: a text that nobody wrote", "没有样本：a text that nobody wrote"),
    ],
)
def test_a_message_is_found_by_what_stands_around_its_values(english: str, chinese: str) -> None:
    choose("zh")
    assert translated(english) == chinese
    choose("en")
    assert translated(english) == english


@pytest.mark.parametrize(
    "environment, wanted",
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_locale_chooses_the_language(environment: dict[str, str], wanted: str) -> None:
    from hexconv.translation import language

    choose(of_locale(environment))
    assert language() == wanted


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, samples, and its conversion."""
    folder = tmp_path_factory.mktemp("zh")
    onnx.save(convolutions(), folder / "net.onnx")
    np.save(folder / "x.npy", np.concatenate([sample["x"] for sample in samples(3, 0)]))
    arguments = ["convert", "net.onnx", "--samples", "x.npy", "-o", "."]
    CliRunner().invoke(cli.group, [str(folder / a) if "." in a else a for a in arguments])
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "convert net.onnx --samples x.npy -o out",
        "check net.onnx --all",
        "cost net.pb",
        "cost net.pb --by node",
        "cost --soc list",
        "verify net.onnx --samples x.npy",
        "simulate net.pb --input x.npy",
        "calibrate net.onnx --samples x.npy",
        "exact net.pb",
        "ops",
        "ops --unsupported",
        "preset list",
    ],
)
def test_commands_print_chinese(place: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    result = CliRunner().invoke(cli.group, [*command.split(), "--lang", "zh"])
    assert result.exit_code == 0, result.exception
    assert any("\u4e00" <= letter <= "\u9fff" for letter in result.output)
    assert english_in(result.output) == []


def test_what_verify_explains_is_chinese(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of one word and lists of options as well."""
    monkeypatch.chdir(place)
    command = ["verify", "net.onnx", "--samples", "x.npy", "--explain", "--lang", "zh"]
    result = CliRunner().invoke(cli.group, command)
    assert result.exit_code == 0, result.exception
    for word in ("rounding", "weights", "packets", "option", "Tried", "What", "samples"):
        assert word not in result.output, word
    assert "已试验，3 个样本（校准）：" in result.output


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("7 nodes, 4,328 packets", "7 个节点，4,328 指令包"),
        ("454 ops, 177 catalogued", "454 个算子，目录中有 177 个"),
        (
            'line 2 (a.b): "x" is not allowed here; keep one',
            '第 2 行 (a.b)：此处不允许 "x"；请保留一个',
        ),
        ("line 3 (a): 'b' is empty", "第 3 行 (a)：'b' 为空"),
    ],
)
def test_messages_side_by_side_are_told_apart(text: str, chinese: str) -> None:
    choose("zh")
    assert translated(text) == chinese


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "none.onnx"],
        ["check", "x.npy"],
        ["cost", "net.pb", "--soc", "sd1"],
        ["convert"],
        ["convert", "net.onnx", "--bad"],
        ["convert", "net.onnx", "--optimize", "most"],
        ["convert", "net.onnx", "--shape", "x"],
        ["convert", "net.onnx", "--shape", "y=1,2"],
        ["convert", "net.onnx", "--without", "linaer"],
        ["convert", "net.onnx", "--preset", "conformr"],
        ["verify", "net.onnx"],
        ["simulate", "net.pb", "--input", "none.npy"],
        ["profile", "net.onnx"],
        ["preset", "show", "no"],
        ["conver"],
    ],
)
def test_errors_are_chinese(
    place: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.argv", ["hexconv", *arguments, "--lang", "zh"])
    assert cli.main() != 0
    text = capsys.readouterr().err
    assert "错误：" in text, text
    assert english_in(text) == []


def test_help_is_chinese() -> None:
    for verb in cli.group.list_commands(None):  # type: ignore[arg-type]
        text = CliRunner().invoke(cli.group, [verb, "--help", "--lang", "zh"]).output
        assert english_in(text) == [], verb


def test_python_errors_stay_english() -> None:
    choose("zh")
    assert str(HexconvError("there are no samples")) == "there are no samples"


MISTAKES = """\
target_abis: [foo]
model_graph_format: File
models:
  a:
    model_sha256_checksum: 12
    subgraphs: [{input_shapes: [1, 2], output_shapes: 3, input_range: [1]}]
    runtime: dps
    quantize: true
    quantize: 1
    weight_file_path:
"""


def test_each_of_many_mistakes_is_chinese_from_its_line_to_its_hint(tmp_path: Path) -> None:
    """A value of one message is not taken for the end or the beginning of the next."""
    (tmp_path / "my.yml").write_text(MISTAKES)
    try:
        with pytest.raises(HexconvError) as caught:
            cli.group(
                ["convert", "--config", str(tmp_path / "my.yml"), "--lang", "zh"],
                standalone_mode=False,
            )
        lines = translated(caught.value.render(cli=True)).split("原因：")[1].splitlines()
    finally:
        choose("en")
    assert len(lines) == 14
    for line in lines:
        assert re.match(r" *第 \d+ 行 \([\w.]+\)：", line), line
        assert not re.search("[a-z]{2,} [a-z]{2,}", line.replace("sha256sum model", "")), line
