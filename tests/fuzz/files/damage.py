"""Damage to bytes and text: what a bad disk, a cut download, or an editor does, and worse."""

from __future__ import annotations

import re
from random import Random

NUMBERS = (0, 1, -1, 2, 127, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**40)
NUMBERS_BEYOND = (2**63 - 1, -(2**63), 2**64)
FLOATS = (0.0, -0.0, 1e-45, 1e-30, 1e30, -1e38, 3.4e38, float("inf"), float("-inf"), float("nan"))
TOKENS = (
    *("", "0", "-1", "1e999", "nan", "inf", "-inf", "null", "true", "~", "{}", "[]", "0x7f", "1_0"),
    *(
        "99999999999999999999",
        "2024-13-45",
        "2024-01-02T03:04:05.6+99:00",
        "!!binary aGk=",
        "\x1b[2J",
    ),
    *(
        "$x^{",
        "a" * 300,
        "é",
        "名",
        "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
        "\0",
    ),
    *(
        "../../x",
        "/etc/passwd",
        "&a [*a]",
        "<<: *x",
        "%TAG ! x",
        "- - - -",
        "'",
        '"',
        "@@",
        ",",
        "|",
    ),
)


def damaged(content: bytes, random: Random) -> bytes:
    """Cut, flip, swap, repeat, insert or overwrite some bytes."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 2, 8))):
        at = random.randrange(len(data) + 1)
        match random.randrange(8):
            case 0:
                del data[at:]
            case 1 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 2:
                del data[at : at + random.randrange(1, 20)]
            case 3:
                data[at:at] = data[at : at + random.randrange(1, 40)]
            case 4:
                data[at:at] = random.randbytes(random.randrange(1, 9))
            case 5:
                width = random.choice((1, 2, 4, 8))
                number = random.choice(NUMBERS) % (1 << 8 * width)
                order = random.choice(("little", "big"))
                data[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
            case 6:
                other = random.randrange(len(data) + 1)
                size = random.randrange(1, 64)
                data[at : at + size] = data[other : other + size]
            case _:
                data[at:at] = random.choice(TOKENS).encode("utf-8", "surrogatepass")
        if not data:
            break
    return bytes(data)


WORD = re.compile(r"[\w.+-]+")


def reworded(text: str, random: Random) -> str:
    """A text with some words, lines or indents replaced, doubled or gone."""
    for _ in range(random.choice((1, 1, 2, 4))):
        words = list(WORD.finditer(text))
        lines = text.splitlines(keepends=True) or [""]
        line = random.randrange(len(lines))
        match random.randrange(6):
            case 0 | 1 if words:
                word = random.choice(words)
                text = text[: word.start()] + random.choice(TOKENS) + text[word.end() :]
            case 2 if words:
                word, other = random.choice(words), random.choice(words)
                text = text[: word.start()] + other.group() + text[word.end() :]
            case 3:
                text = "".join(lines[:line] + lines[line + 1 :])
            case 4:
                text = "".join([*lines[: line + 1], *lines[line:]])
            case _:
                moved = random.choice(("  ", "\t", "- ", "# ", "? ", "{")) + lines[line]
                text = "".join([*lines[:line], moved, *lines[line + 1 :]])
    return text
