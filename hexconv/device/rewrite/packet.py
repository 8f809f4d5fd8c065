"""Packets of Hexagon code: words, and the two bits of each that say where a packet ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WORD = 4
MOST_WORDS = 4

PARSE = 0xC000
"""The two parse bits of a word."""

END, LOOP_END, MIDDLE, DUPLEX = 0xC000, 0x8000, 0x4000, 0x0000
"""Their values: last word; first or second word of a packet that ends a hardware loop; any other
word; two instructions of half a word, which also end the packet."""

NOP = 0x7F000000


@dataclass(frozen=True)
class Packet:
    """Up to four words that execute together.

    Args:
        at: address of the first word.
        words: with their parse bits.
    """

    at: int
    words: tuple[int, ...]

    @property
    def next(self) -> int:
        """Address of the packet after this one."""
        return self.at + WORD * len(self.words)

    @property
    def loops(self) -> tuple[bool, bool]:
        """Whether it ends hardware loop 0, and loop 1 (the parse bits of its first two words)."""
        marks = [word & PARSE == LOOP_END for word in self.words[:-1]]
        return (*marks, False, False)[0], (*marks, False, False)[1]


def plain(word: int) -> int:
    """A word without its parse bits."""
    return word & ~PARSE


def packed(words: Iterable[int]) -> list[int]:
    """Words with the parse bits of one packet that ends no loop.

    Raises:
        ValueError: there are none, or more than a packet can contain.
    """
    bare = [plain(word) for word in words]
    if not 1 <= len(bare) <= MOST_WORDS:
        raise ValueError(f"a packet of {len(bare)} words")
    return [*(word | MIDDLE for word in bare[:-1]), bare[-1] | END]


def loop_end(loop0: bool, loop1: bool) -> list[int]:
    """A packet that only ends hardware loops."""
    first = LOOP_END if loop0 else MIDDLE
    if loop1:
        return [NOP | first, NOP | LOOP_END, NOP | END]
    return [NOP | first, NOP | END]
