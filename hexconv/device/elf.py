"""Is this file a library that can be run? Told by its ELF header and symbols, before loading."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from hexconv.errors import DeviceError, FileError

EM_HEXAGON = 164
ET_DYN = 3
PT_LOAD, PT_DYNAMIC = 1, 2
DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ = 4, 5, 6, 10
SYMBOL_SIZE = 16
V60 = 0x60
MOST_BYTES = 256 << 20

NEEDED = (
    "hexagon_nn_config",
    "hexagon_nn_version",
    "hexagon_nn_init",
    "hexagon_nn_set_graph_option",
    "hexagon_nn_append_const_node",
    "hexagon_nn_append_node",
    "hexagon_nn_prepare",
    "hexagon_nn_execute_new",
    "hexagon_nn_getlog",
    "hexagon_nn_snpprint",
    "hexagon_nn_op_name_to_id",
    "hexagon_nn_op_id_to_name",
    "hexagon_nn_get_nodetype",
    "hexagon_nn_get_perfinfo",
    "hexagon_nn_reset_perfinfo",
)
"""The functions that csrc/nnlib.c calls."""

WHICH = "give third_party/nnlib/v60/libhexagon_nn_skel.so of a MACE checkout"


@dataclass(frozen=True)
class SharedObject:
    """What the header and the symbol table say: architecture version, exports."""

    version: int
    exports: frozenset[str]


def read_library(path: Path) -> bytes:
    """The bytes of a library that can be run.

    Raises:
        FileError: if the file cannot be read.
        DeviceError: if it is not a Hexagon NN library for v60.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refused(path, "the file is larger than any such library")
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            "the DSP library cannot be read", where=str(path), why=str(error), hint=WHICH
        ) from error
    check_library(path, data)
    return data


def check_library(path: Path, data: bytes) -> None:
    """Refuse, with the reason, what is not a Hexagon NN library for v60.

    Raises:
        DeviceError: with that reason.
    """
    try:
        found = _parse(path, data)
    except (struct.error, IndexError, ValueError) as error:
        raise _refused(path, "the file is cut short or malformed") from error
    if found.version != V60:
        raise _refused(
            path,
            f"it is built for Hexagon v{found.version:x}: no released qemu runs all instructions"
            " of v65 and v66, and qemu 7.2 computes some of them wrongly without a word",
        )
    missing = [name for name in NEEDED if name not in found.exports]
    if missing:
        raise _refused(path, f"it is not a Hexagon NN library: it has no {', '.join(missing[:3])}")


def _refused(path: Path, why: str) -> DeviceError:
    return DeviceError("this library cannot be run", where=str(path), why=why, hint=WHICH)


def _parse(path: Path, data: bytes) -> SharedObject:
    if data[:4] != b"\x7fELF":
        raise _refused(path, "it is not an ELF file")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if data[4:6] != b"\x01\x01" or machine != EM_HEXAGON:
        raise _refused(
            path,
            f"it is not for Hexagon (ELF machine {machine}, not {EM_HEXAGON}): the library that"
            " runs on the DSP is meant, not the one for the phone's CPU",
        )
    if kind != ET_DYN:
        raise _refused(path, "it is not a shared object")
    (flags,) = struct.unpack_from("<I", data, 36)
    return SharedObject(flags & 0xFF, _exports(data))


def _exports(data: bytes) -> frozenset[str]:
    program_offset, entry_size, count = _program_headers(data)
    loads: list[tuple[int, int, int]] = []
    dynamic: dict[int, int] = {}
    for index in range(count):
        kind, offset, address, _, size = struct.unpack_from(
            "<5I", data, program_offset + index * entry_size
        )
        if kind == PT_LOAD:
            loads.append((address, offset, size))
        if kind == PT_DYNAMIC:
            dynamic = dict(struct.iter_unpack("<2I", data[offset : offset + size // 8 * 8]))

    def at(address: int) -> int:
        for start, offset, size in loads:
            if start <= address < start + size:
                return offset + address - start
        raise ValueError("an address outside the file's segments")

    symbols, names = at(dynamic.get(DT_SYMTAB, 0)), at(dynamic.get(DT_STRTAB, 0))
    (symbol_count,) = struct.unpack_from("<I", data, at(dynamic.get(DT_HASH, 0)) + 4)
    text = data[names : names + dynamic.get(DT_STRSZ, 0)]
    table = data[symbols : symbols + symbol_count * SYMBOL_SIZE]
    exports = set()
    for name, _, _, _, _, section in struct.iter_unpack("<3I2BH", table):
        if section:
            exports.add(text[name : text.index(b"\0", name)].decode(errors="replace"))
    return frozenset(exports)


def _program_headers(data: bytes) -> tuple[int, int, int]:
    (offset,) = struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 42)
    return offset, size, count
