"""Which files are accepted as a library, and the errors for the others."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from hexconv.device import Library
from hexconv.device.elf import NEEDED, checked_library
from hexconv.errors import ConfigError, DeviceError, FileError

MACHINE_AT, FLAGS_AT, TYPE_AT = 18, 36, 16


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


@pytest.mark.parametrize("version", ["v60", "v65", "v66"])
def test_the_version_is_that_of_the_files_architecture(fake_path: Path, version: str) -> None:
    data = patched(fake_path.read_bytes(), FLAGS_AT, "<I", int(version[1:], 16))
    assert checked_library(fake_path, data).version == version


@pytest.mark.parametrize("version", [0x62, 0x68, 0x73, 0x05])
def test_other_versions_are_rejected_with_the_reason(fake_path: Path, version: int) -> None:
    data = patched(fake_path.read_bytes(), FLAGS_AT, "<I", version)
    with pytest.raises(DeviceError, match=f"Hexagon v{version:x}: MACE's libraries") as caught:
        checked_library(fake_path, data)
    assert ("from v68 on do not run" in caught.value.why) == (version >= 0x68)


def test_the_phones_own_libraries_are_distinguished(fake_path: Path) -> None:
    data = patched(fake_path.read_bytes(), MACHINE_AT, "<H", 183)
    with pytest.raises(DeviceError, match="not for Hexagon"):
        checked_library(fake_path, data)
    with pytest.raises(DeviceError, match="not for Hexagon"):
        Library(Path(sys.executable).resolve())


def test_a_file_of_64_bits_is_rejected_for_that(fake_path: Path) -> None:
    with pytest.raises(DeviceError, match="not a 32-bit, little-endian ELF file"):
        checked_library(fake_path, patched(fake_path.read_bytes(), 4, "B", 2))


def test_a_program_is_no_shared_object(fake_path: Path) -> None:
    with pytest.raises(DeviceError, match="not a shared object"):
        checked_library(fake_path, patched(fake_path.read_bytes(), TYPE_AT, "<H", 2))


def test_a_hexagon_library_without_the_functions_is_rejected(fake_path: Path) -> None:
    data = fake_path.read_bytes()
    for name in NEEDED[:4]:
        data = data.replace(name.encode() + b"\0", b"x" * len(name) + b"\0")
    with pytest.raises(DeviceError, match=f"not a Hexagon NN library: it has no {NEEDED[0]}"):
        checked_library(fake_path, data)


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF", b"\x7fELF" + bytes(60)])
def test_what_is_no_elf_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(content)
    with pytest.raises(DeviceError, match="cannot be run"):
        Library(path)


def test_a_file_cut_short_anywhere_is_rejected(fake_path: Path) -> None:
    data = fake_path.read_bytes()
    for length in range(0, len(data) // 2, 97):
        with pytest.raises(DeviceError):
            checked_library(fake_path, data[:length])


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.so", tmp_path):
        with pytest.raises(FileError, match=str(path)):
            Library(path)


def test_without_any_library_the_user_learns_where_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HEXCONV_LIBRARY", raising=False)
    with pytest.raises(ConfigError, match=r"third_party/nnlib/v66/libhexagon_nn_skel\.so"):
        Library()


def test_the_environment_names_the_library(
    fake_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEXCONV_LIBRARY", str(fake_path))
    assert Library().path == fake_path


def test_a_folder_in_place_of_the_library_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        Library(tmp_path)
    assert (caught.value.where, caught.value.why) == (str(tmp_path), "Is a directory")


def test_a_file_that_is_no_library_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "model.so").write_bytes(b"weights")
    with pytest.raises(DeviceError, match="not an ELF file") as caught:
        Library(tmp_path / "model.so")
    assert caught.value.exit_code == 2
