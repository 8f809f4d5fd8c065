"""The ranges of a graph's tensors, as far as they are known before it runs."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import INPUT_OP, Graph, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import spec
from hexconv.nnlib.site import NodeSite


def known_ranges(graph: Graph) -> dict[int, tuple[float, float]]:
    """(min, max) of output 0 of nodes that return data, min and max, by node id.

    What depends on the data of a run is taken for that of calibration.
    """
    scalars = _seeds(graph)
    consts = graph.const_by_id()
    shapes: dict[Ref, Shape4] = {}
    for const in graph.consts:
        b, h, w, d = const.array.shape
        shapes[Ref(const.id)] = (b, h, w, d)
    found: dict[int, tuple[float, float]] = {}
    for node in graph.nodes:
        known = spec(node.op)
        if known.accepts(len(node.inputs)):
            site = NodeSite(
                node=node,
                spec=known,
                shapes=tuple(shapes[ref] for ref in node.inputs),
                consts=tuple(consts.get(ref.node) for ref in node.inputs),
                scalars=scalars,
            )
            scalars.update(site.output_scalars())
        for port, output in enumerate(node.outputs):
            shapes[Ref(node.id, port)] = output.shape
        low, high = scalars.get(Ref(node.id, 1)), scalars.get(Ref(node.id, 2))
        if low is not None and high is not None:
            found[node.id] = (low, high)
    return found


def _seeds(graph: Graph) -> dict[Ref, float]:
    """The scalars that are known from the start: consts, and the inputs' calibrated ranges."""
    scalars = {
        Ref(const.id): float(const.array.flat[0])
        for const in graph.consts
        if const.array.size == 1 and const.array.dtype == np.float32
    }
    taken = next((node for node in graph.nodes if node.op == INPUT_OP), None)
    for index, item in enumerate(graph.inputs if taken is not None else ()):
        assert taken is not None
        for port, bound in enumerate(item.range, 1):
            scalars[Ref(taken.id, 3 * index + port)] = bound
    return scalars
