"""Instructions of v65 and v66 that the emulator lacks, rewritten to ones that it has.

No released qemu has the products by a register pair (v65) and by the Z buffer and the memory copy
(v66) that MACE's libraries use, and qemu 7.2 computes conditional vector loads wrongly. Each packet
that contains one becomes a jump to a stub, in a segment of its own after the image, that does what
the packet does with supported instructions and returns. The result is an ordinary shared object.

    forms.py       the instructions to replace
    movable.py     what else a packet may contain, to be executed elsewhere
    products.py, copies.py, conditional.py    the replacements
    stub.py        the registers a stub saves, how it counts and returns
    image.py       the shared object;  packet.py, assembler.py: packets and words
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from hexconv.device.rewrite.assembler import jump
from hexconv.device.rewrite.conditional import load_or_not
from hexconv.device.rewrite.copies import copy_bytes
from hexconv.device.rewrite.forms import LOADS_IF, MEMCPY, MISSING, NOT_REPLACED, any_of
from hexconv.device.rewrite.image import Code, Functions, code_sections, first_free, with_segment
from hexconv.device.rewrite.movable import JUMP_IF, keeps_predicates, why_not_movable
from hexconv.device.rewrite.packet import WORD, Packet, packed
from hexconv.device.rewrite.products import NotReplaceable, multiply
from hexconv.device.rewrite.stub import Stub
from hexconv.device.rewrite.unused import unused_vectors

__all__ = ["RewriteError", "rewritten"]

Choose = Callable[[Packet], bool]


class RewriteError(Exception):
    """A packet that the emulator does not support and that is not replaced.

    Args:
        address: of the packet.
        why: the reason.
    """

    def __init__(self, address: int, why: str) -> None:
        super().__init__(f"the packet at {address:#x}: {why}")
        self.address = address
        self.why = why


def rewritten(data: bytes, counting: bool, also: Choose | None = None) -> bytes:
    """A shared object without the instructions that the emulator lacks or computes wrongly.

    Args:
        data: a shared object; without such instructions it is returned as it is.
        counting: whether the emulator's counters must count each replaced packet as one, as on
            the DSP; it costs time.
        also: correct packets to replace by stubs as well, to test stubs.

    Raises:
        RewriteError: one is in a position where it cannot be replaced.
    """
    image, base = bytearray(data), first_free(data)
    functions = Functions(data)
    stubs: list[int] = []

    @cache
    def unused(section: Code, extent: tuple[int, int] | None) -> list[int]:
        return unused_vectors(section.between(*extent)) if extent else []

    for section in code_sections(data):
        for packet in _to_replace(section, also):
            here = base + WORD * len(stubs)
            free = unused(section, functions.around(packet.at))
            stubs += _code(Stub(packet, here, counting=counting, free=free))
            (word,) = packed([jump(packet.at, here)])
            struct.pack_into("<I", image, packet.at - section.address + section.offset, word)
    return with_segment(bytes(image), stubs) if stubs else data


def _to_replace(section: Code, also: Choose | None) -> Iterator[Packet]:
    """The packets of a section that need a stub."""
    if also is not None:
        indices = np.arange(len(section.words))
    else:
        forms = (*MISSING, *LOADS_IF, *NOT_REPLACED)
        found = np.any([form.among(section.words) for form in forms], axis=0)
        indices = np.flatnonzero(found)
    seen: set[int] = set()
    for index in indices:
        packet = section.packet(int(index))
        if packet.at not in seen:
            seen.add(packet.at)
            if also is None or _is_wrong(packet) or also(packet):
                yield packet


def _is_wrong(packet: Packet) -> bool:
    return any(any_of((*MISSING, *LOADS_IF, *NOT_REPLACED), word) for word in packet.words)


def _code(stub: Stub) -> list[int]:
    """The code that replaces a stub's packet."""
    packet = stub.packet
    try:
        _check(packet)
        copy = next((word for word in packet.words if MEMCPY.matches(word)), None)
        if copy is not None:
            copy_bytes(stub, copy)
        elif any(any_of(LOADS_IF, word) for word in packet.words):
            load_or_not(stub)
        else:
            multiply(stub)
        stub.leave()
    except (NotReplaceable, OverflowError) as error:
        raise RewriteError(packet.at, str(error)) from error
    return stub.code


def _check(packet: Packet) -> None:
    """Whether the packet contains only what stubs support.

    Raises:
        NotReplaceable: it does not.
    """
    for form in NOT_REPLACED:
        if any(form.matches(w) and not any_of(MISSING, w) for w in packet.words):
            raise NotReplaceable(f"it contains {form.name}, which the emulator lacks")
    conditional = [word for word in packet.words if any_of(LOADS_IF, word)]
    missing = [word for word in packet.words if any_of(MISSING, word)]
    rest = [word for word in packet.words if word not in (*missing, *conditional)]
    if any(MEMCPY.matches(word) for word in missing) and len(packet.words) > 1:
        raise NotReplaceable("it contains more than memcpy")
    if len(conditional) > 1 or (conditional and missing):
        raise NotReplaceable("it loads conditionally and contains another replaced instruction")
    for word in rest:
        others = set(rest) - {word}
        leaves = conditional and JUMP_IF.matches(word) and not any(packet.loops)
        if leaves and all(map(keeps_predicates, others)):
            continue
        if why := why_not_movable(word):
            raise NotReplaceable(f"beside a replaced instruction {why}")
