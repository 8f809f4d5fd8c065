"""Resize in the two modes that the library has; the others were decomposed before."""

from __future__ import annotations

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView

OPS = {"nearest": "ResizeNearestNeighbor_8", "linear": "QuantizedResizeBilinear_8"}
# Canonical forms (decompose/resize.py), and whether they set align_corners.
ALIGNED = {
    ("nearest", "asymmetric", "floor"): 0,
    ("nearest", "align_corners", "round_prefer_ceil"): 1,
    ("linear", "asymmetric", ""): 0,
    ("linear", "align_corners", ""): 1,
}


@lowers("Resize", tie=Tie.COPY)
def resize(node: NodeView, ctx: Context) -> None:
    """ResizeNearestNeighbor_8 or QuantizedResizeBilinear_8 of an image's H and W."""
    source, output = node.input(0), node.outputs[0]
    mode = str(node.attr("mode", "nearest"))
    transform = str(node.attr("coordinate_transformation_mode", "half_pixel"))
    rounding = str(node.attr("nearest_mode", "round_prefer_floor")) if mode == "nearest" else ""
    before, after = ctx.shape(source), ctx.shape(output)
    align = ALIGNED.get((mode, transform, rounding))
    if len(before) != 4 or before[:2] != after[:2] or align is None or not node.has(3):
        raise UnsupportedOpError(
            f"a Resize of {list(before)} to {list(after)}, {mode} and {transform}",
            why="the positions read depend on the run, or differ between ONNX and "
            "ONNX Runtime, or the interpolation matrix is too large for a product",
            hint="give constant scales or sizes, without cropping or an aspect ratio policy; "
            "nearest runs at any size",
        )
    node.done(3, "cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias")
    layout = Layout.channels_last(4)
    tensor = ctx.take(source, layout)
    builder = ctx.builder
    inputs = [
        tensor.data,
        builder.ints(f"{output}_size", after[2:]),
        tensor.min,
        tensor.max,
        builder.ints(f"{output}_align", [align]),
    ]
    ctx.bind(output, layout, ctx.copied(OPS[mode], inputs, tensor, layout.shape(after), output))
