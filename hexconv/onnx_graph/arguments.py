"""Checks that ONNX's shape inference lacks: axes and amounts of single ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

LARGEST = 2**28 - 1
"""Most elements of a tensor that is computed: 1 GiB as the int32 sums that the library makes."""

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]


def constant_input(node: ir.Node, position: int) -> npt.NDArray[Any] | None:
    """A constant input; None where it is absent or computed."""
    value = node.inputs[position] if position < len(node.inputs) else None
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _number(node: ir.Node, name: str, default: int) -> int:
    attr = node.attributes.get(name)
    return default if attr is None else int(attr.as_int())


def _outside(axis: int, shape: Shape | None) -> str:
    if shape is None or -len(shape) <= axis < len(shape):
        return ""
    return f"axis {axis} is outside of a tensor of rank {len(shape)}"


def _last_axis(node: ir.Node, shapes: Shapes) -> str:
    return _outside(_number(node, "axis", -1), shapes[0])


def _gather_elements(node: ir.Node, shapes: Shapes) -> str:
    data, index = shapes[:2]
    if data is not None and index is not None and len(data) != len(index):
        return f"indices of rank {len(index)} for data of rank {len(data)}"
    return _outside(_number(node, "axis", 0), data)


def _gather_nd(node: ir.Node, shapes: Shapes) -> str:
    (data, index), batch = shapes[:2], _number(node, "batch_dims", 0)
    if data is None or index is None:
        return ""
    if not 0 <= batch < min(len(data), len(index)) or data[:batch] != index[:batch]:
        return f"batch_dims {batch} with data {list(data)} and indices {list(index)}"
    if index[-1] > len(data) - batch:
        return f"{index[-1]} indices for {len(data) - batch} axes"
    return ""


def _scatter_elements(node: ir.Node, shapes: Shapes) -> str:
    index, updates = shapes[1], shapes[2]
    if index != updates:
        return f"indices have shape {index}, updates {updates}"
    return _gather_elements(node, shapes)


def _scatter_nd(node: ir.Node, shapes: Shapes) -> str:
    data, index, updates = shapes[:3]
    if data is None or index is None or updates is None:
        return ""
    if not index:
        return "the indices have rank 0"
    wanted = (*index[:-1], *data[index[-1] :])
    if index[-1] > len(data) or updates != wanted:
        return f"updates have shape {list(updates)}, must have {list(wanted)}"
    return ""


def _reverse_sequence(node: ir.Node, shapes: Shapes) -> str:
    batch, time = _number(node, "batch_axis", 1), _number(node, "time_axis", 0)
    data, lengths = shapes[0], constant_input(node, 1)
    if {batch, time} != {0, 1} or data is None or len(data) < 2:
        return f"batch_axis {batch} and time_axis {time} are not 0 and 1"
    if shapes[1] != (data[batch],):
        return f"{data[batch]} sequences have lengths of shape {shapes[1]}"
    if lengths is not None and not ((lengths >= 0) & (lengths <= data[time])).all():
        return f"lengths from {lengths.min()} to {lengths.max()} of {data[time]} elements"
    return ""


def _cumsum(node: ir.Node, shapes: Shapes) -> str:
    axis = constant_input(node, 1)
    if axis is None:
        return ""
    return f"{axis.size} axes" if axis.size != 1 else _outside(int(axis.item()), shapes[0])


def _axes(node: ir.Node, shapes: Shapes) -> str:
    axes = constant_input(node, 1)
    return "" if axes is None or axes.ndim == 1 else f"axes of rank {axes.ndim}, must be 1"


def _lp_norm(node: ir.Node, shapes: Shapes) -> str:
    order = _number(node, "p", 2)
    return f"p is {order}, must be 1 or 2" if order not in (1, 2) else _last_axis(node, shapes)


def _lrn(node: ir.Node, shapes: Shapes) -> str:
    size = _number(node, "size", 0)
    return f"a window of {size} channels" if size < 1 else ""


def _mvn(node: ir.Node, shapes: Shapes) -> str:
    attr = node.attributes.get("axes")
    axes = [0, 2, 3] if attr is None else list(attr.as_ints())
    return next(filter(None, (_outside(axis, shapes[0]) for axis in axes)), "")


def _groups(node: ir.Node, shapes: Shapes) -> str:
    count, data = _number(node, "num_groups", 1), shapes[0]
    if data is None:
        return ""
    if len(data) < 2:
        return f"the input has shape {data}, which has no channels"
    if count >= 1 and data[1] % count == 0:
        return ""
    return f"{data[1]} channels do not divide into {count} groups"


def _order(node: ir.Node, shapes: Shapes) -> str:
    order = _number(node, "p", 2)
    return f"p is {order}, must be 1 or more" if order < 1 else ""


def too_wide(node: ir.Node, shapes: Shapes) -> str:
    """Whether the padded input of a window op has more elements than a tensor may have."""
    data, kernel = shapes[0], _integers(node, "kernel_shape", ())
    if data is None or len(data) < 3:
        return ""
    extents = kernel or ((shapes[1] or ())[2:] if len(shapes) > 1 else ())
    spread = _integers(node, "dilations", (1,) * len(extents))
    reach = [(size - 1) * step + 1 for size, step in zip(extents, spread, strict=False)]
    pads = _integers(node, "pads", (0,) * 2 * len(reach))
    both = [begin + end for begin, end in zip(pads, pads[len(reach) :], strict=False)]
    padded = [size + max(pad, wide) for size, pad, wide in zip(data[2:], both, reach, strict=False)]
    if prod(padded) <= LARGEST:
        return ""
    return f"windows over {padded} elements, {LARGEST} at most are supported"


def _integers(node: ir.Node, name: str, default: Sequence[int]) -> Sequence[int]:
    attr = node.attributes.get(name)
    return default if attr is None else [int(number) for number in attr.as_ints()]


def _pool(node: ir.Node, shapes: Shapes) -> str:
    """A window all in the padding would be the mean, or the maximum, of nothing."""
    wrong = _order(node, shapes) or too_wide(node, shapes)
    kernel, pads = node.attributes.get("kernel_shape"), node.attributes.get("pads")
    if wrong or kernel is None or pads is None:
        return wrong
    sizes = list(kernel.as_ints())
    dilations = node.attributes.get("dilations")
    spread = list(dilations.as_ints()) if dilations is not None else [1] * len(sizes)
    reach = [(size - 1) * step + 1 for size, step in zip(sizes, spread, strict=False)] * 2
    if any(pad >= extent for pad, extent in zip(pads.as_ints(), reach, strict=False)):
        return f"pads {list(pads.as_ints())} as wide as the window {sizes}"
    return ""


def _depth_to_space(node: ir.Node, shapes: Shapes) -> str:
    size, data = _number(node, "blocksize", 1), shapes[0]
    if data is not None and len(data) == 4 and size > 0 and data[1] % (size * size):
        return f"{data[1]} channels do not divide into blocks of {size}x{size}"
    return ""


def _space_to_depth(node: ir.Node, shapes: Shapes) -> str:
    size, data = _number(node, "blocksize", 1), shapes[0]
    if data is None or len(data) != 4 or size < 1 or not (data[2] % size or data[3] % size):
        return ""
    return f"an image of {data[2]}x{data[3]} does not divide into blocks of {size}x{size}"


def _resize(node: ir.Node, shapes: Shapes) -> str:
    scales = constant_input(node, 2)
    if scales is not None and not (np.isfinite(scales) & (scales > 0)).all():
        return f"scales are {scales.tolist()}"
    sizes = constant_input(node, 3)
    if sizes is not None and (sizes < 1).any():
        return f"sizes are {sizes.tolist()}"
    return ""


def _celu(node: ir.Node, shapes: Shapes) -> str:
    alpha = node.attributes.get("alpha")
    if alpha is None or alpha.as_float():
        return ""
    return "alpha is 0, and Celu divides by it"


def _transpose(node: ir.Node, shapes: Shapes) -> str:
    perm, data = node.attributes.get("perm"), shapes[0]
    if perm is None or data is None or len(perm.as_ints()) == len(data):
        return ""
    return f"a permutation of {len(perm.as_ints())} axes for a tensor of rank {len(data)}"


ARGUMENTS: dict[str, Callable[[ir.Node, Shapes], str]] = {
    "AveragePool": _pool,
    "Celu": _celu,
    "CumSum": _cumsum,
    "DepthToSpace": _depth_to_space,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "GlobalLpPool": _order,
    "GroupNormalization": _groups,
    "LRN": _lrn,
    "LayerNormalization": _last_axis,
    "LpNormalization": _lp_norm,
    "LpPool": _pool,
    "MaxPool": _pool,
    "MeanVarianceNormalization": _mvn,
    "RMSNormalization": _last_axis,
    **{
        f"Reduce{kind}": _axes
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum")
    },
    "ReduceSumSquare": _axes,
    "Resize": _resize,
    "ReverseSequence": _reverse_sequence,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "SpaceToDepth": _space_to_depth,
    "Transpose": _transpose,
}
