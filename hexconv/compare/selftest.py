"""Check what the emulated library needs, what is missing, and whether it works."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.device.build import runner, runner_path
from hexconv.device.job import JobWriter
from hexconv.device.library import Library
from hexconv.device.toolchain import find_qemu, qemu_version
from hexconv.distribution import pip_install
from hexconv.errors import DeviceError, HexconvError
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Interface, Node, Output, Ref
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.versions import release_text
from hexconv.paths import is_file
from hexconv.simulator.run_op import run_op, single

SHAPE = (1, 4, 8, 40)
CONVOLUTION = "Supernode_8x8p32to8"
X, WEIGHTS = (1, 1, 50, 64), (1, 7, 64, 64)
LIMIT = 4.0
CONTAINED = {
    "network": "no network",
    "processes": "no other process",
    "files": "no file outside its directory",
    "calls": "no socket, no change of modes",
}


@dataclass(frozen=True)
class Check:
    """One line of `device setup`: what was checked, what was found, what to do about it."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def checks(library: str | os.PathLike[str] | None) -> Iterator[Check]:
    """Check everything, build the runner, run a graph; each result as soon as it is known."""
    qemu = _check("emulator", _qemu)
    yield qemu
    yield _compiler()
    built = _check("runner", lambda: str(runner()))
    yield built
    if not (qemu.ok and built.ok):
        return
    loaded = _check("library", lambda: _library(library))
    yield loaded
    if loaded.ok:
        yield _check("containment", lambda: _containment(Library(library)))
        yield _check("self-test", lambda: _self_test(Library(library)))


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except HexconvError as error:
        where = f" ({error.where})" if error.where else ""
        why = f": {error.why}" if error.why else ""
        return Check(name, False, f"{error.what}{where}{why}", error.hint)


def _qemu() -> str:
    path = find_qemu()
    return f"{path}, {qemu_version(path)}"


def _compiler() -> Check:
    """zig is needed only until the runner is built."""
    if importlib.util.find_spec("ziglang"):
        return Check("compiler", True, "zig")
    if is_file(runner_path()):
        return Check("compiler", True, "not installed, and not needed: the runner is built")
    return Check("compiler", False, "zig is not installed", pip_install("device"))


def _library(path: str | os.PathLike[str] | None) -> str:
    library = Library(path)
    version, ops = library.ops()
    return f"{library.path}, {library.version}, release {release_text(version)}, {len(ops)} ops"


def _containment(library: Library) -> str:
    contained = library.session.ask(JobWriter.list_ops).contained
    has = [text for key, text in CONTAINED.items() if contained.get(key)]
    lacks = [text for key, text in CONTAINED.items() if not contained.get(key)]
    missing = f"; this machine does not allow: {', '.join(lacks)}" if lacks else ""
    return f"{', '.join(has) or 'limits on time and memory only'}{missing}"


def self_test_graph() -> Graph:
    """y = x + b with b a constant per channel, -1 to 1, in the range -4 to 4."""

    def number(const_id: int, name: str, value: float) -> Const:
        return Const(const_id, name, np.full((1, 1, 1, 1), value, np.float32))

    scalar = Output((1, 1, 1, 1), "float32")
    quantized = (Output(SHAPE, "uint8"), scalar, scalar)
    codes = np.linspace(0, 255, SHAPE[3]).astype(np.uint8).reshape(1, 1, 1, -1)
    consts = [Const(0, "b", codes), number(1, "b_min", -1), number(2, "b_max", 1)]
    consts += [number(3, "y_min", -LIMIT), number(4, "y_max", LIMIT)]
    add = tuple(map(Ref, (5, 0, 5, 5, 1, 2, 3, 4), (0, 0, 1, 2, 0, 0, 0, 0)))
    nodes = [
        Node(5, "input", INPUT_OP, (), quantized),
        Node(6, "add", "QuantizedAdd_8p8to8", add, quantized),
        Node(7, "output", OUTPUT_OP, (Ref(6, 0), Ref(6, 1), Ref(6, 2)), ()),
    ]
    plain = Layout.plain(4)
    return Graph(
        "self-test", consts, nodes, [Interface("x", SHAPE, plain)], [Interface("y", SHAPE, plain)]
    )


def convolution() -> list[Array]:
    """The inputs of a convolution 1x50, depth 64, kernel 1x7, whose right edge qemu 7.2 gets wrong.

    v65 fills the padding there by conditional loads, which hexconv rewrites; an emulator that
    computes those or others incorrectly is detected here.
    """
    random = np.random.default_rng(0)

    def number(value: float) -> Array:
        return np.full((1, 1, 1, 1), value, np.float32)

    x, weights = (random.integers(0, 256, shape).astype(np.uint8) for shape in (X, WEIGHTS))
    scale = 0.02 / np.sqrt(np.prod(WEIGHTS[:3]))
    most = 2.0**31 * (4 / 255) * scale
    ranges = [(-2, 2), (-128 * scale, 127 * scale), (-most, most), (-3, 3)]
    x_range, weights_range, bias_range, y_range = [tuple(map(number, pair)) for pair in ranges]
    stride, bias = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, WEIGHTS[3]), np.int32)
    return [x, weights, *x_range, *weights_range, stride, bias, *bias_range, *y_range]


def _self_test(library: Library) -> str:
    return f"{_addition(library)}, {_convolution(library)}"


def _convolution(library: Library) -> str:
    """A convolution compared with the simulator, bit by bit."""
    arrays = convolution()
    wanted = run_op(CONVOLUTION, arrays, "NN_PAD_SAME", library.version)[0]
    found = library.run_raw(single(CONVOLUTION, arrays, "NN_PAD_SAME"), arrays[:1])[0]
    columns = np.flatnonzero((wanted != found).any((0, 1, 3)))
    if columns.size:
        raise DeviceError(
            f"a convolution is wrong in {columns.size} of {X[2]} columns, first in {columns[0]}",
            why="the emulator does not compute what the DSP does",
            hint="use another version of qemu-user (7.2, 10.0 and 11.1 are correct)",
        )
    return "a convolution is bit-exact"


def _addition(library: Library) -> str:
    """y = x + b, within 1 LSB of y."""
    graph = self_test_graph()
    x = np.random.default_rng(0).uniform(-2, 2, SHAPE).astype(np.float32)
    b = graph.consts[0].array / 255 * 2 - 1
    off = float(np.abs(library.run(graph, {"x": x})["y"] - (x + b)).max())
    step = 2 * LIMIT / 255
    if off > 1.5 * step:
        raise DeviceError(
            f"an addition has an error of {off / step:.1f} LSB",
            why="the emulator does not compute what the DSP does",
        )
    return f"an addition is correct to {off / step:.2f} LSB"
