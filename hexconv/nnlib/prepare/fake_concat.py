"""A concat of convolutions in 32s of depth is written in place: FakeConcat and a Sink.

prepare.c do_remove_concats_with_placement. In the process the convolutions get one common range,
and keep it even where the concat cannot be dropped in the end.
"""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import Ref
from hexconv.nnlib.prepare.move_relus import KEEPS_RANGE
from hexconv.nnlib.prepare.mutable_graph import Op, Work

CONVOLUTIONS = ("Supernode_8x8p8to8_d32", "Supernode_8x8p32to8_d32")

TAKES_PLACEMENT = frozenset(
    (
        *CONVOLUTIONS,
        "QuantizedAvgPool_8_d32",
        "QuantizedAvgPool_8_d32_ref",
        "QuantizedMaxPool_8_d32",
        "QuantizedMaxPool_8_d32_ref",
    )
)
"""Ops with NN_NODE_FLAG_OUTPUT_ACCEPTS_PREPARATION."""

FAKE = "QuantizedFakeConcat_8_d32"


def run(work: Work) -> None:
    """Try every d32 concat; Sinks go after the last reader."""
    sinks: dict[int, list[Op]] = {}
    for op in work.ops:
        if op.op == "QuantizedConcat_8_d32" and share_range(work, op) and is_placeable(work, op):
            op.op = FAKE
            first = first_producer(work, op)
            last = last_reader(work, op)
            sink = work.make(f"{op.name}/sink", "Sink", [first.ref()], (), op.padding)
            sinks.setdefault(last.id, []).insert(0, sink)
    if sinks:
        work.ops = [node for op in work.ops for node in (op, *sinks.get(op.id, []))]
        work.index()


def data_inputs(op: Op) -> list[Ref]:
    """The tensors that a concat joins."""
    return op.inputs[1 : 1 + (len(op.inputs) - 1) // 3]


def range_maker(work: Work, ref: Ref) -> Op | None:
    """The convolution whose range a tensor has, through nodes that keep it (find_range_node)."""
    op = work.by_id.get(ref.node)
    while op is not None and op.op in KEEPS_RANGE and op.op != FAKE:
        op = work.by_id.get(op.inputs[0].node)
    return op if op is not None and op.op in CONVOLUTIONS else None


def share_range(work: Work, op: Op) -> bool:
    """Give all inputs the union of their const ranges; False, and no change, where that fails."""
    makers = [range_maker(work, ref) for ref in data_inputs(op)]
    low, high = (np.float32(0), work.scalar(0.0)), (np.float32(0), work.scalar(0.0))
    for maker in makers:
        if maker is None:
            return False
        minimum, maximum = (work.array(maker.inputs[i]) for i in (10, 11))
        if minimum is None or maximum is None:
            return False
        if minimum.flat[0] < low[0]:
            low = np.float32(minimum.flat[0]), maker.inputs[10]
        if maximum.flat[0] > high[0]:
            high = np.float32(maximum.flat[0]), maker.inputs[11]
    if np.isinf(low[0]) or np.isinf(high[0]):
        return False
    for ref in data_inputs(op):
        if any(reader is not op for reader in work.readers[ref.node]):
            return False
    for maker in makers:
        if maker is not None:
            maker.inputs[10], maker.inputs[11] = low[1], high[1]
    return True


def is_placeable(work: Work, op: Op) -> bool:
    """Every input can be written at an offset, which is a multiple of 32 in depth."""
    sources = [work.by_id[ref.node] for ref in data_inputs(op)]
    depths = [source.outputs[0].shape[3] for source in sources]
    return (
        all(source.op in TAKES_PLACEMENT for source in sources)
        and all(depth % 32 == 0 for depth in depths)
        and sum(depths) == op.outputs[0].shape[3]
    )


def first_producer(work: Work, op: Op) -> Op:
    """The earliest node that the concat reads (graphops.c find_first_producer)."""
    wanted = {ref.node for ref in op.inputs}
    return next(other for other in work.ops if other.id in wanted)


def last_reader(work: Work, op: Op) -> Op:
    """The last node that reads the data of the concat, or the concat itself."""
    readers = [reader for reader in work.readers.get(op.id, []) if op.ref() in reader.inputs]
    return readers[-1] if readers else op
