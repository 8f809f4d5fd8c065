"""Unique names, names that are shown, and the closest known name for "did you mean"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

CLOSE = 0.5
"""Minimum similarity for a suggestion (difflib's ratio)."""


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that steer a terminal, and end a line of a range file."""


LONGEST_WORD = 1000
"""Characters of a word, a name mostly, in what people read."""

LONGEST_LINE = 10_000
"""Characters of a line in what people read: of names that have spaces, or of hundreds of names."""

_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def encoded(text: str) -> bytes:
    """A text as UTF-8; of a file name that is not UTF-8 the bytes are written out, as JSON does."""
    return text.encode(errors="backslashreplace")


def name_fault(name: str | bytes) -> str:
    """Why a name from a file cannot be one; an empty string for those that can.

    Args:
        name: as protobuf returns it: what is not UTF-8 as bytes.
    """
    if isinstance(name, bytes):
        return f"the name {name[:80]!r} is not UTF-8"
    return f"the name {name[:80]!r} has a control character" if CONTROL.search(name) else ""


def without_control(text: str) -> str:
    """A text with the characters that steer a terminal written out, other than line breaks."""
    return CONTROL.sub(lambda found: found[0] if found[0] == "\n" else ascii(found[0])[1:-1], text)


def printable(text: str) -> str:
    """A text of several lines, no name too long, with control characters written out (\\x1b)."""
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode()
        for c in brief(text)
    )


def brief(text: str) -> str:
    """A text of several lines; words and lines that are longer than any real one lose their middle.

    Whatever people read goes through here. Documents (JSON, CSV, YAML) have names whole.
    """
    if len(text) <= LONGEST_WORD:
        return text
    words = _LONG_WORD.sub(lambda found: shortened(found[0], LONGEST_WORD), text)
    return "\n".join(shortened(line, LONGEST_LINE) for line in words.split("\n"))


class TakenNames(set[str]):
    """Names in use, which remembers how far `unique_name` has counted.

    A large graph has one name ten thousand times: counting from 2 each time is quadratic.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__(names)
        self.counted: dict[str, int] = {}

    def discard(self, name: object, /) -> None:
        """Free a name; what was counted beyond it is counted again."""
        super().discard(name)
        self.counted.pop(str(name), None)
        self.counted.pop(str(name).rpartition("_")[0], None)


def unique_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or `wanted_2`, `wanted_3`, ... : the first that is not taken; it is added there."""
    counted = taken.counted if isinstance(taken, TakenNames) else {}
    number = counted.get(wanted, 1)
    name = wanted if number == 1 else f"{wanted}_{number}"
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    counted[wanted] = number
    return name


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The known names closest to a misspelled one, best first, case ignored; may be empty."""
    by_lower: dict[str, str] = {}
    for item in known:
        by_lower.setdefault(item.lower(), item)
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, count, CLOSE)]


def did_you_mean(name: str, known: Iterable[str], count: int = 1) -> str:
    """ "did you mean 'x'? ", or an empty string where no known name is close."""
    found = nearest(name, known, count)
    return f"did you mean {' or '.join(map(repr, found))}? " if found else ""


def listed(names: Sequence[str], most: int = 5) -> str:
    """'a', 'b' and 3 more."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def shortened(text: str, width: int = 70) -> str:
    """A text of at most `width` characters, shortened in the middle."""
    if len(text) <= width:
        return text
    half = (width - 3) // 2
    return f"{text[: width - 3 - half]}...{text[-half:]}"


def state_output(name: str) -> str | None:
    """The output that becomes a state's input in the next chunk; None of any other input."""
    stem, separator, state = name.rpartition("/")
    return f"{stem}/{state[0]}_out" if separator and state in ("h_in", "c_in") else None


def counted(count: int, noun: str, plural: str = "") -> str:
    """ "1 node", "1,200 nodes"; the plural ends in s where it is not given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
