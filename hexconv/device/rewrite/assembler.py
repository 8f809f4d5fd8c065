"""The instructions that stubs are made of, as words without parse bits.

Encodings are those of the Hexagon V66 and HVX Programmer's Reference Manuals, and tests compare
each with the assembler. Control registers c20 to c22, for which the assembler has no name, are the
emulator's: packets, instructions and HVX instructions executed so far.
"""

from __future__ import annotations

from hexconv.device.rewrite.packet import WORD

SP = 29
PREDICATES = 4
"""Control register p3:0, all four predicates."""

VECTOR_BYTES = 128


def scattered(number: int, *fields: tuple[int, int]) -> int:
    """The bits of `number`, lowest first, in fields of (width, lowest bit of the word)."""
    word = 0
    for width, low in fields:
        word |= (number & (1 << width) - 1) << low
        number >>= width
    return word


def gathered(word: int, *fields: tuple[int, int]) -> int:
    """The signed number whose bits, lowest first, are in fields of (width, lowest bit)."""
    number = shift = 0
    for width, low in fields:
        number |= (word >> low & (1 << width) - 1) << shift
        shift += width
    return number - (1 << shift) if number >> (shift - 1) else number


JUMP_FIELDS = ((13, 1), (9, 16))
JUMP_IF_FIELDS = ((7, 1), (1, 13), (5, 16), (2, 22))
LOOP_FIELDS = ((2, 3), (5, 8))
EXTENDER_FIELDS = ((14, 0), (12, 16))
IMMEDIATE_11 = ((8, 0), (1, 13), (2, 25))  # of a store
IMMEDIATE_11_LOAD = ((9, 5), (2, 25))


def jump(here: int, there: int) -> int:
    """`jump there`, in a packet at `here`.

    Raises:
        OverflowError: the distance is more than 8 MiB.
    """
    words = (there - here) // WORD
    if not -(1 << 21) <= words < 1 << 21:
        raise OverflowError("the code is larger than a jump can cross")
    return 0x58000000 | scattered(words, *JUMP_FIELDS)


def jump_if(predicate: int, negated: bool, distance: int) -> int:
    """`if (Pu) jump`, or `if (!Pu) jump`, over `distance` bytes from the packet's start."""
    word = 0x5C000000 | negated << 21 | predicate << 8
    return word | scattered(distance // WORD, *JUMP_IF_FIELDS)


def jump_if_not_zero(r: int, distance: int) -> int:
    """`if (Rs!=#0) jump`, over `distance` bytes from the packet's start."""
    fields = ((11, 1), (1, 13), (1, 21))
    return 0x61000000 | r << 16 | scattered(distance // WORD, *fields)


def extender(value: int) -> int:
    """The upper 26 bits of the constant of the instruction after it."""
    return scattered(value >> 6, *EXTENDER_FIELDS)


def load_vector(v: int, slot: int) -> int:
    """`Vd = vmemu(sp+#slot)`, slot in vectors, -8 to 7."""
    return 0x280000E0 | SP << 16 | scattered(slot, (3, 8), (1, 13)) | v


def store_vector(v: int, slot: int) -> int:
    """`vmemu(sp+#slot) = Vs`, slot in vectors, -8 to 7."""
    return 0x282000E0 | SP << 16 | scattered(slot, (3, 8), (1, 13)) | v


def load_word(r: int, offset: int, base: int = SP) -> int:
    """`Rd = memw(Rs+#offset)`."""
    return 0x91800000 | base << 16 | scattered(offset // 4, *IMMEDIATE_11_LOAD) | r


def load_pair(r: int, offset: int) -> int:
    """`Rdd = memd(sp+#offset)`; `r` is the lower register."""
    return 0x91C00000 | SP << 16 | scattered(offset // 8, *IMMEDIATE_11_LOAD) | r


def store_word(r: int, offset: int) -> int:
    """`memw(sp+#offset) = Rt`."""
    return 0xA1800000 | SP << 16 | r << 8 | scattered(offset // 4, *IMMEDIATE_11)


def store_pair(r: int, offset: int) -> int:
    """`memd(sp+#offset) = Rtt`; `r` is the lower register."""
    return 0xA1C00000 | SP << 16 | r << 8 | scattered(offset // 8, *IMMEDIATE_11)


def load_byte_stepping(r: int, address: int) -> int:
    """`Rd = memub(Rx++#1)`."""
    return 0x9B200020 | address << 16 | r


def store_byte_stepping(r: int, address: int) -> int:
    """`memb(Rx++#1) = Rt`."""
    return 0xAB000008 | address << 16 | r << 8


def set_word(r: int, value: int) -> int:
    """`Rd = #value`, 16 bits."""
    return 0x78000000 | scattered(value, (9, 5), (5, 16), (2, 22)) | r


def add_constant(d: int, s: int, value: int) -> int:
    """`Rd = add(Rs,#value)`, 16 bits."""
    return 0xB0000000 | s << 16 | scattered(value, (9, 5), (7, 21)) | d


def and_constant(d: int, s: int, value: int) -> int:
    """`Rd = and(Rs,#value)`, 10 bits."""
    return 0x76000000 | s << 16 | scattered(value, (9, 5), (1, 21)) | d


def add(d: int, s: int, t: int) -> int:
    """`Rd = add(Rs,Rt)`."""
    return 0xF3000000 | s << 16 | t << 8 | d


def subtract_product(x: int, s: int, factor: int) -> int:
    """`Rx -= mpyi(Rs,#factor)`, 8 bits."""
    return 0xE1800000 | s << 16 | factor << 5 | x


def shift_left(d: int, s: int, t: int) -> int:
    """`Rd = asl(Rs,Rt)`."""
    return 0xC6400080 | s << 16 | t << 8 | d


def splat(v: int, r: int) -> int:
    """`Vd = vsplat(Rt)`."""
    return 0x19A00020 | r << 16 | v


def move_vector(d: int, u: int) -> int:
    """`Vd = Vu`."""
    return 0x1E0320E0 | u << 8 | d


def dot_unsigned_signed(x: int, u: int, v: int) -> int:
    """`Vx.w += vrmpy(Vu.ub,Vv.b)`."""
    return 0x1C002040 | v << 16 | u << 8 | x


def dot_unsigned_word(x: int, u: int, r: int) -> int:
    """`Vx.uw += vrmpy(Vu.ub,Rt.ub)`."""
    return 0x19002080 | r << 16 | u << 8 | x


def from_control(r: int, c: int) -> int:
    """`Rd = Cs`."""
    return 0x6A000000 | c << 16 | r


def to_control(c: int, r: int) -> int:
    """`Cd = Rs`."""
    return 0x62200000 | r << 16 | c


def pair_from_control(r: int, c: int) -> int:
    """`Rdd = Css`; both are the lower register."""
    return 0x68000000 | c << 16 | r


def pair_to_control(c: int, r: int) -> int:
    """`Cdd = Rss`; both are the lower register."""
    return 0x63200000 | r << 16 | c


def no_operation() -> int:
    """`nop`."""
    return 0x7F000000
