"""Convert between the model's interface and the library's tensors for each run."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from hexconv.arrays import Array
from hexconv.device.job import Slot
from hexconv.errors import GraphError
from hexconv.nnlib.feeds import Feeds, checked_feeds
from hexconv.nnlib.graph import FLOAT_OUTPUT_OP, INPUT_OP, OUTPUT_PORTS, Graph, Node, Ref
from hexconv.nnlib.ranges.loudest import check_loudness, widest_inputs

QUANTIZE_HERE = np.ones((1, 1, 1, 1), np.int32)
UNUSED = np.zeros((1, 1, 1, 1), np.float32)


def single(graph: Graph, *ops: str) -> Node:
    """The one node of `graph` whose op is among `ops`.

    Raises:
        GraphError: if there is not exactly one.
    """
    found = [node for node in graph.nodes if node.op in ops]
    if len(found) != 1:
        raise GraphError(f"a graph needs one {' or '.join(ops)} node; this has {len(found)}")
    return found[0]


def check_outside(graph: Graph) -> None:
    """Check that the model's inputs and outputs match the nodes that carry them.

    Raises:
        GraphError: if they do not.
    """
    ports = len(single(graph, INPUT_OP).outputs)
    end = single(graph, *OUTPUT_PORTS)
    each, readers = OUTPUT_PORTS[end.op], len(end.inputs)
    if ports != 3 * len(graph.inputs) or readers != each * len(graph.outputs):
        raise GraphError(
            f"{INPUT_OP} has {ports} ports for {len(graph.inputs)} inputs, {end.op} {readers}"
            f" for {len(graph.outputs)} outputs",
            why=f"each input takes three: data, min and max; each output {each}",
        )


def input_tensors(graph: Graph, feeds: Feeds) -> list[Array]:
    """The four tensors of each input: float data, min and max (unused), 1 for "quantize here".

    Raises:
        ConfigError: see `checked_feeds`.
        GraphError: if an input is too loud for the graph, so that the library would not return.
    """
    checked = checked_feeds(graph.inputs, feeds)
    check_loudness(graph, widest_inputs(graph), checked)
    tensors: list[Array] = []
    for interface in graph.inputs:
        data = interface.layout.pack(checked[interface.name])
        tensors += [data, UNUSED, UNUSED, QUANTIZE_HERE]
    return tensors


_FLAG = Slot(4, "int32", struct.pack("<i", 1))


def named_outputs(graph: Graph, tensors: Sequence[Array]) -> dict[str, Array]:
    """The outputs of one run by the model's own names, in its own shapes, float32.

    Raises:
        GraphError: if the library returned another number of elements.
    """
    outputs: dict[str, Array] = {}
    for interface, data in zip(graph.outputs, tensors[::4], strict=True):
        if data.shape != interface.bhwd:
            raise GraphError(
                f"the library returns output '{interface.name}' with sizes {data.shape}",
                why=f"the model declares {interface.bhwd}",
            )
        raw = interface.layout.unpack(data, interface.raw_shape)
        outputs[interface.name] = interface.of_raw(raw)
    return outputs


def tensor_slots(graph: Graph, refs: Sequence[Ref]) -> list[Slot]:
    """Space for raw tensors, each as large as its node declares."""
    nodes, consts = graph.node_by_id(), graph.const_by_id()
    slots = []
    for ref in refs:
        if ref.node in nodes:
            output = nodes[ref.node].outputs[ref.port]
            slots.append(Slot(output.nbytes, output.dtype))
        else:
            array = consts[ref.node].array
            slots.append(Slot(array.nbytes, array.dtype.name))
    return slots


def output_slots(graph: Graph) -> list[Slot]:
    """Space for the outputs of a run.

    The raw tensors that OUTPUT reads; or, for each output of DequantizeOUTPUT_8tof, float data,
    min, max, and a flag that is initially 1.
    """
    end = single(graph, *OUTPUT_PORTS)
    slots = tensor_slots(graph, end.inputs)
    if end.op == FLOAT_OUTPUT_OP:
        return slots
    scalar = Slot(4, "float32")
    floats = (Slot(4 * slot.nbytes, "float32") for slot in slots[::3])
    return [slot for data in floats for slot in (data, scalar, scalar, _FLAG)]
