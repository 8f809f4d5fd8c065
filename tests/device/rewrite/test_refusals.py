"""Packets that are neither in the emulator nor replaced: the error reports where, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hexconv.device.elf import checked_library
from hexconv.device.rewrite import RewriteError, rewritten
from hexconv.device.rewrite.image import code_sections
from hexconv.errors import DeviceError
from tests.device.rewrite.zig import object_file

PRODUCT = "v1:0.w += vrmpy(v2.b,r5:4.ub)"

UNSUPPORTED = {
    "v1:0.w = vrmpy(v2.b,r5:4.ub)": "does not accumulate",
    "v3:0.w += vrmpyz(v4.b,r3.b)": "in another form",
    "z = vmem(r1++#1)": r"z = vmem\(Rx\+\+#s3\)",
    "v0 = zextract(r1)": "zextract",
    f"{PRODUCT}; jump .+8": "it jumps",
    f"{PRODUCT}; if (p0) jump:t .+8": "it jumps",
    f"{PRODUCT}; r29 = add(r29,#-8)": "stack pointer",
    f"{PRODUCT}; memw(r3+#4) = r1": "store what its packet computes",
    f"{PRODUCT}; loop0(.+8,#3)": "depends on its address",
    "if (p0) v4.tmp = vmem(r1+#0); v1.w = vadd(v2.w,v4.w); p1 = cmp.eq(r2,#0);"
    " if (p1.new) jump:t .+8": "it jumps",
}


@pytest.mark.parametrize("packet", UNSUPPORTED)
def test_what_is_not_replaced_is_an_error_with_its_address(tmp_path: Path, packet: str) -> None:
    data = object_file(["nop", "r1 = r2", packet], tmp_path)
    with pytest.raises(RewriteError, match=UNSUPPORTED[packet]) as caught:
        rewritten(data, counting=False)
    assert caught.value.address == 8


def test_a_conditional_jump_beside_what_may_write_its_predicate_is_rejected(tmp_path: Path) -> None:
    packet = "if (p0) v4.tmp = vmem(r1+#0); v1 = v4; p1 = or(p2,p3); if (p1) jump:nt .+8"
    with pytest.raises(RewriteError, match="it jumps"):
        rewritten(object_file([packet], tmp_path), counting=False)


def test_memcpy_beside_another_instruction_is_rejected(tmp_path: Path) -> None:
    """No assembler writes such a packet: here memcpy replaces its second word."""
    data = object_file(["m0 = r1; v1 = v2", "memcpy(r1,r2,m0)"], tmp_path)
    _, second, copy = (word.tobytes() for word in next(code(data)))
    with pytest.raises(RewriteError, match="more than memcpy"):
        rewritten(data.replace(second + copy, copy + copy), counting=False)


def code(data: bytes) -> Iterator[NDArray[np.uint32]]:
    """The words of each section of code that has any."""
    return (section.words for section in code_sections(data) if len(section.words))


def test_code_without_such_instructions_stays_as_it_is(tmp_path: Path) -> None:
    data = object_file(["r1 = add(r2,r3)", "v1 = v2"], tmp_path)
    assert rewritten(data, counting=True) is data


def test_a_library_with_such_a_packet_is_rejected_with_its_address(fake_path: Path) -> None:
    """The product of `pair` made one that does not accumulate."""
    data = fake_path.read_bytes()
    product, other = bytes.fromhex("00e2a419"), bytes.fromhex("a0c2c419")
    assert product in data
    address = address_of(data, product)
    with pytest.raises(DeviceError, match=f"at {address:#x} cannot run in the emulator") as caught:
        checked_library(fake_path, data.replace(product, other))
    assert "which the emulator lacks" in caught.value.why


def address_of(data: bytes, word: bytes) -> int:
    """Where a word of code is loaded."""
    for section in code_sections(data):
        at = section.words.tobytes().find(word)
        if at >= 0:
            return section.address + at
    raise AssertionError("no such word")
