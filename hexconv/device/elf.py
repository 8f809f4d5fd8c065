"""Whether a file is a library that can be run, by its ELF header and symbols, before loading."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hexconv.device.rewrite import RewriteError, rewritten
from hexconv.errors import DeviceLibraryError, FileError, system_reason
from hexconv.nnlib.versions import LibraryVersion
from hexconv.paths import check_is_file

EM_HEXAGON = 164
ET_DYN = 3
ELF32_LITTLE_ENDIAN = b"\x01\x01"
PT_LOAD, PT_DYNAMIC = 1, 2
DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ = 4, 5, 6, 10
SYMBOL_SIZE = 16
VERSIONS: Mapping[int, LibraryVersion] = {0x60: "v60", 0x65: "v65", 0x66: "v66"}
NO_LONGER_NNLIB = 0x68
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

WHICH = (
    "give third_party/nnlib/v66/libhexagon_nn_skel.so (or v60, v65: the phone's) of a MACE checkout"
)


@dataclass(frozen=True)
class SharedObject:
    """From the header and the symbol table: architecture version, exports."""

    version: int
    exports: frozenset[str]


@dataclass(frozen=True)
class LibraryFile:
    """A Hexagon NN library that can be run.

    Args:
        version: of the DSP that it is built for.
        data: the shared object as it was read.
    """

    version: LibraryVersion
    data: bytes

    @cached_property
    def plain(self) -> bytes:
        """The shared object, rewritten to instructions that the emulator has."""
        return rewritten(self.data, counting=False)

    @cached_property
    def counting(self) -> bytes:
        """The same, with the emulator's counters right in rewritten packets; it runs slower."""
        return rewritten(self.data, counting=True)


def read_library(path: Path) -> LibraryFile:
    """A library that can be run.

    Raises:
        FileError: if the file cannot be read.
        DeviceLibraryError: if it is not a Hexagon NN library for v60, v65 or v66.
    """
    try:
        check_is_file(path)
        if path.stat().st_size > MOST_BYTES:
            raise _unusable(path, "the file is larger than any such library")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise FileError(
            "the DSP library cannot be read",
            where=str(path),
            why=system_reason(error),
            hint=WHICH,
        ) from error
    return checked_library(path, data)


def checked_library(path: Path, data: bytes) -> LibraryFile:
    """The library in a file, if the emulator can run it.

    Raises:
        DeviceError: it cannot, with the reason.
    """
    try:
        found = _parse(path, data)
        version = _version(path, found)
        missing = [name for name in NEEDED if name not in found.exports]
        if missing:
            why = f"it is not a Hexagon NN library: it has no {', '.join(missing[:3])}"
            raise _unusable(path, why)
        library = LibraryFile(version, data)
        _ = library.plain
    except (struct.error, IndexError, ValueError) as error:
        raise _unusable(path, "the file is cut short or malformed") from error
    except RewriteError as error:
        why = f"its code at {error.address:#x} cannot run in the emulator: {error.why}"
        raise _unusable(path, why) from error
    return library


def _version(path: Path, found: SharedObject) -> LibraryVersion:
    """The version of the DSP that a shared object is built for."""
    known = VERSIONS.get(found.version)
    if known is None:
        reason = "MACE's libraries are built for v60, v65 and v66"
        if found.version >= NO_LONGER_NNLIB:
            reason += "; DSPs from v68 on do not run Hexagon NN"
        raise _unusable(path, f"it is built for Hexagon v{found.version:x}: {reason}")
    return known


def _unusable(path: Path, why: str) -> DeviceLibraryError:
    return DeviceLibraryError("this library cannot be run", where=str(path), why=why, hint=WHICH)


def _parse(path: Path, data: bytes) -> SharedObject:
    if data[:4] != b"\x7fELF":
        raise _unusable(path, "it is not an ELF file")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != EM_HEXAGON:
        raise _unusable(
            path,
            f"it is not for Hexagon (ELF machine {machine}, not {EM_HEXAGON}): the library that"
            " runs on the DSP is needed, not the one for the phone's CPU",
        )
    if data[4:6] != ELF32_LITTLE_ENDIAN:
        raise _unusable(path, "it is not a 32-bit, little-endian ELF file, as Hexagon's are")
    if kind != ET_DYN:
        raise _unusable(path, "it is not a shared object")
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
