"""Resize: the source elements of each position are constant, so they are computed here.

ONNX Runtime itself computes the weights of an axis (a Resize of the unit matrix), whatever the
coordinate mode, rounding or kernel: the float model runs in it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.decompose.along import product_along
from hexconv.decompose.banded import blocks_of, product_of_blocks
from hexconv.decompose.between_two import Positions, between_two
from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import OPSET, FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.evaluate import Inputs, evaluate
from hexconv.onnx_graph.rules import DECOMPOSITIONS

Matrix = npt.NDArray[np.float32]

# The attributes that decide the weights of an axis.
OF_WEIGHTS = (
    "mode",
    "coordinate_transformation_mode",
    "nearest_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "antialias",
)
OF_POSITIONS = ("coordinate_transformation_mode",)
# Of the elements that far apart, a cubic kernel reads one at most.
COMB = 8
# Modes in which each element is read at one position, from two elements at most.
BETWEEN_TWO = ("nearest", "linear")
# A product with the interpolation matrix costs a multiply-accumulate for each of its entries.
LARGEST = 1 << 18
LARGEST_MATRIX = 1 << 28
# Elements of an axis without a matrix: its positions are constants of the model.
LONGEST = 1 << 22
# Interpolation by an integer factor has factor^2 phases, each a depthwise convolution.
MOST_PHASES = 16
TAPS = (3, 5)


@dataclass(frozen=True)
class ResizeAxis:
    """One axis that changes: result = source @ matrix, matrix (size, new size)."""

    axis: int
    matrix: Matrix

    @property
    def factor(self) -> int:
        """The integer factor by which the axis grows; 0 if it is none."""
        size, grown = self.matrix.shape
        return grown // size if grown % size == 0 else 0


@DECOMPOSITIONS.rule("Resize")
def resize(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """What the library's own two resizes compute stays a Resize, in one of two canonical forms.

    Other nearest ones are a Gather per axis. Other linear and cubic ones by an integer factor over
    both H and W are a depthwise convolution per phase and DepthToSpace; else a product with the
    interpolation matrix, one axis at a time. Of a long axis it is what is between two elements
    (linear), or a product for each part (cubic, and what is filtered against aliases).
    """
    value = node.inputs[0]
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    mode = str(attrs.get("mode", "nearest"))
    changes = _changes(node, attrs)
    if value is None or changes is None:
        return None
    name, between = str(node.name), mode in BETWEEN_TWO and not attrs.get("antialias")
    fits = all(max(change.size, change.grown) <= LONGEST for change in changes)
    if between and fits and any(change.is_long for change in changes):
        return _without_matrices(builder, value, changes, attrs, name)
    axes = _matrices(node, changes, attrs)
    if axes is None:
        return None
    if not axes:
        return [value]
    canonical = _canonical(axes, mode, shape_of(value))
    if canonical is not None:
        if _is(node, canonical):
            return None
        sizes = np.array(shape_of(node.outputs[0]), np.int64)
        return [builder.op("Resize", [value, None, None, sizes], canonical, name=name)]
    if mode == "nearest":
        for item in axes:
            index = item.matrix.argmax(axis=0).astype(np.int64)
            value = builder.op("Gather", [value, index], {"axis": item.axis})
        return [value]
    phases = _phases(axes, shape_of(value))
    if phases is not None:
        return [_by_phases(builder, value, axes[0].factor, phases, name)]
    for item in axes:
        value = _along(builder, value, item, between, name)
    return [value]


def _along(
    builder: FloatBuilder, value: ir.Value, item: ResizeAxis, between: bool, name: str
) -> ir.Value:
    """One axis: a product, or less than all of it where the matrix is large."""
    if item.matrix.size <= LARGEST:
        return product_along(builder, value, item.matrix, item.axis, name)
    if between:
        places = np.arange(len(item.matrix), dtype=np.float64)
        return between_two(builder, value, item.axis, places @ item.matrix, name)
    blocks = blocks_of(item.matrix, LARGEST)
    return product_of_blocks(builder, value, blocks, item.axis, name)


def _without_matrices(
    builder: FloatBuilder,
    value: ir.Value,
    changes: Sequence[_Change],
    attrs: dict[str, Any],
    name: str,
) -> Sequence[ir.Value] | None:
    """One axis after the other; None where ONNX Runtime finds another size than the model has."""
    for change in changes:
        read = positions(change.size, change.target, attrs)
        if read.size != change.grown:
            return None
        value = between_two(builder, value, change.axis, read, name)
    return [value]


@dataclass(frozen=True)
class _Change:
    """One axis whose size, or whose positions, change: `target` as for `interpolation`."""

    axis: int
    size: int
    grown: int
    target: tuple[str, Any]

    @property
    def is_long(self) -> bool:
        """Whether a matrix of its weights is too large to be made."""
        return max(self.size, self.grown) * self.size > LARGEST_MATRIX


def _changes(node: ir.Node, attrs: dict[str, Any]) -> list[_Change] | None:
    """The axes that change; None where sizes are computed, or depend on a region."""
    transform = attrs.get("coordinate_transformation_mode", "half_pixel")
    policy = attrs.get("keep_aspect_ratio_policy", "stretch")
    if transform == "tf_crop_and_resize" or policy != "stretch":
        return None
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    listed = [int(a) % len(before) for a in attrs.get("axes", range(len(before)))]
    inputs = [*node.inputs, None, None, None]
    scales, sizes = array_of(inputs[2]), array_of(inputs[3])
    if (scales is None) == (sizes is None):
        return None
    changes = []
    for position, axis in enumerate(listed):
        if sizes is not None:
            target: tuple[str, Any] = ("sizes", int(sizes[position]))
        else:
            assert scales is not None
            target = ("scales", float(scales[position]))
            grown = before[axis] * target[1]
            if transform == "align_corners" and abs(grown - round(grown)) > 1e-4:
                return None  # ONNX adds the fraction to the ratio, ONNX Runtime does not
        if before[axis] == after[axis] and target[1] in (1.0, after[axis]):
            continue
        changes.append(_Change(axis, before[axis], after[axis], target))
    return changes


def _matrices(
    node: ir.Node, changes: Sequence[_Change], attrs: dict[str, Any]
) -> list[ResizeAxis] | None:
    """The weights of each axis; None where ONNX Runtime finds another size than the model has."""
    axes = []
    for change in changes:
        if change.is_long:
            raise UnsupportedOpError(
                f"axis {change.axis} is resized from {change.size} to {change.grown} elements",
                node=str(node.name),
                op=node.op_type,
                why="the matrix of its weights would have more than 2^28 numbers",
            )
        matrix = interpolation(change.size, change.target, attrs)
        if matrix.shape[1] != change.grown:
            return None
        if not np.array_equal(matrix, np.eye(change.size)):
            axes.append(ResizeAxis(change.axis, matrix))
    return axes


def interpolation(size: int, target: tuple[str, Any], attrs: dict[str, Any]) -> Matrix:
    """(size, new size): column j has the weights of the source's elements in position j.

    Args:
        size: of the source.
        target: ("scales", factor) or ("sizes", new size).
        attrs: of the Resize node.
    """
    if attrs.get("mode") == "cubic" and not attrs.get("antialias"):
        return _cubic(size, target, attrs)
    matrix: Matrix = _run(np.eye(size, dtype=np.float32)[None, None], target, attrs)[0, 0]
    return matrix


def _cubic(size: int, target: tuple[str, Any], attrs: dict[str, Any]) -> Matrix:
    """The same for the four elements around each position, in time linear in the size.

    Every eighth element is a row of the image that is resized: of those, one is near a position.
    """
    rows = np.arange(COMB)[:, None]
    image = (np.arange(size) % COMB == rows).astype(np.float32)
    weights = _run(image[None, None], target, attrs)[0, 0]
    linear = {name: value for name, value in attrs.items() if name in OF_POSITIONS}
    near = np.floor(positions(size, target, {"mode": "linear", **linear})).astype(np.int64)
    read = near + (rows - near + COMB // 2) % COMB - COMB // 2
    inside = (read >= 0) & (read < size)
    matrix = np.zeros((size, near.size), np.float32)
    matrix[read[inside], np.broadcast_to(np.arange(near.size), read.shape)[inside]] = weights[
        inside
    ]
    return matrix


def positions(size: int, target: tuple[str, Any], attrs: dict[str, Any]) -> Positions:
    """(new size,): where each element is read, as `interpolation`: a Resize of 0, 1, 2, ..."""
    image = np.arange(size, dtype=np.float32)[None, None, None]
    read: Positions = _run(image, target, attrs)[0, 0, 0].astype(np.float64)
    return read


def _run(image: Matrix, target: tuple[str, Any], attrs: dict[str, Any]) -> Matrix:
    kept = {name: attrs[name] for name in OF_WEIGHTS if name in attrs}
    kind, amount = target
    inputs: Inputs
    if kind == "sizes":
        inputs = [image, None, None, np.array([*image.shape[:3], amount], np.int64)]
    else:
        inputs = [image, None, np.array([1, 1, 1, amount], np.float32)]
    resize = ir.node("Resize", [None] * len(inputs), kept)
    output: Matrix = evaluate(resize, inputs, OPSET)[0]
    return output


def _canonical(
    axes: Sequence[ResizeAxis], mode: str, shape: Sequence[int]
) -> dict[str, Any] | None:
    """The attributes of an equivalent library resize, if there is one.

    The library starts at the first element and steps by size / new size (asymmetric, floor), or by
    (size - 1) / (new size - 1) (align_corners), in op_resizenear.c and op_resizebilinear_d32.c.
    """
    if len(shape) != 4 or mode == "cubic" or any(item.axis < 2 for item in axes):
        return None
    for transform in ("asymmetric", "align_corners"):
        attrs = {"mode": mode, "coordinate_transformation_mode": transform}
        if mode == "nearest":
            attrs["nearest_mode"] = "floor" if transform == "asymmetric" else "round_prefer_ceil"
        if transform == "align_corners" and (len(axes) < 2 or 1 in axes[0].matrix.shape):
            continue
        if all(np.allclose(_library(item, attrs), item.matrix, atol=2**-7) for item in axes):
            return attrs
    return None


def _library(item: ResizeAxis, attrs: dict[str, Any]) -> Matrix:
    size, grown = item.matrix.shape
    less = 1 if attrs["coordinate_transformation_mode"] == "align_corners" else 0
    scale = np.float32(size - less) / np.float32(max(grown - less, 1))
    places = np.arange(grown, dtype=np.float32) * scale
    matrix = np.zeros((size, grown), np.float32)
    columns = np.arange(grown)
    if attrs["mode"] == "nearest":
        rounded = np.floor(places.astype(np.float64) + (0.5 if less else 0.0)).astype(np.int64)
        matrix[np.minimum(rounded, size - 1), columns] = 1.0
        return matrix
    first = np.minimum(places.astype(np.int64), size - 1)
    weight = np.where(first < size - 1, places - first, 0.0).astype(np.float32)
    matrix[first, columns] += 1.0 - weight
    matrix[np.minimum(first + 1, size - 1), columns] += weight
    return matrix


def _is(node: ir.Node, canonical: dict[str, Any]) -> bool:
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    sizes = len(node.inputs) > 3 and node.inputs[3] is not None
    return sizes and all(attrs.get(name) == value for name, value in canonical.items())


def _phases(axes: Sequence[ResizeAxis], shape: Sequence[int]) -> list[Matrix] | None:
    """(factor, taps) weights of H and W: position i * factor + p reads around i, edges repeated."""
    factor = axes[0].factor
    if len(shape) != 4 or [item.axis for item in axes] != [2, 3]:
        return None
    if factor < 2 or axes[1].factor != factor or factor * factor > MOST_PHASES:
        return None
    for taps in TAPS:
        weights = [_taps(item.matrix, factor, taps) for item in axes]
        found = [weight for weight in weights if weight is not None]
        if len(found) == 2:
            return found
    return None


def _taps(matrix: Matrix, factor: int, taps: int) -> Matrix | None:
    size, reach = matrix.shape[0], taps // 2
    middle = size // 2
    if not reach <= middle < size - reach:
        return None
    weights = matrix[middle - reach : middle + reach + 1, middle * factor : (middle + 1) * factor]
    expected = np.zeros_like(matrix)
    for place in range(size):
        for tap in range(taps):
            source = min(max(place + tap - reach, 0), size - 1)
            expected[source, place * factor : (place + 1) * factor] += weights[tap]
    same = np.allclose(expected, matrix, atol=2**-10)
    return np.ascontiguousarray(weights.T) if same else None


def _by_phases(
    builder: FloatBuilder, value: ir.Value, factor: int, phases: list[Matrix], name: str
) -> ir.Value:
    """A depthwise convolution for each position in the block, on the tensor with edges repeated."""
    channels, reach = shape_of(value)[1], phases[0].shape[1] // 2
    amounts = np.array([0, 0, reach, reach, 0, 0, reach, reach], np.int64)
    wide = builder.op("Pad", [value, amounts], {"mode": "edge"})
    parts = []
    for row in phases[0]:
        for column in phases[1]:
            kernel = np.tile(np.outer(row, column), (channels, 1, 1, 1)).astype(np.float32)
            parts.append(builder.op("Conv", [wide, kernel], {"group": channels}))
    joined = builder.op("Concat", parts, {"axis": 1})
    return builder.op("DepthToSpace", [joined], {"blocksize": factor}, name=name)
