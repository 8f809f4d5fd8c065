"""Ranges of a float graph's values: the DSP model's own where it has the same values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv import calibrate
from hexconv import optimize as passes
from hexconv.lowering.keep_float import protect
from hexconv.lowering.range_groups import solve
from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.pipeline import prepared
from hexconv.quantize import Bounds, Range, cover
from hexconv.settings import Settings
from hexconv.tensor_ranges import Ranges, Samples, observed_ranges

if TYPE_CHECKING:
    import onnx

CLIPPING = ("Relu", "Clip")
"""Activations that a range does: the quantizer takes them out."""


def plain_ranges(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[str, Range]:
    """Ranges of a float graph's values; an activation that clips has one of its own."""
    views = [NodeView(node) for node in graph.nodes]
    known = {name: observed[name] for name in graph.computed_values()}
    found = solve(views, known)
    for view in views:
        if view.op in CLIPPING and view.outputs[0] in observed:
            found[view.outputs[0]] = cover(*observed[view.outputs[0]])
    return found


def clip_early(graph: FloatGraph, ranges: dict[str, Range]) -> None:
    """Give what only a clipping activation reads its range, through ops that move elements.

    Saturating at the activation's range is what the activation does; with the wider range before
    it a convolution would be rounded to half as many levels. The DSP model has one range for both.
    """
    for node in graph.nodes:
        if node.op_type not in CLIPPING or str(node.outputs[0].name) not in ranges:
            continue
        value = node.inputs[0]
        while value is not None and len(value.uses()) == 1 and not value.is_graph_output():
            maker = value.producer()
            if maker is None or len(maker.outputs) != 1:
                break
            ranges[str(value.name)] = ranges[str(node.outputs[0].name)]
            value = maker.inputs[0] if maker.op_type in SELECTIONS else None


def dsp_ranges(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
    samples: Samples | None,
    ranges: Ranges | None,
    settings: Settings,
    plain: FloatGraph,
) -> dict[str, Range]:
    """The ranges that a DSP model has for values of the plain graph, but those that clip."""
    graph, _ = prepared(source, shapes, settings)
    observed = observed_ranges(graph, samples, ranges, settings).ranges
    bounded, _ = calibrate.rewrite_by_ranges(graph, observed)
    calibrate.bound_constants(graph, bounded)
    protect(graph)
    passes.fuse(graph, bounded, settings)
    found = solve([NodeView(node) for node in graph.nodes], bounded)
    own = {view.outputs[0] for view in map(NodeView, plain.nodes) if view.op in CLIPPING}
    return {name: found[name] for name in plain.computed_values() if name in found.keys() - own}
