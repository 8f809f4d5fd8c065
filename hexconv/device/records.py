"""The record file: the runner's results, record by record (csrc/records.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from hexconv.arrays import Array
from hexconv.device.job import Slot
from hexconv.errors import DeviceError


class RunStage(IntEnum):
    """What the runner was doing (csrc/progress.h)."""

    START = 0
    CONFIG = 1
    INIT = 2
    OPTION = 3
    CONST = 4
    NODE = 5
    PREPARE = 6
    EXECUTE = 7
    DONE = 8

    @property
    def doing(self) -> str:
        """The stage as a phrase inside a sentence."""
        return {
            RunStage.START: "loading the library",
            RunStage.CONFIG: "configuring the library",
            RunStage.INIT: "creating a graph",
            RunStage.OPTION: "setting an option",
            RunStage.CONST: "appending a constant",
            RunStage.NODE: "appending a node",
            RunStage.PREPARE: "preparing the graph",
            RunStage.EXECUTE: "executing the graph",
            RunStage.DONE: "ending",
        }[self]


@dataclass(frozen=True)
class Failure:
    """A library call that failed: its stage and node, return code and log."""

    stage: RunStage
    node: int
    code: int
    run: int
    log: str


@dataclass(frozen=True)
class Count:
    """One row of the library's per-node report."""

    node: int
    op: int
    executions: int
    count: int


@dataclass(frozen=True)
class HeapUse:
    """Bytes of the DSP's heap that one stage needed.

    Args:
        stage: PREPARE or EXECUTE.
        peak: the most that the library held at once.
        held: what it held when the stage ended.
        vtcm: the most of VTCM that it has held.
    """

    stage: RunStage
    peak: int
    held: int
    vtcm: int


@dataclass(frozen=True)
class Progress:
    """Where the process stands: stage, node id, clock reads of the execution, executions begun."""

    stage: RunStage
    node: int
    clock_reads: int
    runs: int = 0

    @classmethod
    def read(cls, data: bytes) -> Progress:
        """The progress file, of four u32."""
        stage, node, reads, runs = struct.unpack("<4I", data[:16].ljust(16, b"\0"))
        return cls(RunStage(min(stage, RunStage.DONE)), node, reads, runs)


@dataclass
class RunRecords:
    """Everything that one process returned.

    `taken` says for each node that was tried (by its id in the library) whether it was accepted;
    `outputs` has, for each run, the raw output tensors as (B,H,W,D) arrays; `counts` the
    per-node reports, for each run that requested one; `heap` what prepare and each run needed.
    """

    done: bool = False
    failure: Failure | None = None
    version: int = 0
    taken: dict[int, bool] = field(default_factory=dict)
    ops: dict[int, str] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    outputs: list[list[Array]] = field(default_factory=list)
    counts: list[list[Count]] = field(default_factory=list)
    heap: list[HeapUse] = field(default_factory=list)


def _malformed(why: str) -> DeviceError:
    return DeviceError("the emulated library's record file is malformed", why=why)


def _records(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(data)
    at = 0
    while at + 8 <= len(data):
        tag, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > len(data):
            return  # the process ended while it wrote this record
        yield tag, view[at + 8 : at + 8 + size]
        at += 8 + size + -size % 4


def _text(payload: memoryview) -> str:
    return bytes(payload).decode(errors="replace")


def _tensors(payload: memoryview, slots: Sequence[Slot]) -> list[Array]:
    tensors: list[Array] = []
    at = 0
    for slot in slots:
        if at + 20 > len(payload):
            raise _malformed("an output tensor is missing")
        *shape, nbytes = struct.unpack_from("<5I", payload, at)
        dtype = np.dtype(slot.dtype)
        if nbytes > slot.nbytes or nbytes != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise _malformed(f"an output of sizes {shape} {dtype} has {nbytes} bytes")
        flat = np.frombuffer(payload[at + 20 : at + 20 + nbytes], dtype)
        tensors.append(flat.reshape(shape).copy())
        at += 20 + nbytes + -nbytes % 4
    return tensors


def _counts(payload: memoryview) -> list[Count]:
    rows = struct.iter_unpack("<5I", payload)
    return [Count(node, op, runs, low | high << 32) for node, op, runs, low, high in rows]


def read_records(data: bytes, slots: Sequence[Slot]) -> RunRecords:
    """Read a record file, whose runs have one output for each of `slots`.

    Raises:
        DeviceError: if it is not what the runner writes.
    """
    records = RunRecords()
    for tag, payload in _records(data):
        try:
            _take(records, tag, payload, slots)
        except (struct.error, ValueError) as error:
            raise _malformed(f"record {tag!r}: {error}") from error
    return records


def _take(records: RunRecords, tag: bytes, payload: memoryview, slots: Sequence[Slot]) -> None:
    """Add one record to `records`."""
    match tag:
        case b"OP  ":
            records.version, op = struct.unpack_from("<iI", payload)
            records.ops[op] = _text(payload[8:])
        case b"TRY ":
            node, code = struct.unpack_from("<Ii", payload)
            records.taken[node] = code == 0
        case b"LIST":
            (when,) = struct.unpack_from("<I", payload)
            if when == 1:
                records.before = _text(payload[4:])
            else:
                records.after = _text(payload[4:])
        case b"FAIL":
            stage, node, code, run = struct.unpack_from("<IIiI", payload)
            log = _text(payload[16:])
            records.failure = Failure(RunStage(stage), node, code, run, log)
        case b"RUN ":
            records.outputs.append(_tensors(payload, slots))
        case b"PERF":
            records.counts.append(_counts(payload))
        case b"HEAP":
            stage, peak, held, vtcm = struct.unpack("<4I", payload)
            records.heap.append(HeapUse(RunStage(stage), peak, held, vtcm))
        case b"DONE":
            records.done = True
        case _:
            raise _malformed(f"unknown record {tag!r}")
