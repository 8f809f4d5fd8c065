"""What calibration computes beside a model's own tensors, so that its ranges serve a conversion.

The tensors that a conversion introduces, and what decides how norms and masks are computed
(`level_spans`, `mask_gaps`): in the same inference, so that statistics over parts of the samples
have them too, and merge.
"""

from __future__ import annotations

from hexconv.calibrate.level_spans import with_level_spans
from hexconv.calibrate.mask_gaps import with_mask_gaps
from hexconv.calibrate.other_levels import with_values_of
from hexconv.onnx_graph import FloatGraph


def also_measured(lowered: FloatGraph) -> list[FloatGraph]:
    """Copies of the graph that is lowered which compute what decides between forms of nodes."""
    return [*with_level_spans(lowered), *with_mask_gaps(lowered)]


def with_introduced(
    graph: FloatGraph, lowered: FloatGraph | None
) -> tuple[FloatGraph, frozenset[str]]:
    """A graph that computes a model's own tensors and those that a conversion needs.

    Args:
        graph: of the model as it was exported.
        lowered: the graph that a conversion lowers; None of a model that it cannot convert.

    Returns:
        It, and the names of the values that the model itself does not have.
    """
    if lowered is None:
        return graph, frozenset()
    joined = with_values_of(graph, [lowered, *also_measured(lowered)])
    return joined, frozenset(joined.computed_values()) - set(graph.computed_values())
