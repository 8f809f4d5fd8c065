"""Packets that the emulator lacks or computes wrongly, run in it after the rewriting.

fake/packets.S has a function around each kind of packet; what the packet does to registers and
memory is written down here once more, in NumPy.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hexconv.device import Library
from hexconv.device.job import Counter
from hexconv.device.session import Run
from hexconv.device.toolchain import find_qemu
from hexconv.device.wiring import tensor_slots
from hexconv.nnlib.graph import Const, Graph, Node, Output, Ref

VECTORS_AT, DATA_AT, SECOND_AT, END = 128, 4224, 4736, 5248
PREDICATES_AT, M0_AT, R10_AT, R11_AT, COUNTED_AT, COUNTED_END = 24, 28, 32, 36, 40, 44
EIGHT, ALL = 0, 1
MOST_OUTPUTS = 8
COUNTERS = (Counter.PACKETS, Counter.INSTRUCTIONS, Counter.HVX_INSTRUCTIONS)
Bytes = NDArray[np.uint8]


class State:
    """Registers and memory around a packet."""

    def __init__(self, data: Bytes) -> None:
        self.data = data.copy()

    def vector(self, v: int) -> Bytes:
        """A vector register, as bytes that can be written."""
        at = VECTORS_AT + 128 * v
        return self.data[at : at + 128]

    def memory(self, at: int, count: int = 128) -> Bytes:
        """Bytes of memory, from an offset in the state."""
        return self.data[at : at + count]

    def word(self, r: int) -> NDArray[np.int32]:
        """Scalar register r2 to r7, as an array of one."""
        return self.data[4 * (r - 2) : 4 * (r - 1)].view(np.int32)

    def add_products(self, total: int, vector: Bytes, four: Bytes, *, signed: bool = True) -> None:
        """`Vtotal.w += ` the products of each four bytes of `vector` and the bytes of `four`."""
        left = vector.view(np.int8) if signed else vector
        sums = (left.reshape(32, 4).astype(np.int64) * four.astype(np.int64)).sum(1)
        self.vector(total).view(np.int32)[:] += sums.astype(np.int32)

    def by_pair(self, first: int, vector: Bytes, pair: int, *, signed: bool = True) -> None:
        """A product by a register pair."""
        for half in (0, 1):
            four = self.word(pair + half).view(np.uint8)
            self.add_products(first + half, vector.copy(), four, signed=signed)

    def by_z(self, vector: Bytes, step: int, distance: int) -> None:
        """A product by the Z buffer, r4 bytes into the data; `distance` between its words."""
        last = DATA_AT + (step & ~3) - 4
        for part in range(4):
            four = self.memory(last - (3 - part) * distance, 4)
            self.add_products(part, vector, four)


@dataclass(frozen=True)
class Case:
    """A packet: what it does, and how much more is counted than for one ordinary packet.

    Args:
        number: of its functions in packets.S.
        act: what it does to a state.
        step: r4 before it.
        predicates: p3:0 before it, a byte each.
        more: packets, instructions and vector instructions beyond those of `{ v1 = v2 }`.
        m0: the count of a memcpy, less one.
    """

    number: int
    act: Callable[[State], None]
    step: int = 0
    predicates: int = 0
    more: tuple[int, int, int] = (0, 0, 0)
    m0: int = 0


def pair(s: State) -> None:
    s.by_pair(0, s.vector(2), 4)


def pair_unsigned(s: State) -> None:
    s.by_pair(0, s.vector(2), 4, signed=False)


def pairs_tmp(s: State) -> None:
    s.by_pair(0, s.memory(DATA_AT), 4)
    s.by_pair(2, s.memory(DATA_AT), 6)
    stepped(s, R10_AT)


def pair_cur(s: State) -> None:
    s.vector(4)[:] = s.memory(DATA_AT + 128)
    s.by_pair(0, s.vector(4), 4)


def pair_overwritten(s: State) -> None:
    s.by_pair(0, s.vector(2), 4)
    s.data[8:16] = s.memory(DATA_AT + 8, 8)
    s.vector(2)[:] = s.memory(SECOND_AT)


def z(s: State) -> None:
    s.by_z(s.vector(4), int(s.word(4)[0]), 32)


def z_columns_apart(s: State) -> None:
    s.by_z(s.vector(4), int(s.word(4)[0]), 64)


def z_stepping(s: State) -> None:
    s.by_z(s.memory(SECOND_AT), int(s.word(4)[0]), 32)
    s.word(4)[0] += 4
    stepped(s, R11_AT)


def z_and_load(s: State) -> None:
    s.by_z(s.memory(SECOND_AT), int(s.word(4)[0]), 32)
    s.word(5)[0] += 7
    stepped(s, R11_AT)


def z_load_if(s: State) -> None:
    s.word(5)[0] += 7


def loop0(s: State) -> None:
    for turn in range(4):
        s.word(5)[0] += 1
        s.by_z(s.memory(SECOND_AT + 128 * turn), int(s.word(4)[0]), 32)
        s.word(4)[0] += 4
        stepped(s, R11_AT)


def loop1(s: State) -> None:
    for _ in range(3):
        s.by_pair(0, s.vector(2), 6)
        s.word(5)[0] += 4


def loops(s: State) -> None:
    for _ in range(3):
        s.word(5)[0] += 100
        for _ in range(2):
            old = s.vector(2).copy()
            s.by_pair(0, old, 6)
            s.by_pair(2, old, 6)
            s.word(5)[0] += 4


def loop_start(s: State) -> None:
    s.by_z(s.memory(SECOND_AT), int(s.word(4)[0]), 32)
    s.word(4)[0] += 4
    stepped(s, R11_AT)
    s.word(6)[0] += s.word(5)[0]


def add(s: State, loaded: Bytes) -> None:
    s.vector(1).view(np.int32)[:] = s.vector(2).view(np.int32) + loaded.view(np.int32)


def load(s: State) -> None:
    add(s, s.memory(DATA_AT))


def load_not(s: State) -> None:
    add(s, s.vector(4))


def load_cur_stepping(s: State) -> None:
    s.vector(4)[:] = s.memory(SECOND_AT)
    add(s, s.vector(4))
    stepped(s, R11_AT)


def load_and_stay(s: State) -> None:
    load(s)
    s.word(5)[0] += 7


def load_not_and_stay(s: State) -> None:
    load_not(s)
    s.word(5)[0] += 7


def copy(s: State) -> None:
    s.data[SECOND_AT : SECOND_AT + 256] = s.memory(DATA_AT, 256)


def copy_odd(s: State) -> None:
    s.data[SECOND_AT + 1 : SECOND_AT + 38] = s.memory(DATA_AT + 3, 37)


def stepped(s: State, at: int) -> None:
    """r10 or r11 went on by a vector."""
    s.data[at : at + 4].view(np.int32)[0] += 128


P0, P1 = 0xFF, 0xFF00

CASES = {
    "ordinary": Case(0, lambda s: s.vector(1).__setitem__(slice(None), s.vector(2))),
    "pair": Case(1, pair),
    "pair unsigned": Case(2, pair_unsigned),
    "two pairs by a temporary": Case(3, pairs_tmp, more=(0, 2, 2)),
    "pair by a vector just loaded": Case(4, pair_cur, more=(0, 1, 1)),
    "pair, overwritten by its packet": Case(5, pair_overwritten, more=(0, 2, 1)),
    "z": Case(6, z, step=132, more=(2, 3, 1)),
    "z, columns two apart": Case(6, z_columns_apart, step=257, more=(2, 3, 1)),
    "z stepping": Case(7, z_stepping, step=128, more=(2, 4, 2)),
    "z stepping from an odd word": Case(7, z_stepping, step=148, more=(2, 4, 2)),
    "z, loaded again": Case(8, z_and_load, step=140, more=(2, 6, 3)),
    "z loaded if": Case(9, z_load_if, predicates=P0, more=(0, 1, 0)),
    "z not loaded": Case(9, z_load_if, more=(0, 1, 0)),
    "end of loop 0": Case(10, loop0, step=128, more=(10, 14, 7)),
    "end of loop 1": Case(11, loop1, more=(8, 11, 2)),
    "end of both loops": Case(12, loops, more=(17, 32, 11)),
    "start of a loop": Case(13, loop_start, step=160, more=(7, 9, 1)),
    "load if": Case(14, load, predicates=P0, more=(0, 1, 1)),
    "load if, not": Case(14, load_not, predicates=P1, more=(0, 1, 1)),
    "load if not": Case(15, load_cur_stepping, predicates=P1, more=(0, 1, 1)),
    "load if not, not": Case(15, load_not, predicates=P0, more=(0, 1, 1)),
    "load and jump": Case(16, load, predicates=P0 | P1, more=(0, 2, 1)),
    "load and stay": Case(16, load_and_stay, predicates=P0, more=(1, 3, 1)),
    "jump without load": Case(16, load_not, predicates=P1, more=(0, 2, 1)),
    "neither load nor jump": Case(16, load_not_and_stay, more=(1, 3, 1)),
    "memcpy": Case(17, copy, m0=255, more=(0, 0, -1)),
    "memcpy of odd bytes": Case(18, copy_odd, m0=36, more=(4, 4, -1)),
}


def before(case: Case) -> State:
    """A state of random bytes, with the registers that the case needs."""
    state = State(np.random.default_rng(case.number).integers(0, 256, END, np.uint8))
    state.data[:24].view(np.int32)[:] = [1, 2, case.step, 5, 0x12345678, -0x01234568]
    state.data[PREDICATES_AT:M0_AT].view(np.uint32)[0] = case.predicates
    state.data[M0_AT:R10_AT].view(np.uint32)[0] = case.m0
    state.data[R10_AT:COUNTED_END].view(np.int32)[:] = DATA_AT, SECOND_AT, 0
    return state


def after(case: Case, start: State) -> Bytes:
    """What the packet leaves of a state."""
    state = State(start.data)
    with np.errstate(over="ignore"):
        case.act(state)
    return state.data


@dataclass(frozen=True)
class Found:
    """What the emulator did: the state after a plain and after counting runs, and the counts."""

    plain: Bytes
    counting: Bytes
    counts: tuple[int, ...]


@pytest.fixture(scope="module")
def found(fake: Library) -> dict[tuple[str, int], Found]:
    """Every case in both forms, as many in one process as the fake library has outputs."""
    if not emulator_version().startswith("7."):
        pytest.skip(f"qemu {emulator_version()} may reject the stubs (docs/device.md)")
    keys = [(name, form) for name in CASES for form in (EIGHT, ALL)]
    results: dict[tuple[str, int], Found] = {}
    for start in range(0, len(keys), MOST_OUTPUTS):
        part = keys[start : start + MOST_OUTPUTS]
        results.update(zip(part, run(fake, part), strict=True))
    return results


def emulator_version() -> str:
    """Such as "7.2.22"."""
    said = subprocess.run([find_qemu(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


def graph_of(keys: Sequence[tuple[str, int]]) -> Graph:
    """For each case a constant state, the function, and an output."""
    shape = Output((1, 1, 1, END), "uint8")
    consts, nodes = [], [Node(1, "input", "INPUT", (), ())]
    for index, (name, form) in enumerate(keys):
        case, own = CASES[name], 10 * index + 10
        number = np.full((1, 1, 1, 1), 2 * case.number + form, np.int32)
        state = before(case).data.reshape(1, 1, 1, -1)
        consts += [Const(own, f"{own}", state), Const(own + 1, f"{own + 1}", number)]
        nodes.append(Node(own + 2, name, "RunPacket", (Ref(own), Ref(own + 1)), (shape,)))
    ends = tuple(Ref(node.id) for node in nodes[1:])
    return Graph("packets", consts, [*nodes, Node(2, "output", "OUTPUT", ends, ())])


def run(library: Library, keys: Sequence[tuple[str, int]]) -> Iterator[Found]:
    """Run cases without counting, and with each counter."""
    graph = graph_of(keys)
    ids = [node.id for node in graph.nodes[1:-1]]
    slots = tensor_slots(graph, [Ref(number) for number in ids])
    (plain,) = library.session.execute(graph, [Run([])], slots).outputs
    runs = [Run([], counter) for counter in COUNTERS]
    counted = library.session.execute(graph, runs, slots)
    for index in range(len(ids)):
        states = [tensors[index].reshape(-1) for tensors in counted.outputs]
        counts = [int(state[COUNTED_AT:COUNTED_END].view(np.uint32)[0]) for state in states]
        states[-1][COUNTED_AT:COUNTED_END] = plain[index].reshape(-1)[COUNTED_AT:COUNTED_END] = 0
        yield Found(plain[index].reshape(-1), states[-1], tuple(counts))


FORMS = pytest.mark.parametrize("form", [EIGHT, ALL], ids=["free vectors", "none free"])


@FORMS
@pytest.mark.parametrize("name", CASES)
def test_a_packet_does_what_the_dsp_does(
    found: dict[tuple[str, int], Found], name: str, form: int
) -> None:
    wanted = after(CASES[name], before(CASES[name]))
    np.testing.assert_array_equal(found[name, form].plain, wanted)
    np.testing.assert_array_equal(found[name, form].counting, wanted)


@FORMS
@pytest.mark.parametrize("name", CASES)
def test_a_packet_counts_as_one(found: dict[tuple[str, int], Found], name: str, form: int) -> None:
    more = np.subtract(found[name, form].counts, found["ordinary", form].counts)
    assert tuple(more) == CASES[name].more
