"""Packets with a product by a register pair (v65) or by the Z buffer (v66), in plain products.

The rest of the packet executes first, then its products, from the operands saved before that. A
value that the packet loads only for itself (`Vd.tmp`) is loaded into Vd, which is restored after.

The Z buffer is not modeled. A kernel loads it from the activations (`z = vmem`, here left out) and
names each word by its address; so the words are read from memory. With c = 32 bytes, or 64 where
bit 0 of Rt is set (columns two apart), they are the four words that end at Rt - 4: at Rt - 4 - 3c,
Rt - 4 - 2c, Rt - 4 - c and Rt - 4 (Rt without its two lowest bits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexconv.device.rewrite.assembler import (
    add,
    add_constant,
    and_constant,
    dot_unsigned_signed,
    dot_unsigned_word,
    load_pair,
    load_vector,
    load_word,
    set_word,
    shift_left,
    splat,
    store_pair,
    store_word,
    subtract_product,
)
from hexconv.device.rewrite.forms import (
    CUR,
    PAIR_PRODUCT_UNSIGNED,
    PAIR_PRODUCTS,
    TMP,
    Z_LOADS,
    Z_PRODUCT_STEPPING,
    Z_PRODUCTS,
    any_of,
    vector_load,
)
from hexconv.device.rewrite.movable import is_loop, moved_loop
from hexconv.device.rewrite.packet import MOST_WORDS, WORD
from hexconv.device.rewrite.stub import Kept, Stub, WordSlot

LOAD_KIND = 7 << 5
MULTIPLIERS = (WordSlot.FIRST, WordSlot.SECOND)
COLUMN_BYTES = 32


class NotReplaceable(Exception):
    """A packet that no stub can replace, and why."""


@dataclass(frozen=True)
class Product:
    """One product of a packet.

    Args:
        word: the instruction.
        multiplier: where the pair, or the address in the Z buffer, is saved.
        old: its vector as it was before the packet; None if the packet loads it.
    """

    word: int
    multiplier: WordSlot
    old: Kept | None = None

    @property
    def by_z(self) -> bool:
        """Whether it is by the Z buffer."""
        return any_of(Z_PRODUCTS, self.word)

    @property
    def vector(self) -> int:
        """The register that it multiplies."""
        return self.word >> 8 & 31

    @property
    def register(self) -> int:
        """The scalar register, or the lower one of the pair, that it multiplies by."""
        return self.word >> 16 & (7 if self.by_z else 30)

    @property
    def sums(self) -> range:
        """The registers that it adds to."""
        count = 4 if self.by_z else 2
        first = self.word & 31 & -count
        return range(first, first + count)


def multiply(stub: Stub) -> None:
    """Emit a packet with products, or with loads of the Z buffer, without those.

    Raises:
        NotReplaceable: it contains more than a stub can save.
    """
    packet = stub.packet
    words = [word for word in packet.words if any_of((*PAIR_PRODUCTS, *Z_PRODUCTS), word)]
    rest = [word for word in packet.words if word not in words and not any_of(Z_LOADS, word)]
    temporary = [word & 31 for word in rest if vector_load(word, TMP)]
    loaded = [*temporary, *(word & 31 for word in rest if vector_load(word, CUR))]
    if len(temporary) > 1 or len(words) > len(MULTIPLIERS):
        raise NotReplaceable("it loads or multiplies more than two times")
    if not words:
        _execute(stub, rest)
        return
    overwritten = [(v, stub.keep(v)) for v in temporary]
    products = [
        _kept(stub, word, slot, loaded) for word, slot in zip(words, MULTIPLIERS, strict=False)
    ]
    _execute(stub, [_into_register(word) for word in rest])
    _products(stub, products)
    for v, kept in overwritten:
        stub.put_back(v, kept)


def _into_register(word: int) -> int:
    """`Vd.tmp = ...` as `Vd.cur = ...`, any other word as it is."""
    return word & ~LOAD_KIND | CUR << 5 if vector_load(word, TMP) else word


def _execute(stub: Stub, rest: Sequence[int]) -> None:
    """The rest of a packet, which sets up its loop as from its own address."""
    words: list[int] = []
    for word in rest:
        words += moved_loop(word, stub.packet.at, stub.here) if is_loop(word) else [word]
    if len(words) > MOST_WORDS:
        raise NotReplaceable("there is no space for the longer distance of its loop")
    if words:
        stub.emit(*words)


def _kept(stub: Stub, word: int, slot: WordSlot, loaded: Sequence[int]) -> Product:
    """A product, whose operands are saved where the rest of its packet may overwrite them."""
    product = Product(word, slot)
    store = store_word if product.by_z else store_pair
    stub.emit(store(product.register, slot))
    if product.vector in loaded:
        return product
    return replace(product, old=stub.keep(product.vector))


def _products(stub: Stub, products: Sequence[Product]) -> None:
    """All products of a packet, after its rest."""
    taken = [v for product in products for v in (*product.sums, product.vector)]
    for product in products:
        if Z_PRODUCT_STEPPING.matches(product.word):
            stub.emit(add_constant(product.register, product.register, WORD))
    scratch, own = stub.borrow(taken)
    stub.emit(store_pair(0, WordSlot.R0_R1))
    for product in products:
        vector, back = _vector(stub, product, [*taken, scratch])
        if product.by_z:
            _by_z(stub, product, vector, scratch)
        else:
            _by_pair(stub, product, vector, scratch)
        if back is not None:
            stub.put_back(vector, back)
    stub.emit(load_pair(0, WordSlot.R0_R1))
    if own is not None:
        stub.put_back(scratch, own)


def _vector(stub: Stub, product: Product, taken: Sequence[int]) -> tuple[int, Kept | None]:
    """A register with what a product multiplies; and what to restore there."""
    if product.old is None:
        return product.vector, None
    if product.old.register is not None:
        return product.old.register, None
    register, own = stub.borrow(taken)
    stub.emit(load_vector(register, product.old.slot))
    return register, own


def _by_pair(stub: Stub, product: Product, vector: int, scratch: int) -> None:
    """The vector by the lower word of the pair, and by the higher; uses r0 and r1."""
    stub.emit(load_pair(0, product.multiplier))
    for r, total in enumerate(product.sums):
        if PAIR_PRODUCT_UNSIGNED.matches(product.word):
            stub.emit(dot_unsigned_word(total, vector, r))
        else:
            stub.emit(splat(scratch, r))
            stub.emit(dot_unsigned_signed(total, scratch, vector))


def _by_z(stub: Stub, product: Product, vector: int, scratch: int) -> None:
    """The vector by four words of the Z buffer; uses r0 and r1, and r2 which it restores."""
    address, step, value = 0, 1, 2
    stub.emit(store_word(value, WordSlot.R2_R3))
    stub.emit(load_word(address, product.multiplier))
    stub.emit(and_constant(value, address, 1), set_word(step, COLUMN_BYTES))
    stub.emit(shift_left(step, step, value), and_constant(address, address, -4))
    stub.emit(add_constant(address, address, -4))
    stub.emit(subtract_product(address, step, len(product.sums) - 1))
    for total in product.sums:
        stub.emit(load_word(value, 0, address))
        stub.emit(splat(scratch, value), add(address, address, step))
        stub.emit(dot_unsigned_signed(total, scratch, vector))
    stub.emit(load_word(value, WordSlot.R2_R3))
