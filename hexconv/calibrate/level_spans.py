"""Which part of the range of a model's input x - mean(x) takes, sample by sample.

MACE quantizes an input over the range that it has in a run. Where the levels of x are subtracted
(unlike_rows.py), the result is clipped at one range's width; where that lies around zero differs
from sample to sample, and the range of the loudest one does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.unlike_rows import centered, norm_of, of_run, span_name
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder

LEAST = 1e-30
"""Width of a silent sample: its span is zero."""


def centered_inputs(graph: FloatGraph) -> Iterator[tuple[ir.Node, ir.Value, ir.Value]]:
    """For each norm of a model's input its square, x - mean(x), and x."""
    for node in graph.nodes:
        norm = norm_of(node)
        value = None if norm is None else centered(norm)
        if norm is not None and value is not None and of_run(value):
            yield node, norm.source, value


def compute_span(builder: FloatBuilder, difference: ir.Value, value: ir.Value) -> None:
    """Compute x - mean(x) in widths of x's range of the run, under a name of its own."""
    name = span_name(difference)
    zero = np.float32(0.0)
    most = builder.op("ReduceMax", [value], {"keepdims": 1}, name=f"{name}/most")
    least = builder.op("ReduceMin", [value], {"keepdims": 1}, name=f"{name}/least")
    top = builder.op("Max", [most, zero], name=f"{name}/top")
    bottom = builder.op("Min", [least, zero], name=f"{name}/bottom")
    width = builder.op("Sub", [top, bottom], name=f"{name}/width")
    there = builder.op("Max", [width, np.float32(LEAST)], name=f"{name}/there")
    builder.op("Div", [difference, there], name=name)
