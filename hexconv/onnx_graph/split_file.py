"""Large tensors of an ONNX file as external data of that same file.

Parsing a file of 575 MB takes three times its size of memory: its bytes, protobuf's copy, and the
array. So the bytes of large initializers are left in the file: what is parsed names the place
where they are, as ONNX names external data.

Source of the format: onnx.proto (ModelProto.graph = 7, GraphProto.initializer = 5,
TensorProto.raw_data = 9) and protobuf's encoding: a key is field << 3 | wire type.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx

from hexconv.paths import check_is_file

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}
LARGE = 1 << 20
"""Bytes from which on a tensor is left in the file."""


class Field(NamedTuple):
    """One field of a message: its number, where it starts, and where its content is."""

    number: int
    start: int
    content: int
    end: int


def read_split(path: Path) -> bytes:
    """An ONNX file's bytes, without those of large initializers.

    A file that is no protobuf is returned as it is.

    Raises:
        OSError: it cannot be read.
    """
    check_is_file(path)
    with path.open("rb") as file:
        if path.stat().st_size < 2 * LARGE:
            return file.read()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return b"".join(_model(data, path.name))
            except (ValueError, IndexError):
                file.seek(0)
                return file.read()


def _model(data: mmap.mmap, name: str) -> Iterator[bytes]:
    for field in _fields(data, 0, len(data)):
        if field.number == GRAPH and field.content > field.start + 1:
            yield from _nested(GRAPH, b"".join(_graph(data, field, name)))
        else:
            yield data[field.start : field.end]


def _graph(data: mmap.mmap, graph: Field, name: str) -> Iterator[bytes]:
    for field in _fields(data, graph.content, graph.end):
        if field.number == INITIALIZER and field.end - field.content >= LARGE:
            yield from _nested(INITIALIZER, b"".join(_tensor(data, field, name)))
        else:
            yield data[field.start : field.end]


def _tensor(data: mmap.mmap, tensor: Field, name: str) -> Iterator[bytes]:
    for field in _fields(data, tensor.content, tensor.end):
        size = field.end - field.content
        if field.number == RAW_DATA and size >= LARGE:
            yield _reference(name, field.content, size)
        else:
            yield data[field.start : field.end]


def _reference(name: str, offset: int, size: int) -> bytes:
    """The fields of a TensorProto that name the place of its data."""
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return bytes(tensor.SerializeToString())


def _nested(number: int, content: bytes) -> Iterator[bytes]:
    yield bytes([number << 3 | BYTES]) + _encoded(len(content))
    yield content


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[Field]:
    """The fields of a message.

    Raises:
        ValueError: these are no fields.
    """
    while position < end:
        start = position
        key, position = _varint(data, position)
        kind = key & 7
        if kind == VARINT:
            _, stop = _varint(data, position)
        elif kind == BYTES:
            size, position = _varint(data, position)
            stop = position + size
        elif kind in SIZES:
            stop = position + SIZES[kind]
        else:
            raise ValueError("groups are not used by ONNX")
        if stop > end:
            raise ValueError("a field ends behind its message")
        yield Field(key >> 3, start, position, stop)
        position = stop


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
