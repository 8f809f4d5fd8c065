"""The words that hexconv writes and recognizes, against zig's assembler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hexconv.device.rewrite import assembler as asm
from hexconv.device.rewrite.forms import LOADS_IF, MISSING, NOT_REPLACED
from hexconv.device.rewrite.movable import (
    is_loop,
    jump_target,
    moved_loop,
    why_not_movable,
)
from hexconv.device.rewrite.packet import PARSE, packed
from hexconv.device.rewrite.unused import named_vectors
from tests.device.rewrite.zig import assembled

WRITTEN = {
    "vmemu(r29+#-5) = v7": asm.store_vector(7, -5),
    "vmemu(r29+#3) = v30": asm.store_vector(30, 3),
    "v31 = vmemu(r29+#-8)": asm.load_vector(31, -8),
    "v2 = vmemu(r29+#7)": asm.load_vector(2, 7),
    "r5 = memw(r29+#-2104)": asm.load_word(5, -2104),
    "r5 = memw(r3+#64)": asm.load_word(5, 64, 3),
    "r7:6 = memd(r29+#-2064)": asm.load_pair(6, -2064),
    "memw(r29+#-2112) = r9": asm.store_word(9, -2112),
    "memw(r29+#44) = r27": asm.store_word(27, 44),
    "memd(r29+#-2056) = r9:8": asm.store_pair(8, -2056),
    "r3 = memub(r1++#1)": asm.load_byte_stepping(3, 1),
    "memb(r0++#1) = r3": asm.store_byte_stepping(3, 0),
    "r4 = #32": asm.set_word(4, 32),
    "r4 = #-3000": asm.set_word(4, -3000),
    "r1 = add(r2,#-100)": asm.add_constant(1, 2, -100),
    "r1 = add(r2,#30000)": asm.add_constant(1, 2, 30000),
    "r1 = and(r2,#-4)": asm.and_constant(1, 2, -4),
    "r1 = and(r2,#511)": asm.and_constant(1, 2, 511),
    "r1 = add(r2,r3)": asm.add(1, 2, 3),
    "r1 -= mpyi(r2,#3)": asm.subtract_product(1, 2, 3),
    "r1 = asl(r2,r3)": asm.shift_left(1, 2, 3),
    "v4 = vsplat(r5)": asm.splat(4, 5),
    "v4 = v5": asm.move_vector(4, 5),
    "v1.w += vrmpy(v2.ub,v3.b)": asm.dot_unsigned_signed(1, 2, 3),
    "v1.uw += vrmpy(v2.ub,r3.ub)": asm.dot_unsigned_word(1, 2, 3),
    "r4 = p3:0": asm.from_control(4, 4),
    "r3 = m1": asm.from_control(3, 7),
    "p3:0 = r4": asm.to_control(4, 4),
    "r3:2 = c7:6": asm.pair_from_control(2, 6),
    "c7:6 = r3:2": asm.pair_to_control(6, 2),
    "jump .-400": asm.jump(4000, 3600),
    "jump .+8000": asm.jump(0, 8000),
    "if (p1) jump:nt .-8": asm.jump_if(1, False, -8),
    "if (!p2) jump:nt .+12": asm.jump_if(2, True, 12),
    "if (r2!=#0) jump:nt .-8": asm.jump_if_not_zero(2, -8),
}

RECOGNIZED = [
    "v1:0.w += vrmpy(v2.b,r5:4.ub)",
    "v31:30.uw += vrmpy(v29.ub,r27:26.ub)",
    "v3:0.w += vrmpyz(v4.b,r7.ub)",
    "v31:28.w += vrmpyz(v27.b,r0.ub++)",
    "z = vmem(r31+#-8)",
    "if (p3) z = vmem(r28+#7)",
    "memcpy(r1,r2,m0)",
    "memcpy(r30,r31,m1)",
    "if (p1) v5.tmp = vmem(r8+#-8)",
    "if (!p1) v5.tmp = vmem(r8+#7)",
    "if (p3) v31.cur = vmem(r31++#-4)",
    "if (!p0) v0.cur = vmem(r0++#3)",
    "if (p2) v6.tmp = vmem(r9++m1)",
    "if (!p2) v6.cur = vmem(r9++m0)",
]

NOT_TAKEN_FOR_THEM = [
    "v1:0.w = vrmpy(v3:2.ub,r4.b,#1)",
    "v1.w += vrmpy(v2.ub,r4.b)",
    "v1.uw += vrmpy(v2.ub,r4.ub)",
    "v1:0.uw += vrmpy(v3:2.ub,r4.ub,#0)",
    "v1 = vsplat(r5)",
    "v1.h = vsplat(r5)",
    "v1:0.h += vmpy(v2.ub,r4.b)",
    "v1.w += vdmpy(v2.h,r4.b)",
    "v5 = vmem(r8+#1)",
    "v5 = vmemu(r8+#1)",
    "if (p1) v5 = vmem(r8+#1)",
    "if (p1) vmem(r8+#1) = v5",
    "if (p1) vmem(r8++#1) = v5",
    "vmem(r8+#1) = v5",
    "r1 = vextract(v2,r3)",
    "vtmp.w = vgather(r1,m0,v2.w).w",
    "vscatter(r1,m0,v2.w).w = v3",
    "r5:4 = memd(r1++m0)",
    "r1 = memw(r2+#4)",
]

UNSUPPORTED = [
    "v1:0.w = vrmpy(v2.b,r5:4.ub)",
    "v1:0.uw = vrmpy(v2.ub,r5:4.ub)",
    "v3:0.w = vrmpyz(v4.b,r3.ub)",
    "v3:0.w = vrmpyz(v4.b,r3.ub++)",
    "v3:0.w += vrmpyz(v4.b,r3.b)",
    "v3:0.w += vrmpyz(v4.b,r3.b++)",
    "v3:0.w += vr8mpyz(v4.n,r3.b)",
    "v3:0.w += vr16mpyz(v4.c,r3.b)",
    "z = vmem(r1++#1)",
    "z = vmem(r1++m1)",
    "if (p1) z = vmem(r1++#1)",
    "v0 = zextract(r1)",
]

MOVABLE = [
    "r1 = add(r2,r3)",
    "r1:0 = vaddw(r3:2,r5:4)",
    "r5:4 = memd(r1+r2<<#3)",
    "if (p1) r5 = memw(r6+#4)",
    "v1.w = vadd(v2.w,v3.w)",
    "vmem(r1++#1) = v3",
    "if (p0) vmem(r7++#1) = v5",
    "p0 = cmp.gt(r1,r2)",
    "m0 = r3",
    "r3 = m1",
    "dcfetch(r1+#64)",
    "loop0(.+16,r5)",
    "loop1(.-64,r6)",
]

PINNED = {
    "jump .+8": "jumps",
    "if (p0) jump:t .-16": "jumps",
    "call .+64": "jumps",
    "jumpr r31": "jumps",
    "p0 = cmp.eq(r1,#1); if (p0.new) jump:t .+8": "jumps",
    "r1 = add(r2,#1); if (cmp.eq(r1.new,#0)) jump:t .+8": "jumps",
    "if (r2!=#0) jump:nt .-8": "depends on its address",
    "loop0(.+8,#3)": "depends on its address",
    "r1 = add(pc,#8)": "depends on its address",
    "r1 = pc": "depends on its address",
    "r1 = add(r2,#1); memw(r3+#4) = r1.new": "store what its packet computes",
    "memw(r3++#4) = r1": "store what its packet computes",
    "v1.w = vadd(v2.w,v3.w); vmem(r1+#0) = v1.new": "store what its packet computes",
    "r29 = add(r29,#-16)": "stack pointer",
    "r29 = r1": "stack pointer",
    "r29 = memw(r1+#4)": "stack pointer",
    "deallocframe": "stack pointer",
    "v1 = vmem(r29++#1)": "stack pointer",
}


def test_written_words_are_the_assemblers(tmp_path: Path) -> None:
    for text, words in zip(WRITTEN, assembled(list(WRITTEN), tmp_path), strict=True):
        assert [f"{word:08x}" for word in packed([WRITTEN[text]])] == [
            f"{word:08x}" for word in words
        ], text


def test_a_jump_too_far_is_an_error() -> None:
    with pytest.raises(OverflowError, match="larger than a jump can cross"):
        asm.jump(0, 1 << 23)


def test_missing_instructions_are_recognized(tmp_path: Path) -> None:
    for text, words in zip(RECOGNIZED, assembled(RECOGNIZED, tmp_path), strict=True):
        forms = [form for form in (*MISSING, *LOADS_IF) if form.matches(words[0])]
        assert len(forms) == 1, text


def test_their_other_forms_are_known_and_not_replaced(tmp_path: Path) -> None:
    for text, words in zip(UNSUPPORTED, assembled(UNSUPPORTED, tmp_path), strict=True):
        assert any(form.matches(words[0]) for form in NOT_REPLACED), text
        assert not any(form.matches(words[0]) for form in (*MISSING, *LOADS_IF)), text


def test_their_neighbors_are_not_taken_for_them(tmp_path: Path) -> None:
    for text, words in zip(
        NOT_TAKEN_FOR_THEM, assembled(NOT_TAKEN_FOR_THEM, tmp_path), strict=True
    ):
        forms = (*MISSING, *LOADS_IF, *NOT_REPLACED)
        assert not any(form.matches(words[0]) for form in forms), text


def test_a_duplex_is_never_taken_for_one() -> None:
    for form in (*MISSING, *LOADS_IF, *NOT_REPLACED):
        assert not form.matches(form.value & ~PARSE)


def test_what_depends_on_nothing_around_may_move(tmp_path: Path) -> None:
    for text, words in zip(MOVABLE, assembled(MOVABLE, tmp_path), strict=True):
        assert why_not_movable(words[0]) == "", text


def test_what_must_stay_says_why(tmp_path: Path) -> None:
    for text, words in zip(PINNED, assembled(list(PINNED), tmp_path), strict=True):
        reasons = [why_not_movable(word) for word in words]
        assert any(PINNED[text] in reason for reason in reasons), text


@pytest.mark.parametrize("start", [-64, -4, 8, 124])
def test_a_moved_loop_starts_where_it_did(tmp_path: Path, start: int) -> None:
    """From elsewhere, the assembler needs an extender for the same way."""
    here, there = 0x40000, 0x140000
    way = here + start - there
    sign, size = ("-", -way) if way < 0 else ("+", way)
    (near,), far = assembled([f"loop0(.{start:+d},r5)", f"loop0(##.{sign}{size},r5)"], tmp_path)
    assert is_loop(near)
    assert packed(moved_loop(near, here, there)) == far


@pytest.mark.parametrize("distance", [-32768, -8, 4, 32764])
def test_the_target_of_a_conditional_jump_is_found(tmp_path: Path, distance: int) -> None:
    ((word,),) = assembled([f"if (!p3) jump:nt .{distance:+d}"], tmp_path)
    assert jump_target(word, 0x8000) == 0x8000 + distance


NAMED = [
    "v17 = vmem(r1+#0)",
    "v17.tmp = vmem(r1++#1); v3 = vor(v17,v18)",
    "vmem(r1+#0) = v21",
    "if (q1) vmem(r1+#0) = v22",
    "v9.w = vadd(v10.w,v11.w)",
    "v9:8.w = vadd(v11:10.w,v13:12.w)",
    "v5:4.uh = vmpy(v6.ub,v7.ub)",
    "v5:4.h += vmpy(v6.ub,r3.b)",
    "v5.w += vrmpy(v6.ub,v7.b)",
    "v5:4.w += vrmpy(v7:6.ub,r3.b,#1)",
    "v5.b = vlut32(v6.b,v7.b,r3)",
    "v5:4.h = vlut16(v6.b,v7.h,r3)",
    "v5 = valign(v6,v7,r3)",
    "v5 = vlalign(v6,v7,#3)",
    "v5.h = vasr(v6.w,v7.w,r3):sat",
    "v5.ub = vasr(v6.h,v7.h,r3):rnd:sat",
    "v5:4 = vdeal(v6,v7,r3)",
    "vshuff(v6,v7,r3)",
    "v5:4 = vcombine(v6,v7)",
    "if (p1) v5:4 = vcombine(v6,v7)",
    "if (p1) v5 = v6",
    "v5 = vmux(q1,v6,v7)",
    "v5:4 = vswap(q1,v6,v7)",
    "q1 = vcmp.gt(v6.ub,v7.ub)",
    "q1 &= vcmp.eq(v6.w,v7.w)",
    "if (q1) v5.w += v6.w",
    "v5 = vdelta(v6,v7)",
    "v5 = vrdelta(v6,v7)",
    "v5.w = vmpyo(v6.w,v7.h):<<1:sat",
    "v5.w += vmpyo(v6.w,v7.h):<<1:rnd:sat:shift",
    "v5.h = vpacke(v6.w,v7.w)",
    "v5.ub = vpack(v6.h,v7.h):sat",
    "v5:4.h = vunpack(v6.b)",
    "v5:4.h |= vunpacko(v6.b)",
    "v5 = vand(q1,r3)",
    "v5 |= vand(q1,r3)",
    "q1 = vand(v6,r3)",
    "v5.w = vinsert(r3)",
    "r1 = vextract(v6,r3)",
    "v5 = vror(v6,r3)",
    "v5.uh = vcl0(v6.uh)",
    "v5.h = vmpyi(v6.h,v7.h)",
    "v3:0.w += vrmpyz(v6.b,r3.ub)",
    "v5:4.w += vrmpy(v6.b,r3:2.ub)",
    "vtmp.w = vgather(r1,m0,v6.w).w",
    "vtmp.h = vgather(r1,m0,v7:6.w).h",
    "vscatter(r1,m0,v6.w).w = v7",
    "vscatter(r1,m0,v7:6.w).h = v8",
    "v5.w = vasl(v6.w,v7.w)",
    "v5.h += vasr(v6.h,r3)",
    "v5.b = prefixsum(q1)",
    "vwhist256",
]


def test_every_vector_that_an_instruction_names_is_found(tmp_path: Path) -> None:
    for text, words in zip(NAMED, assembled(NAMED, tmp_path), strict=True):
        found = set().union(*(named_vectors(word) for word in words))
        assert vectors_in(text) <= found, text


def vectors_in(text: str) -> set[int]:
    """The vectors of an instruction as it is written: `v3`, `v7:6`, `v3:0`."""
    found: set[int] = set()
    for high, low in re.findall(r"\bv(\d+)(?::(\d+))?\b", text):
        found |= set(range(int(low or high), int(high) + 1))
    return found
