"""Bilinear resizes (simulator/kernels/resize.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hexconv.exact.arithmetic import mul_frac, shift_right
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.ops.movement import passing
from hexconv.exact.value import Attribute, Scope, Value
from hexconv.simulator.kernels.resize import ResizeAxis, late_rounding, plan_d32, plan_flat


@exact("QuantizedResizeBilinear_8", "QuantizedResizeBilinear_8_d32")
def bilinear(call: ExactCall) -> Form:
    """Bilinear, in the way that the library has for these sizes."""
    plan_for = plan_d32 if call.node.op.endswith("_d32") else plan_flat
    align = len(call.node.inputs) > 4 and int(call.const(4).flat[0]) != 0
    height, width = call.ints(1)[:2]
    plan = plan_for(call.shapes[0], height, width, align)
    reads = passing(call, 0, (2, 3))
    if plan.rows is None or plan.columns is None:
        return Form(_copied, reads, suffix="_to_own_size")
    build, suffix = WAYS[plan.way]
    attributes: dict[str, Any] = {**_lists("rows", plan.rows), **_lists("columns", plan.columns)}
    if plan.way == "double":
        attributes = {name: part for name, part in attributes.items() if "weight" not in name}
        attributes["rounding"] = late_rounding(call.shapes[0][2]).tolist()
    return Form(build, reads, attributes, suffix)


def _lists(name: str, axis: ResizeAxis) -> dict[str, Any]:
    """Where each new position looks, and how far it is on the way to the second."""
    return {
        f"{name}_first": axis.first.tolist(),
        f"{name}_second": axis.second.tolist(),
        f"{name}_weight": axis.weight.tolist(),
    }


def _pair(data: Value, name: str, axis: int) -> tuple[Value, Value]:
    """The two old lines of every new one."""
    body = data.body
    first, second = (body.ints(Attribute(f"{name}_{part}")) for part in ("first", "second"))
    return data.gather(first, axis), data.gather(second, axis)


def _weights(body: Scope, name: str) -> Value:
    """Whole weights, along their axis."""
    shape = [1, -1, 1, 1] if name == "rows" else [1, 1, -1, 1]
    return body.ints(Attribute(f"{name}_weight")).reshape(shape)


def _copied(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """The same size: the codes stay."""
    return [data, *ends]


def _double(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """Twice the size (do_bilin_interp_x2_single_slice_HVX).

    Means along a row are cut, and so are those between rows, but for a row's last vector.
    """
    left, right = _pair(data.to("int64"), "columns", 2)
    top, below = _pair((left + right) / 2, "rows", 1)
    rounding = body.ints(Attribute("rounding")).reshape([1, 1, -1, 1])
    return [((top + below + rounding) / 2).to("uint8"), *ends]


def _fixed_point(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """Rows with 7 fraction bits, then columns with 15 (do_bilin_interp_general_all_HVX)."""
    top, below = _pair(data.to("int64"), "rows", 1)
    weight = _weights(body, "rows")
    start, end = _pair(top * (128 - weight) + below * weight, "columns", 2)
    moved = start + shift_right((end - start) * _weights(body, "columns") * 2 + 0x8000, 16)
    return [shift_right(moved + 64, 7).to("uint8"), *ends]


def _whole(times: int) -> Callable[..., list[Value]]:
    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """Exact weights, one rounding, edges repeated (resizebilinear_2x and _4x)."""
        top, below = _pair(data.to("int64"), "rows", 1)
        weight = _weights(body, "rows")
        left, right = _pair(top * (times - weight) + below * weight, "columns", 2)
        across = _weights(body, "columns")
        both = left * (times - across) + right * across
        return [((both + times * times // 2) / (times * times)).to("uint8"), *ends]

    return build


def _aligned(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """Columns with 7 fraction bits, then rows with 15 (resizebilinear_hvx)."""
    left, right = _pair(data.to("int64"), "columns", 2)
    weight = _weights(body, "columns")
    start, end = _pair(left * (128 - weight) + right * weight, "rows", 1)
    moved = start + mul_frac(end - start, _weights(body, "rows"))
    return [shift_right(moved + 64, 7).clip(0, 255).to("uint8"), *ends]


def _in_float(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """float32 throughout (resizebilinear_general)."""
    across, down = (
        body.floats(Attribute(f"{name}_weight", "floats")).reshape(shape)
        for name, shape in (("columns", [1, 1, -1, 1]), ("rows", [1, -1, 1, 1]))
    )
    start, end = _pair(data.to("float32"), "columns", 2)
    upper, lower = _pair(start + (end - start) * across, "rows", 1)
    return [(upper + (lower - upper) * down + 0.5).to("uint8"), *ends]


WAYS: dict[str, tuple[Callable[..., list[Value]], str]] = {
    "double": (_double, "_doubled"),
    "fixed": (_fixed_point, ""),
    "times 2": (_whole(2), "_by_2"),
    "times 4": (_whole(4), "_by_4"),
    "aligned": (_aligned, "_aligned"),
    "float": (_in_float, "_in_float"),
}
