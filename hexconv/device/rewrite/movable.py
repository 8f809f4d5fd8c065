"""Which instructions may execute at another address, and how those that name an address change.

The rest of a packet executes in its stub. Instructions that depend on their address, move the
stack pointer (a stub saves registers below it), or count the packet's instructions backwards to
use a value from one of them, cannot; a loop's start gets an extender for the longer distance.
"""

from __future__ import annotations

from hexconv.device.rewrite.assembler import (
    JUMP_IF_FIELDS,
    LOOP_FIELDS,
    SP,
    extender,
    gathered,
    scattered,
)
from hexconv.device.rewrite.forms import Form
from hexconv.device.rewrite.packet import DUPLEX, PARSE, WORD, plain

LOOP_BY_REGISTER = (
    Form("loop0(#r7:2,Rs)", 0xFFE00000, 0x60000000),
    Form("loop1(#r7:2,Rs)", 0xFFE00000, 0x60200000),
)
JUMP_IF = Form("if (Pu) jump #r15:2", 0xFF000800, 0x5C000000)
"""With the predicate as it was before the packet."""

CONTROL_ALLOWED = (0x62, 0x63, 0x68, 0x6A, 0x6B)
"""Upper bytes of the class of loops and control registers: transfers, logic of predicates."""

PC = (8, 9)
SCALAR_STORES = (*range(0x34, 0x38), *range(0x3B, 0x40), *range(0x40, 0x50, 2), *range(0xA0, 0xB0))
"""Upper bytes of stores, some of which use a value that the packet computes."""

VECTOR_ADD = 0xD3
"""Upper byte of sums of register pairs."""

LOW_SIX = 0x3F


def why_not_movable(word: int) -> str:
    """Why an instruction cannot execute elsewhere; "" if it can."""
    if word & PARSE == DUPLEX:
        return "it contains two instructions of half a word"
    kind, top = word >> 28, word >> 24
    if kind == 5 or (kind in (1, 2) and not word >> 27 & 1):
        return "it jumps"
    if kind == 6 and not is_loop(word) and (top not in CONTROL_ALLOWED or _reads_pc(word)):
        return "it depends on its address"
    if top in SCALAR_STORES or _vector_store_of_new(word):
        return "it may store what its packet computes"
    if _writes_stack_pointer(word):
        return "it moves the stack pointer"
    return ""


def is_loop(word: int) -> bool:
    """Whether it starts a hardware loop whose count is in a register."""
    return any(form.matches(word) for form in LOOP_BY_REGISTER)


def _reads_pc(word: int) -> bool:
    return word >> 24 in (0x68, 0x6A) and (word >> 16 & 31 in PC or word >> 16 == 0x6A49)


def _vector_store_of_new(word: int) -> bool:
    stores = word >> 24 in (0x28, 0x29, 0x2B) and word >> 21 & 1
    return bool(stores) and word >> 5 & 7 not in (0, 7)


def _writes_stack_pointer(word: int) -> bool:
    kind, top = word >> 28, word >> 24
    if kind in (4, 7, 8, 9, 11, 12, 13, 14, 15) and word & 31 in (SP - 1, SP):
        return True
    steps = top in (0x29, 0x2B) or 0x99 <= top <= 0x9F
    return (steps and word >> 16 & 31 == SP) or word >> 16 in (0x901E, 0x961E)


def moved_loop(word: int, here: int, there: int) -> list[int]:
    """A loop instruction of a packet at `here`, to be executed by one at `there`: two words."""
    far = here + WORD * gathered(word, *LOOP_FIELDS) - there & 0xFFFFFFFF
    bare = plain(word) & ~scattered(-1, *LOOP_FIELDS)
    # in the extended form the field holds the offset's low six bits, in bytes
    return [extender(far), bare | scattered(far & LOW_SIX, *LOOP_FIELDS)]


def jump_target(word: int, here: int) -> int:
    """The target of a conditional jump of a packet at `here`."""
    return here + WORD * gathered(word, *JUMP_IF_FIELDS)


def keeps_predicates(word: int) -> bool:
    """Whether it certainly writes no predicate register."""
    vector = word >> 27 in (3, 5)
    return (vector or word >> 24 == VECTOR_ADD) and word & PARSE != DUPLEX
