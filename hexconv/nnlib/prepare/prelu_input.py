"""A known library defect: a PRelu that reads a convolution of up to four channels breaks memory.

QuantizedPRelu_8_V2 keeps its slopes in a buffer that it fills when it is prepared, for as many
slices of 32 channels as its input is declared to have (op_prelu_v2_d32.c, process_alphas). Such a
convolution becomes an InputSupernode, which prepare declares four times as deep as it is: slopes
are written beyond the buffer, and the library ends, or returns other values, by chance of what is
in memory there. Measured on v60 and v66.
"""

from __future__ import annotations

from collections.abc import Iterator

from hexconv.nnlib.graph import Graph, Node
from hexconv.nnlib.prepare.d32_margins import tensor_shapes

PRELU = "QuantizedPRelu_8_V2_d32"


def overrunning_prelus(graph: Graph) -> Iterator[Node]:
    """PRelus of an executed graph whose input is declared deeper than they are."""
    prelus = [node for node in graph.nodes if node.op == PRELU]
    if not prelus:
        return
    shapes = tensor_shapes(graph)
    for node in prelus:
        if shapes[node.inputs[0]][3] > node.outputs[0].shape[3]:
            yield node
