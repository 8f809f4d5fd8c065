"""Messages in the user's language, from a gettext catalogue (hexconv/locale).

The program is written in English; the catalogue is applied where text is shown. Its keys are the
messages as the source has them, with `{name}` where a value is put in: `the model has no input
'{name}'`. A message with its values is found by what stands around them, and the values are
translated the same way, so that a message may hold another one. tools/messages.py collects the
keys from the source.
"""

from __future__ import annotations

import functools
import gettext
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

LANGUAGES = ("en", "zh")
DOMAIN = "hexconv"
LOCALE = Path(__file__).with_name("locale")

PLACE = re.compile(r"\{(\w+)\}")
"""A value in a message of the catalogue."""

MARKS = {". ": "。", "。 ": "。", "; ": "；", ": ": "：", ", ": "，"}
NUMBER = r"[\d,.]+"
SHORT = 12
"""Letters of a message below which its values are no text of their own: `{low} to {high}`."""

_PROSE = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")

_BREAK = re.compile("|".join(map(re.escape, MARKS)))
_chosen = ["en"]


def language() -> str:
    """The language of messages: "en" or "zh"."""
    return _chosen[0]


def choose(wanted: str) -> None:
    """Show messages in a language from now on, those of click as well.

    Args:
        wanted: "en", "zh", or a locale as LANG has it: "zh_CN.UTF-8".
    """
    _chosen[0] = "zh" if wanted.lower().startswith("zh") else "en"
    os.environ["LANGUAGE"] = language()
    gettext.bindtextdomain(DOMAIN, str(LOCALE))
    gettext.textdomain(DOMAIN)


def of_locale(environment: Mapping[str, str]) -> str:
    """The locale of messages that the environment asks for."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return next(filter(None, (environment.get(name) for name in names)), "en")


def translated(text: str) -> str:
    """A text in the language that was chosen; as it is where the catalogue does not have it."""
    return text if language() == "en" else chinese(text)


def chinese(text: str) -> str:
    """A text in Chinese, whatever language was chosen."""
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    body = line.strip()
    if not body:
        return line
    start, end = line.index(body), line.rstrip()
    after = "" if body[-1] in ":?." else line[len(end) :]
    return line[:start] + _message(body) + after


@functools.lru_cache(maxsize=4096)
def _message(text: str) -> str:
    """A message: whole, or in two parts of which one is known."""
    whole = known(text)
    if whole is not None:
        return whole
    halves = [(text[: at.start()], at[0], text[at.end() :]) for at in _BREAK.finditer(text)]
    found = [(known(head), mark, known(tail), head, tail) for head, mark, tail in halves]
    for left, mark, right, head, tail in sorted(found, key=_unknown):
        if left is not None or right is not None:
            mark = MARKS.get(mark, mark)
            return (left or _message(head)) + mark + (right or _message(tail))
    return text


def _unknown(halves: tuple[str | None, str, str | None, str, str]) -> int:
    return (halves[0], halves[2]).count(None)


@functools.lru_cache(maxsize=4096)
def known(text: str) -> str | None:
    """The translation of a whole message, None where the catalogue has none."""
    messages, patterns = _catalogue()
    if text in messages:
        return messages[text]
    for pattern in patterns:
        if pattern.anchor in text and (match := pattern.form.fullmatch(text)):
            if pattern.short and any(map(_is_unknown_prose, match.groups())):
                continue
            if _holds_another(pattern, match):
                continue
            return PLACE.sub(partial(_value, match), pattern.message)
    return None


def is_message(text: str) -> bool:
    """Whether a text is a message of the catalogue, without values."""
    return text in _catalogue()[0]


def _holds_another(pattern: _Pattern, match: re.Match[str]) -> bool:
    """Whether a value at an end of a match goes on into another message, beyond a mark."""
    first = match[1] if pattern.starts else ""
    if pattern.short and pattern.marked and known(first) is not None:
        mark = _BREAK.match(match.string, match.end(1))
        if mark is not None and known(match.string[mark.end() :]) is not None:
            return True
    last = match[match.lastindex or 1] if pattern.ends else ""
    heads = ((at[0], first[: at.start()]) for at in _BREAK.finditer(first))
    tails = ((at[0], last[at.end() :]) for at in _BREAK.finditer(last))
    return any(
        _is_certain(text) if mark == ", " else known(text) is not None
        for mark, text in (*heads, *tails)
    )


@functools.lru_cache(maxsize=4096)
def _is_certain(text: str) -> bool:
    """Whether a text, an item of a list perhaps, is a message by more than a few letters."""
    messages, patterns = _catalogue()
    certain = (pattern for pattern in patterns if pattern.counts or not pattern.short)
    return text in messages or any(
        pattern.anchor in text and pattern.form.fullmatch(text) for pattern in certain
    )


def _is_unknown_prose(text: str) -> bool:
    return bool(_PROSE.search(text)) and known(text.strip()) is None


def _value(found: re.Match[str], place: re.Match[str]) -> str:
    return chinese(found[place[1]])


@dataclass(frozen=True)
class _Pattern:
    """A message with values: text that it must contain, its form, the translation; whether it
    has little text, starts or ends with a value, has a mark behind its first value, a number."""

    anchor: str
    form: re.Pattern[str]
    message: str
    short: bool
    starts: bool
    ends: bool
    marked: bool
    counts: bool


def catalogue() -> dict[str, str]:
    """The Chinese translations by message."""
    return dict(_entries((LOCALE / "zh" / "LC_MESSAGES" / f"{DOMAIN}.mo").read_bytes()))


@functools.cache
def _catalogue() -> tuple[dict[str, str], list[_Pattern]]:
    """Messages without values, and those with values, the most specific first."""
    messages = catalogue()
    ordered = sorted(messages, key=lambda key: -len(PLACE.sub("", key)))
    patterns = [_pattern(key, messages[key]) for key in ordered if PLACE.search(key)]
    return messages, patterns


def _pattern(key: str, message: str) -> _Pattern:
    pieces = PLACE.split(key)
    form = "".join(
        f"(?P<{piece}>{NUMBER if piece == 'count' else '.*?'})" if place % 2 else re.escape(piece)
        for place, piece in enumerate(pieces)
    )
    short = sum(letter.isalpha() for letter in "".join(pieces[::2])) < SHORT
    marked, counts = bool(_BREAK.match(pieces[2])), "count" in pieces[1::2]
    anchor = max(pieces[::2], key=len)
    return _Pattern(
        anchor, re.compile(form), message, short, not pieces[0], not pieces[-1], marked, counts
    )


def _entries(content: bytes) -> Iterator[tuple[str, str]]:
    """(message, translation) of a compiled catalogue (the GNU gettext manual, MO Files)."""
    count, keys, values = struct.unpack_from("<3I", content, 8)
    for number in range(count):
        pair = []
        for table in (keys, values):
            size, start = struct.unpack_from("<2I", content, table + 8 * number)
            pair.append(content[start : start + size].decode())
        if pair[0]:
            yield pair[0], pair[1]
