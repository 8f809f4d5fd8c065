"""`memcpy(Rs,Rt,Mu)`, with which v66 fills its fast memory: Mu + 1 bytes from Rt to Rs."""

from __future__ import annotations

from hexconv.device.rewrite.assembler import (
    add_constant,
    from_control,
    jump_if_not_zero,
    load_byte_stepping,
    load_pair,
    load_word,
    store_byte_stepping,
    store_pair,
    store_word,
)
from hexconv.device.rewrite.packet import WORD
from hexconv.device.rewrite.stub import Stub, WordSlot

M0 = 6
"""Control register m0; m1 is the next."""


def copy_bytes(stub: Stub, word: int) -> None:
    """Emit the copy, byte by byte."""
    to, source, count, value = range(4)
    stub.emit(store_word(word >> 16 & 31, WordSlot.FIRST))
    stub.emit(store_word(word >> 8 & 31, WordSlot.FIRST + WORD))
    stub.emit(store_pair(0, WordSlot.R0_R1))
    stub.emit(store_pair(2, WordSlot.R2_R3))
    stub.emit(load_word(to, WordSlot.FIRST), load_word(source, WordSlot.FIRST + WORD))
    stub.emit(from_control(count, M0 + (word >> 13 & 1)))
    stub.emit(add_constant(count, count, 1))
    start = stub.here
    stub.emit(load_byte_stepping(value, source), add_constant(count, count, -1))
    stub.emit(store_byte_stepping(value, to))
    stub.emit(jump_if_not_zero(count, start - stub.here))
    stub.emit(load_pair(0, WordSlot.R0_R1))
    stub.emit(load_pair(2, WordSlot.R2_R3))
