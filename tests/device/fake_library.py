"""The fake DSP library, compiled from fake/ with zig, and graphs of its ops."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hexconv.device.build import run_zig
from hexconv.files import cache_directory
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Graph, Interface, Node, Output, Ref
from hexconv.nnlib.layout import Layout

SOURCES = Path(__file__).with_name("fake")
COMPILE = (
    *("-target", "hexagon-freestanding-none", "-mcpu=hexagonv66+hvxv66+hvx_length128b+zreg"),
    *("-fPIC", "-Oz", "-Wall", "-Wextra"),  # z: calls the register-saving helpers
)
LINK = ("-shared", "--hash-style=sysv", "-init=fake_init")
SCALAR = Output((1, 1, 1, 1), "float32")
SHAPE = (2, 3, 5)


def fake_library(work: Path) -> Path:
    """Compile it, or take the one compiled from the same sources before."""
    digest = hashlib.sha256(repr((COMPILE, LINK)).encode())
    sources = sorted(SOURCES.iterdir())
    for path in sources:
        digest.update(path.read_bytes())
    kept = cache_directory() / f"fake-{digest.hexdigest()[:20]}.so"
    if not kept.exists():
        compile_library(work / "fake.so", work)
        kept.parent.mkdir(parents=True, exist_ok=True)
        (work / "fake.so").replace(kept)
    return kept


def compile_library(target: Path, work: Path) -> None:
    """Bare-metal code in a shared object, as the real library is."""
    objects = []
    for path in sorted(SOURCES.iterdir()):
        if path.suffix in (".c", ".S"):
            objects.append(str(work / f"{path.name}.o"))
            run_zig("cc", [*COMPILE, "-c", str(path), "-o", objects[-1]], work)
    run_zig("ld.lld", [*LINK, *objects, "-o", str(target)], work)


def graph_of(*ops: str, shape: tuple[int, ...] = SHAPE) -> Graph:
    """Input, then `ops` one after another on its three tensors, then output."""
    layout = Layout.channels_last(len(shape))
    interface = Interface("x", shape, layout)
    ports = (Output(interface.bhwd, "uint8"), SCALAR, SCALAR)
    nodes = [Node(1, "input", INPUT_OP, (), ports)]
    for number, op in enumerate(ops, start=2):
        refs = tuple(Ref(number - 1, port) for port in range(3))
        nodes.append(Node(number, f"/layer{number}/{op}", op, refs, ports))
    last = tuple(Ref(len(nodes), port) for port in range(3))
    nodes.append(Node(99, "output", OUTPUT_OP, last, ()))
    return Graph("fake", [], nodes, [interface], [Interface("y", shape, layout)])


def beside(op: str) -> Graph:
    """One node that reads nothing, and the single byte that it returns."""
    nodes = [
        Node(1, "input", "INPUT", (), ()),
        Node(2, f"/hostile/{op}", op, (), (Output((1, 1, 1, 1), "uint8"),)),
        Node(3, "output", "OUTPUT", (Ref(2),), ()),
    ]
    return Graph(op, [], nodes)


def values(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Values that the fake library represents exactly: tenths from -9 to 9."""
    return np.random.default_rng(seed).integers(-90, 91, shape).astype(np.float32) / 10
