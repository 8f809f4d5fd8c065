"""What calibration computes beside a model's own tensors, so that its ranges serve a conversion.

The tensors that a conversion introduces, and what decides how norms and masks are computed
(`level_spans`, `mask_gaps`): in the same inference, so that statistics over parts of the samples
have them too, and merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hexconv.calibrate.hidden_rows import compute_row_ends
from hexconv.calibrate.level_spans import compute_spans, norms_of_inputs
from hexconv.calibrate.mask_gaps import compute_near, possible_masks
from hexconv.calibrate.other_levels import with_values_of
from hexconv.calibrate.softmax_rows import compute_rows, softmax_of_attention
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder

PLACES: tuple[Callable[[FloatGraph], Iterator[object]], ...] = (
    norms_of_inputs,
    possible_masks,
    softmax_of_attention,
)
"""Find the nodes whose forms such measurements decide between."""


def also_measured(lowered: FloatGraph) -> list[FloatGraph]:
    """A copy of the graph that is lowered which computes what decides between forms of nodes.

    Returns:
        It alone, or nothing where no node has such forms.
    """
    if all(next(places(lowered), None) is None for places in PLACES):
        return []
    copied = lowered.copied()
    norms, masks = list(norms_of_inputs(copied)), list(possible_masks(copied))
    rows = list(softmax_of_attention(copied))
    builder = FloatBuilder(copied.graph)
    for norm in norms:
        compute_spans(builder, norm)
    for join, value in masks:
        compute_near(builder.at(join), value)
        compute_row_ends(builder, join, value)
    at_end = FloatBuilder(copied.graph)
    for node in rows:
        compute_rows(at_end, node)
    return [copied]


def with_introduced(
    graph: FloatGraph, lowered: Sequence[FloatGraph]
) -> tuple[FloatGraph, frozenset[str]]:
    """A graph that computes a model's own tensors and those that a conversion needs.

    Args:
        graph: of the model as it was exported.
        lowered: the graphs that conversions lower, at each level of optimization.

    Returns:
        It, and the names of the values that the model itself does not have.
    """
    others = [other for made in lowered for other in (made, *also_measured(made))]
    joined = with_values_of(graph, others)
    return joined, frozenset(joined.computed_values()) - set(graph.computed_values())
