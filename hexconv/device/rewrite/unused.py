"""Vector registers that a function never names, so that a stub in it may overwrite them.

No vector register outlives a call (Hexagon Application Binary Interface), so registers that a
function does not name are unused while it runs. Fields are read conservatively: one that may be
a vector register counts as one, and so does the other register of its pair.
"""

from __future__ import annotations

from collections.abc import Iterable

from hexconv.device.rewrite.forms import Z_PRODUCTS, any_of
from hexconv.device.rewrite.packet import DUPLEX, PARSE

VECTORS = 32
LOADS_AND_STORES = range(0x28, 0x2F)
SCATTER_AND_GATHER, EXTRACT = 0x2F, 0x92
FIELDS = {
    0x18: (0, 8, 19),
    0x19: (0, 8),
    0x1A: (0, 8, 16, 19),
    0x1B: (0, 8, 19),
    **dict.fromkeys(range(0x1C, 0x20), (0, 8, 16)),
    **dict.fromkeys(LOADS_AND_STORES, (0,)),
    SCATTER_AND_GATHER: (0, 8),
    EXTRACT: (8,),
}
"""Lowest bits of the fields of vector registers, by the upper byte of an instruction."""


def unused_vectors(words: Iterable[int]) -> list[int]:
    """The vector registers that none of a function's words names."""
    named: set[int] = set()
    for word in words:
        named |= named_vectors(int(word))
    return [v for v in range(VECTORS) if v not in named]


def named_vectors(word: int) -> set[int]:
    """The vector registers that an instruction may name."""
    if word & PARSE == DUPLEX:
        return set()
    named: set[int] = set()
    for low in FIELDS.get(word >> 24, ()):
        v = word >> low & 31
        named |= {v, v ^ 1}
    if any_of(Z_PRODUCTS, word):
        named |= {word & 28 | part for part in range(4)}
    return named
