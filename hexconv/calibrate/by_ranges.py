"""What is rewritten because of the ranges that calibration found."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hexconv.calibrate.equalized_channels import equalize
from hexconv.calibrate.flat_softmax import flat_softmax
from hexconv.calibrate.gelu_tails import gelu_tails
from hexconv.calibrate.leaky_factors import leaky_factors
from hexconv.calibrate.masks import bounded_masks
from hexconv.calibrate.norms import bounded_norms
from hexconv.calibrate.outlier_channels import scale_outliers
from hexconv.calibrate.score_ranges import bounded_scores
from hexconv.calibrate.unlike_rows import unlike_rows
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.quantize import Bounds


def rewrite_by_ranges(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    *,
    equalized: bool = False,
    measured: bool = True,
    written_out: Collection[str] = (),
) -> tuple[dict[str, Bounds], dict[str, int]]:
    """Change a graph in place where 255 levels of the ranges observed would not do.

    Args:
        graph: changed in place.
        observed: (min, max) of each value.
        equalized: whether channels may be scaled (`equalized_channels`, `outlier_channels`),
            scores centered, and those that no softmax sees left out of ranges.
        measured: whether `observed` has the ranges of what that makes.
        written_out: outputs of Softmax nodes that are written out, flat or not.

    Returns:
        The ranges, those of new values among them; how often each rewrite was applied, by name.
    """
    ranges = bounded_norms(graph, bounded_masks(graph, observed))
    ranges = bounded_scores(graph, ranges) if equalized else ranges
    tails = gelu_tails(graph, ranges, measured=measured) if equalized else 0
    streams = scale_outliers(graph, ranges, measured=measured) if equalized else 0
    ranges, flat = flat_softmax(graph, ranges, written_out, centered=equalized, measured=measured)
    ranges, unlike = unlike_rows(graph, ranges)
    ranges, leaky = leaky_factors(graph, ranges)
    scaled = equalize(graph, ranges, measured=measured) if equalized else 0
    counts = {"flat_softmax": flat, "unlike_rows": unlike, "leaky_factors": leaky}
    counts |= {"equalized_channels": scaled, "outlier_channels": streams, "gelu_tails": tails}
    return ranges, {name: count for name, count in counts.items() if count}


def scale_channels(graph: FloatGraph, ranges: Mapping[str, Bounds]) -> None:
    """Scale the channels of a float model as in the model whose ranges these are."""
    gelu_tails(graph, ranges, measured=True)
    scale_outliers(graph, ranges, measured=True)
    equalize(graph, ranges, measured=True)


def rewritten_copy(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    *,
    equalized: bool = False,
    written_out: Collection[str] = (),
) -> FloatGraph | None:
    """The graph as `rewrite_by_ranges` will make it, to observe the new values; None if none is.

    Its names are those that the rewrites give the graph itself.
    """
    copy = graph.copied()
    _, counts = rewrite_by_ranges(
        copy, observed, equalized=equalized, measured=False, written_out=written_out
    )
    remove_dead(copy.graph)
    return copy if counts else None
