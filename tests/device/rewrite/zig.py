"""zig's assembler: the words of instructions written as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hexconv.device.build import run_zig
from hexconv.device.rewrite.image import code_sections

CPU = "-mcpu=hexagonv66+hvxv66+hvx_length128b+zreg"


def assembled(packets: Sequence[str], work: Path) -> list[list[int]]:
    """The words of each packet.

    Args:
        packets: instructions; several of one packet are separated by a semicolon.
        work: a directory for intermediate files.
    """
    sections = code_sections(object_file(packets, work))
    (section,) = [section for section in sections if len(section.words)]
    found: list[list[int]] = []
    at = 0
    while at < len(section.words):
        found.append(list(section.packet(at).words))
        at += len(found[-1])
    return found


def object_file(packets: Sequence[str], work: Path) -> bytes:
    """An object file with these packets, the first at address 0."""
    text = "\n".join(f"{{ {packet} }}" for packet in packets)
    (work / "packets.s").write_text(text + "\n")
    target = ("-target", "hexagon-freestanding-none", CPU)
    run_zig("cc", [*target, "-c", "packets.s", "-o", "packets.o"], work)
    return (work / "packets.o").read_bytes()
