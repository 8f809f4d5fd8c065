"""Instruction forms: those that are replaced, and those that prevent a packet from being moved.

Encodings are those of the Hexagon V66 and HVX Programmer's Reference Manuals; tests compare each
with the assembler. A form is a mask and the value that the masked word has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexconv.device.rewrite.packet import DUPLEX, PARSE


@dataclass(frozen=True)
class Form:
    """Instructions that differ in their operands only.

    Args:
        name: as the assembler writes them.
        mask: the bits that identify a word.
        value: those bits.
    """

    name: str
    mask: int
    value: int

    def matches(self, word: int) -> bool:
        """Whether a word is of this form (a duplex never is)."""
        return word & self.mask == self.value and word & PARSE != DUPLEX

    def among(self, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which words are of this form."""
        found: NDArray[np.bool_] = (words & self.mask == self.value) & (words & PARSE != DUPLEX)
        return found


PAIR_PRODUCT = Form("Vxx.w += vrmpy(Vu.b,Rtt.ub)", 0xFFE020E0, 0x19A02000)
PAIR_PRODUCT_UNSIGNED = Form("Vxx.uw += vrmpy(Vu.ub,Rtt.ub)", 0xFFE020E0, 0x19A020E0)
Z_PRODUCT = Form("Vyyyy.w += vrmpyz(Vu.b,Rt.ub)", 0xFFF820E0, 0x19D02020)
Z_PRODUCT_STEPPING = Form("Vyyyy.w += vrmpyz(Vu.b,Rx.ub++)", 0xFFF820E0, 0x19D82020)
Z_LOAD = Form("z = vmem(Rt+#s4)", 0xFFE000FF, 0x2C000000)
Z_LOAD_IF = Form("if (Pv) z = vmem(Rt+#s4)", 0xFFE000FF, 0x2C800000)
MEMCPY = Form("memcpy(Rs,Rt,Mu)", 0xFFE000FF, 0x92000040)

PAIR_PRODUCTS = (PAIR_PRODUCT, PAIR_PRODUCT_UNSIGNED)
Z_PRODUCTS = (Z_PRODUCT, Z_PRODUCT_STEPPING)
Z_LOADS = (Z_LOAD, Z_LOAD_IF)
MISSING = (*PAIR_PRODUCTS, *Z_PRODUCTS, *Z_LOADS, MEMCPY)
"""What no released qemu has (checked: 7.2 to 11.1)."""

LOADS_IF = tuple(
    Form(f"if (Pv) Vd.tmp or Vd.cur = vmem({address})", 0xFFA00080, top << 24 | 0x00800080)
    for top, address in ((0x28, "Rt+#s4"), (0x29, "Rx++#s3"), (0x2B, "Rx++Mu"))
)
"""Computed incorrectly by qemu 7.2 where Pv is false: Vd must keep its value, but changes."""

NOT_REPLACED = (
    Form("Vdd = vrmpy(Vu,Rtt), which does not accumulate", 0xFFE020C0, 0x19C00080),
    Form("vrmpyz, vr8mpyz or vr16mpyz in another form", 0xFFC02000, 0x19C02000),
    Form("vrmpyz that does not accumulate", 0xFFE02000, 0x19E00000),
    Form("z = vmem(Rx++#s3)", 0xFF000000, 0x2D000000),
    Form("Vd = zextract(Rt)", 0xFFE03FE0, 0x19A00120),
)
"""The same families, in forms that MACE's libraries do not use."""

CUR, TMP = 1, 2
"""Kinds of vector load whose value the packet uses at once: kept in Vd, and used only."""


def any_of(forms: tuple[Form, ...], word: int) -> bool:
    """Whether a word is of one of the forms."""
    return any(form.matches(word) for form in forms)


def vector_load(word: int, kind: int) -> bool:
    """Whether it is `Vd.cur = vmem(...)` (kind CUR) or `Vd.tmp` (TMP)."""
    loads = word >> 24 in (0x28, 0x29, 0x2B) and not word >> 21 & 1
    return loads and word >> 5 & 7 == kind and word & PARSE != DUPLEX
