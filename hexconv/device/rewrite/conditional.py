"""Packets with `if (Pv) Vd.tmp = vmem(...)` or `.cur`, as two: with the load, and without it."""

from __future__ import annotations

from functools import partial

from hexconv.device.rewrite.assembler import jump, jump_if
from hexconv.device.rewrite.forms import CUR, LOADS_IF, TMP, any_of
from hexconv.device.rewrite.movable import JUMP_IF, jump_target
from hexconv.device.rewrite.stub import Stub

PREDICATE_AND_KIND = 1 << 23 | 3 << 11 | 7 << 5
"""Bits of a load that say whether and on which predicate it is conditional, and its kind."""


def load_or_not(stub: Stub) -> None:
    """Emit both, and after them the conditional jump that the packet may contain."""
    packet = stub.packet
    load = next(word for word in packet.words if any_of(LOADS_IF, word))
    kind = TMP if load >> 6 & 1 else CUR
    always = load & ~PREDICATE_AND_KIND | kind << 5
    stay = [word for word in packet.words if not JUMP_IF.matches(word)]
    wanted = not load >> 5 & 1
    to_without = stub.branch(partial(jump_if, load >> 11 & 3, wanted))
    stub.emit(*(always if word == load else word for word in stay))
    to_end = stub.branch(partial(jump, 0))
    stub.land(to_without)
    stub.emit(*(word for word in stay if word != load))
    stub.land(to_end)
    for word in packet.words:
        if JUMP_IF.matches(word):
            _leave_if(stub, word)


def _leave_if(stub: Stub, word: int) -> None:
    """Jump to the packet's own target, if its predicate says so."""
    stays = not word >> 21 & 1
    past = stub.branch(partial(jump_if, word >> 8 & 3, stays))
    stub.leave(jump_target(word, stub.packet.at))
    stub.land(past)
