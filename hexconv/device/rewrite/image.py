"""The shared object around the code: where its code is, and an additional segment at its end."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexconv.device.rewrite.packet import DUPLEX, END, MOST_WORDS, PARSE, WORD, Packet

PT_LOAD, READ_EXECUTE = 1, 5
SHT_PROGBITS, SHT_SYMTAB, SHT_DYNSYM, SHF_EXECINSTR = 1, 2, 11, 4
STT_FUNC = 2
SYMBOL = struct.Struct("<3I2BH")
PROGRAM_OFFSET_AT, SECTION_OFFSET_AT, PROGRAM_SIZES_AT, SECTION_SIZES_AT = 28, 32, 42, 46
HEADER = "<8I"
PAGE = 0x10000
"""The emulator's pages (64 KiB up to qemu 10): code and data must not share one."""


@dataclass(frozen=True, eq=False)
class Code:
    """A section of code.

    Args:
        address: of its first word.
        offset: of that in the file.
        words: all of it.
    """

    address: int
    offset: int
    words: NDArray[np.uint32]

    def packet(self, index: int) -> Packet:
        """The packet that contains word `index`."""
        first = index
        while first and not self._ends(first - 1) and index - first < MOST_WORDS:
            first -= 1
        last = index
        while not self._ends(last) and last + 1 < len(self.words) and last - first < MOST_WORDS - 1:
            last += 1
        words = tuple(int(word) for word in self.words[first : last + 1])
        return Packet(self.address + WORD * first, words)

    def between(self, start: int, end: int) -> NDArray[np.uint32]:
        """The words from one address up to another."""
        return self.words[(start - self.address) // WORD : (end - self.address) // WORD]

    def _ends(self, index: int) -> bool:
        return int(self.words[index]) & PARSE in (END, DUPLEX)


def code_sections(data: bytes) -> Iterator[Code]:
    """The sections of a shared object that contain code."""
    for kind, flags, address, offset, length in _sections(data):
        if kind == SHT_PROGBITS and flags & SHF_EXECINSTR:
            yield Code(address, offset, np.frombuffer(data, "<u4", length // WORD, offset))


def _sections(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Kind, flags, address, offset and size of each section."""
    (table,) = struct.unpack_from("<I", data, SECTION_OFFSET_AT)
    size, count = struct.unpack_from("<HH", data, SECTION_SIZES_AT)
    for number in range(count):
        _, *section = struct.unpack_from("<6I", data, table + number * size)
        yield tuple(section)


class Functions:
    """Where the functions of a shared object begin and end, according to its symbols."""

    def __init__(self, data: bytes) -> None:
        self._sizes = {address: size for address, size in _symbols(data) if size}
        self._starts = sorted(self._sizes)

    def around(self, address: int) -> tuple[int, int] | None:
        """Start and end of the function that an address is in."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start = self._starts[index]
        end = start + self._sizes[start]
        return (start, end) if address < end else None


def _symbols(data: bytes) -> Iterator[tuple[int, int]]:
    """Address and size of each function that is defined here."""
    for kind, _, _, offset, size in _sections(data):
        if kind not in (SHT_SYMTAB, SHT_DYNSYM):
            continue
        table = data[offset : offset + size // SYMBOL.size * SYMBOL.size]
        for _, address, length, info, _, section in SYMBOL.iter_unpack(table):
            if info & 15 == STT_FUNC and section:
                yield address, length


def program_headers(data: bytes) -> list[tuple[int, ...]]:
    """The program headers: kind, offset, address, physical address, sizes, flags, alignment."""
    (table,) = struct.unpack_from("<I", data, PROGRAM_OFFSET_AT)
    size, count = struct.unpack_from("<HH", data, PROGRAM_SIZES_AT)
    return [struct.unpack_from(HEADER, data, table + number * size) for number in range(count)]


def first_free(data: bytes) -> int:
    """The first page-aligned address after all segments."""
    ends = [header[2] + header[5] for header in program_headers(data) if header[0] == PT_LOAD]
    return _page_up(max(ends, default=0))


def with_segment(data: bytes, code: Sequence[int]) -> bytes:
    """The shared object with `code` as an additional segment at `first_free`.

    The program headers move to the end of the file, where there is space for one more.
    """
    address, offset = first_free(data), _page_up(len(data))
    raw = np.array(code, "<u4").tobytes()
    size = len(raw)
    segment = (PT_LOAD, offset, address, address, size, size, READ_EXECUTE, PAGE)
    headers = [*program_headers(data), segment]
    image = bytearray(data) + bytes(offset - len(data)) + raw
    struct.pack_into("<I", image, PROGRAM_OFFSET_AT, len(image))
    struct.pack_into("<HH", image, PROGRAM_SIZES_AT, struct.calcsize(HEADER), len(headers))
    return bytes(image) + b"".join(struct.pack(HEADER, *header) for header in headers)


def _page_up(number: int) -> int:
    return -(-number // PAGE) * PAGE
