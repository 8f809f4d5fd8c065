"""Names, messages and docs use the field's standard words, in American spelling."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("hexconv", "benchmarks", "docs", "op_tables", "yml", "tools")
SUFFIXES = {".py", ".md", ".yml", ".sh", ".json"}
INVENTED = {
    "answer": r"answer(s|ed|ing)?",
    "refuse": r"refus(e|es|ed|al|als|ing)",
    "lies on an axis": r"lies on (B|H|W|D)\b|own_place|place_of",
    "todo=": r"todo=",
    "upright": r"(?i:upright)",
    "torn, doomed, victims": r"torn|doomed|victims?|hand_over",
    "whole code": r"whole codes?",
    "desk": r"on the desk",
    "in silence": r"in silence",
    "dearest": r"the dearest",
    "says nothing": r"says nothing",
    "trap": r"traps?(?! are not used)",
    "say of every node": r"say of every node",
}
BRITISH = (
    r"\w*(?:normalis|optimis|quantis|canonicalis|initialis|behaviour|colour|centring|centred)\w*"
)
CHINESE = ("退休", "小声音", "点名拒绝")


def texts() -> dict[str, str]:
    """Every file of the project that people read, but what it records of others."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files += [ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in SUFFIXES and "nnlib/golden" not in str(path)
    }


def uses(pattern: str) -> list[str]:
    """`file: word` of every use."""
    word = re.compile(rf"(?<![\w/-])(?:{pattern})(?!\w)")
    return [
        f"{name}: {match.group()}"
        for name, text in texts().items()
        for match in word.finditer(text)
    ]


@pytest.mark.parametrize("word", INVENTED)
def test_no_invented_word_is_left(word: str) -> None:
    assert uses(INVENTED[word]) == []


def test_the_spelling_is_american() -> None:
    assert uses(BRITISH) == []


@pytest.mark.parametrize("word", CHINESE)
def test_chinese_pages_have_no_literal_translations(word: str) -> None:
    assert [name for name, text in texts().items() if word in text] == []


def test_the_search_finds_words() -> None:
    assert len(uses("range")) > 100 and len(texts()) > 300
