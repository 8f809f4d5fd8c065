"""Biases corrected by what the DSP's own arithmetic gets wrong on average.

Rounding is not centered: a softmax row of 256 levels does not sum up to 1, and weights are off by
what they are off. The mean of a channel's error, over samples and positions, is subtracted from its
bias, layer after layer, each seen behind those that were corrected before (Nagel et al. 2019,
arXiv:1906.04721, section 4.2, on the simulator instead of an estimate).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.quantized import values_of
from hexconv.compare.sites import CompareSite, find_sites
from hexconv.nnlib.graph import Const, Graph, Node
from hexconv.nnlib.ops import spec
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.session import FloatSession
from hexconv.refine.mean_errors import MeanErrors
from hexconv.refine.weights import WeightRounding
from hexconv.simulator import Simulator
from hexconv.simulator.together import Together

LEVELS_FROM_ENDS = 2
"""A value that is so near an end of its range may be clipped: its error is none of the bias."""
ACCUMULATORS = 2.0**32
USUAL = 9.0
"""Times the median error, up to which an error is usual: six deviations of a normal one. What was
clipped in front of a layer, a few large values, is far from the mean of the others."""
SEEN = 65_536
"""Values that a median is taken of."""


def corrected_biases(
    graph: Graph,
    reference: FloatGraph,
    samples: Sequence[Mapping[str, Array]],
    library: LibraryVersion,
    *,
    weights: bool = False,
) -> tuple[Graph, int]:
    """A graph with corrected biases.

    Args:
        graph: the quantized model.
        reference: the float model, with the names that the graph's tensors have.
        samples: all of them are simulated together.
        library: which the simulator follows.
        weights: whether a convolution's weights are rounded for its inputs first.

    Returns:
        The graph, and how many constants were changed.
    """
    simulator = Simulator(graph, library)
    work = _Correction(graph, simulator, reference, samples)
    executor = Together(simulator.prepared.graph, library)
    rounding = WeightRounding(graph)
    visits = (rounding.visit, work.visit) if weights else (work.visit,)
    executor.run_together([simulator.sources(sample) for sample in samples], *visits)
    changed = {**rounding.changed, **work.changed}
    return replace(graph, consts=[changed.get(c.id, c) for c in graph.consts]), len(changed)


class _Correction:
    """Corrects one convolution after the other."""

    def __init__(
        self,
        graph: Graph,
        simulator: Simulator,
        reference: FloatGraph,
        samples: Sequence[Mapping[str, Array]],
    ) -> None:
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        sites = find_sites(graph, simulator.prepared, shapes)
        self._sites = {
            place: found[0] for place, found in sites.by_node.items() if found[0].has_bias
        }
        self._consts = graph.const_by_id()
        self._uses = Counter(ref.node for node in graph.nodes for ref in node.inputs)
        names = list(dict.fromkeys(site.tensor for site in self._sites.values()))
        session = FloatSession(reference, names)
        self._floats = [session.run(sample) for sample in samples]
        self.changed: dict[int, Const] = {}

    def visit(
        self, node: Node, reads: Sequence[Sequence[Array]], results: list[list[Array]]
    ) -> Mapping[int, Array]:
        """The new bias of a node, if it is corrected."""
        del reads
        site = self._sites.get(node.id)
        operands = spec(node.op)
        at = operands.position("bias", len(node.inputs))
        ends = [operands.position(role, len(node.inputs)) for role in ("bias_min", "bias_max")]
        if site is None or at is None or None in ends or site.ref.port != 0:
            return {}
        const, (low, high) = self._const(node, at), (self._const(node, end) for end in ends)
        if const is None or low is None or high is None or self._uses[const.id] != 1:
            return {}
        error = self._error(site, results)
        if error.size != const.array.size or not error.any():
            return {}
        step = (float(high.array.flat[0]) - float(low.array.flat[0])) / ACCUMULATORS
        limits = np.iinfo(np.int32)
        moved = const.array - np.rint(error / step).reshape(const.array.shape)
        array = np.clip(moved, limits.min // 2, limits.max // 2).astype(np.int32)
        self.changed[const.id] = replace(const, array=array)
        return {at: array}

    def _const(self, node: Node, position: int | None) -> Const | None:
        return None if position is None else self._consts.get(node.inputs[position].node)

    def _error(self, site: CompareSite, results: list[list[Array]]) -> Array:
        """The mean error of each channel (channels,); 0 where too few values tell it."""
        found: MeanErrors | None = None
        for values, outputs in zip(self._floats, results, strict=True):
            low, high = float(outputs[1].flat[0]), float(outputs[2].flat[0])
            step = (high - low) / 255.0
            margin = LEVELS_FROM_ENDS * step
            expected = np.ascontiguousarray(site.pack(values), np.float64)
            # By the float value: selecting by the DSP's would select what was rounded up.
            inside = (expected > low + margin) & (expected < high - margin)
            difference = values_of(outputs) - expected
            inside &= np.abs(difference) <= USUAL * _median(np.abs(difference))
            found = found or MeanErrors(step)
            found.add(difference, expected, inside)
        return np.zeros(0) if found is None else found.trusted()


def _median(array: Array) -> float:
    """Of some values, spread over all."""
    flat = array.reshape(-1)
    return float(np.median(flat[:: max(1, flat.size // SEEN)]))
