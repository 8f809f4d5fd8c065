"""MACE's range file: one line `tensor@@min,max` for each tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from hexconv.argument_types import RANGES_BY_NAME, checks_types
from hexconv.errors import FileError, RangeError
from hexconv.files import read_bytes, write_files

SEPARATOR = "@@"


@checks_types()
def read_ranges(path: str | Path) -> dict[str, tuple[float, float]]:
    """Ranges by tensor name, in the file's order. Empty lines are skipped.

    Raises:
        FileError: the file cannot be read or is not UTF-8.
        RangeError: a line is malformed, not finite, min over max, or names a tensor again.
    """
    content = read_bytes(Path(path), "range file")
    ranges: dict[str, tuple[float, float]] = {}
    seen: dict[str, int] = {}
    for number, raw in enumerate(content.split(b"\n"), 1):
        where = f"{path}, line {number}"
        try:
            line = raw.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise FileError("the range file is not UTF-8", where=where, why=str(error)) from None
        if not line.strip():
            continue
        name, bounds = _parse(line, where)
        if name in ranges:
            raise RangeError(
                f"tensor '{name}' has a range already", where=where, why=f"in line {seen[name]}"
            )
        ranges[name], seen[name] = bounds, number
    return ranges


def _parse(line: str, where: str) -> tuple[str, tuple[float, float]]:
    name, separator, numbers = line.rpartition(SEPARATOR)
    parts = numbers.split(",")
    if not separator or not name or len(parts) != 2:
        raise RangeError(f"'{line}' is not of the form tensor@@min,max", where=where)
    try:
        low, high = float(parts[0]), float(parts[1])
    except ValueError:
        raise RangeError(
            f"'{numbers}' is not two numbers", where=where, hint="write tensor@@min,max"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RangeError(f"the range {low},{high} of '{name}' is not finite", where=where)
    if low > high:
        raise RangeError(f"the minimum {low} of '{name}' is above the maximum {high}", where=where)
    return name, (low, high)


@checks_types(ranges=RANGES_BY_NAME)
def format_ranges(ranges: Mapping[str, tuple[float, float]]) -> str:
    """The text of a range file; floats in the shortest form that reads back exactly.

    Raises:
        RangeError: a tensor name contains a line break, which the format cannot express.
    """
    for name in ranges:
        if "\n" in name or "\r" in name:
            raise RangeError(f"tensor name {name!r} contains a line break")
    return "".join(
        f"{name}{SEPARATOR}{float(low)!r},{float(high)!r}\n" for name, (low, high) in ranges.items()
    )


@checks_types(ranges=RANGES_BY_NAME)
def write_ranges(path: str | Path, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Write a range file, whole or not at all.

    Raises:
        FileError: the file cannot be written.
    """
    write_files({Path(path): format_ranges(ranges).encode()})
