"""The code that replaces one packet: the registers it saves, how it counts, how it returns.

A stub may use any register, as it restores what it saves to a frame below the stack pointer.
That memory is free: the library is bare-metal code without a red zone, and the runner's signal
handler has a stack of its own.

The emulator counts packets, instructions and HVX instructions. A counting stub reads the counters
when it is entered and, when it leaves, sets them to what they would be had the packet itself been
executed, whatever the stub did in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from hexconv.device.rewrite.assembler import (
    add_constant,
    from_control,
    jump,
    load_pair,
    load_vector,
    load_word,
    move_vector,
    pair_from_control,
    pair_to_control,
    store_pair,
    store_vector,
    store_word,
    to_control,
)
from hexconv.device.rewrite.packet import (
    DUPLEX,
    END,
    NOP,
    PARSE,
    WORD,
    Packet,
    loop_end,
    packed,
)

PACKETS, INSTRUCTIONS, HVX_INSTRUCTIONS = 20, 21, 22
"""Control registers of the emulator's counters."""


VECTOR_SLOTS = tuple(range(-8, 0))
"""Vectors of the frame, in vectors from the stack pointer."""


class WordSlot(IntEnum):
    """Words and pairs of the frame, in bytes from the stack pointer, below the vectors."""

    R0_R1 = -1032
    R2_R3 = -1040
    FIRST = -1048
    SECOND = -1056
    COUNTED = -1064
    COUNTED_HVX = -1072
    COUNTING = -1080


@dataclass(frozen=True)
class Counts:
    """What the emulator counts."""

    packets: int = 0
    instructions: int = 0
    hvx: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.packets + other.packets,
            self.instructions + other.instructions,
            self.hvx + other.hvx,
        )


JUMP = Counts(packets=1, instructions=1)


def executed(words: list[int] | tuple[int, ...]) -> Counts:
    """What executing these words once counts."""
    packets = instructions = hvx = 0
    for word in words:
        parse = word & PARSE
        packets += parse in (END, DUPLEX)
        extends = word >> 28 == 0 and parse != DUPLEX
        if parse == DUPLEX:
            instructions += 2
        elif not extends and word >> 16 != NOP >> 16:
            instructions += 1
            hvx += word >> 27 in (3, 5)
    return Counts(packets, instructions, hvx)


class Kept(NamedTuple):
    """A copy of a vector, in a register, or else in a slot of the frame."""

    register: int | None
    slot: int = 0


class Branch(NamedTuple):
    """A jump forward: its address, and its word for a distance in bytes."""

    position: int
    encode: Callable[[int], int]


class Stub:
    """Code that is being assembled at its address.

    Args:
        packet: the packet that it replaces.
        at: address of its first word.
        counting: whether the emulator's counters must be right.
        free: vector registers whose values nobody needs. The emulator stores vectors byte by byte,
            a hundred times slower than it copies them: the frame is used only without free ones.
    """

    def __init__(
        self, packet: Packet, at: int, *, counting: bool, free: Sequence[int] = ()
    ) -> None:
        self.packet = packet
        self.code: list[int] = []
        self._at = at
        self._counting = counting
        self._free = list(free)
        self._slots = list(VECTOR_SLOTS)
        if counting:
            self._read_counters(JUMP)

    @property
    def here(self) -> int:
        """Address of the next word."""
        return self._at + WORD * len(self.code)

    def emit(self, *words: int) -> None:
        """Append one packet."""
        self.code += packed(words)

    def branch(self, encode: Callable[[int], int]) -> Branch:
        """Append a jump whose distance is not known yet: that of `land`."""
        branch = Branch(len(self.code), encode)
        self.emit(encode(0))
        return branch

    def land(self, branch: Branch) -> None:
        """Set the target of a jump to here."""
        distance = WORD * (len(self.code) - branch.position)
        self.code[branch.position : branch.position + 1] = packed([branch.encode(distance)])

    def keep(self, v: int) -> Kept:
        """Copy a vector register."""
        if self._free:
            register = self._free.pop()
            self.emit(move_vector(register, v))
            return Kept(register)
        slot = self._slots.pop()
        self.emit(store_vector(v, slot))
        return Kept(None, slot)

    def put_back(self, v: int, kept: Kept) -> None:
        """Restore the value of a vector register."""
        if kept.register is None:
            self.emit(load_vector(v, kept.slot))
        else:
            self.emit(move_vector(v, kept.register))

    def borrow(self, unlike: Sequence[int]) -> tuple[int, Kept | None]:
        """A vector register to work with, none of `unlike`; and what to restore at the end."""
        if self._free:
            return self._free.pop(), None
        register = next(v for v in range(31, -1, -1) if v not in unlike)
        return register, self.keep(register)

    def leave(self, target: int | None = None) -> None:
        """Continue after the packet, or at the start of a loop that it ends; or at `target`."""
        loops = any(self.packet.loops)
        if target is None and loops:
            self._count(Counts(packets=1))
            self.code += loop_end(*self.packet.loops)
            # the loop is over: nothing of what follows counts
            if self._counting:
                self._read_counters(Counts())
                self._set_counters(Counts(), JUMP)
        else:
            self._count(JUMP)
        self.emit(jump(self.here, self.packet.next if target is None else target))

    def _count(self, still: Counts) -> None:
        """Count the packet once; `still` is executed before the stub is left."""
        if self._counting:
            whole = executed(self.packet.words)
            self._set_counters(Counts(1, whole.instructions, whole.hvx), still)

    def _read_counters(self, before: Counts) -> None:
        """Save the counters as they were before `before` was executed."""
        first = len(self.code)
        self.emit(store_pair(0, WordSlot.COUNTING))
        spent = before + executed(self.code[first:])
        self.emit(pair_from_control(0, PACKETS))
        self.emit(add_constant(0, 0, -spent.packets), add_constant(1, 1, -spent.instructions))
        self.emit(store_pair(0, WordSlot.COUNTED))
        self.emit(from_control(0, HVX_INSTRUCTIONS))
        self.emit(store_word(0, WordSlot.COUNTED_HVX))
        self.emit(load_pair(0, WordSlot.COUNTING))

    def _set_counters(self, more: Counts, after: Counts) -> None:
        """Set the counters so that, once `after` is executed, they are `more` than saved."""
        self.emit(store_pair(0, WordSlot.COUNTING))
        self.emit(load_word(0, WordSlot.COUNTED_HVX))
        self.emit(add_constant(0, 0, more.hvx - after.hvx))
        self.emit(to_control(HVX_INSTRUCTIONS, 0))
        self.emit(load_pair(0, WordSlot.COUNTED))
        left = after + JUMP + JUMP  # the transfer itself, and the load after it
        self.emit(
            add_constant(0, 0, more.packets - left.packets),
            add_constant(1, 1, more.instructions - left.instructions),
        )
        self.emit(pair_to_control(PACKETS, 0))
        self.emit(load_pair(0, WordSlot.COUNTING))
