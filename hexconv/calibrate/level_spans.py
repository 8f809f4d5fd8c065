"""What decides how a norm of a model's input is computed, measured sample by sample.

MACE quantizes an input over the range that it has in a run. Where the levels of x are subtracted
(unlike_rows.py), the result is clipped at one range's width; where that lies around zero differs
from sample to sample, and the range of the loudest one does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.unlike_rows import (
    Norm,
    centered,
    heard_name,
    mean_name,
    norm_of,
    of_run,
    peak_name,
    span_name,
    squares_name,
)
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder

LEAST = 1e-30
"""Width of a silent sample: its span is zero."""
HEARD = 2e-5
"""Of the largest mean square of a sample: a row below it is silent, hardly one level loud."""


def norms_of_inputs(graph: FloatGraph) -> Iterator[Norm]:
    """Each norm of x or x - mean(x), x an input of the model."""
    for node in graph.nodes:
        norm = norm_of(node)
        if norm is not None and of_run(centered(norm) or norm.source):
            yield norm


def compute_spans(builder: FloatBuilder, norm: Norm) -> None:
    """Compute the mean squares of the rows that are not silent.

    Of x - mean(x) also itself, in widths of the range that x has in a run and in peaks of its row.
    """
    reduced = norm.reduced.outputs[0]
    builder.at(next(iter(reduced.uses())).node)
    _heard(builder, reduced, heard_name(norm))
    value = centered(norm)
    if value is not None:
        builder.at(norm.square)
        _in_widths(builder, norm.source, value)
        _in_peaks(builder, norm, value)


def _heard(builder: FloatBuilder, squares: ir.Value, name: str) -> None:
    """Mean squares of rows, the largest in the place of those of silent rows."""
    largest = builder.op("ReduceMax", [squares], {"keepdims": 1}, name=f"{name}/largest")
    least = builder.op("Mul", [largest, np.float32(HEARD)], name=f"{name}/least")
    silent = builder.op("Less", [squares, least], name=f"{name}/silent")
    builder.op("Where", [silent, largest, squares], name=name)


def _in_widths(builder: FloatBuilder, difference: ir.Value, value: ir.Value) -> None:
    name = span_name(difference)
    zero = np.float32(0.0)
    most = builder.op("ReduceMax", [value], {"keepdims": 1}, name=f"{name}/most")
    least = builder.op("ReduceMin", [value], {"keepdims": 1}, name=f"{name}/least")
    top = builder.op("Max", [most, zero], name=f"{name}/top")
    bottom = builder.op("Min", [least, zero], name=f"{name}/bottom")
    width = builder.op("Sub", [top, bottom], name=f"{name}/width")
    there = builder.op("Max", [width, np.float32(LEAST)], name=f"{name}/there")
    builder.op("Div", [difference, there], name=name)


def _in_peaks(builder: FloatBuilder, norm: Norm, value: ir.Value) -> None:
    """The same differences, and their mean squares, where each row's peak of x is 1."""
    name = peak_name(norm.source)
    axes = norm.reduced.inputs[1] if len(norm.reduced.inputs) > 1 else None
    sizes = builder.op("Abs", [value], name=f"{name}/sizes")
    peak = builder.op("ReduceMax", [sizes, axes], {"keepdims": 1}, name=f"{name}/peak")
    there = builder.op("Max", [peak, np.float32(LEAST)], name=f"{name}/there")
    share = builder.op("Div", [norm.source, there], name=name)
    scaled = builder.op("Div", [value, there], name=f"{name}/scaled")
    builder.op("ReduceMean", [scaled, axes], {"keepdims": 1}, name=mean_name(norm.source))
    square = builder.op("Mul", [share, share], name=f"{name}/square")
    squares = builder.op("ReduceMean", [square, axes], {"keepdims": 1}, name=f"{name}/squares")
    _heard(builder, squares, squares_name(norm.source))
