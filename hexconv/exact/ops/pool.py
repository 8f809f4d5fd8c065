"""Pools and means of uint8 tensors (simulator/kernels/pool.py, reduce.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hexconv.exact.arithmetic import (
    bit_length,
    exponent,
    mul_frac,
    mul_frac32,
    power2,
    round_int,
    sat16,
    shift_left,
    shift_right,
    shift_round,
    wrap16,
    wrap32,
    zero_code,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ops.conv import borders
from hexconv.exact.ranges import adjust_range
from hexconv.exact.value import (
    Attribute,
    Scope,
    Value,
    larger,
    maximum,
    minimum,
    smaller,
    table,
    where,
)
from hexconv.simulator.kernels.pool import (
    NINTHS,
    SQRT0,
    SQRT1,
    SQRT2,
    is_three_by_three,
    l2_axis,
    simplify,
)
from hexconv.simulator.numerics.integral_sums import edge_scale
from hexconv.simulator.numerics.window import WindowAxis, covered, plan_axis

Lists = dict[str, list[int]]
WHOLE = 0x8000
"""One, as a fraction with 15 bits."""


def windows(call: ExactCall) -> tuple[WindowAxis, WindowAxis]:
    """Rows and columns of a pool whose window and stride are inputs 3 and 4."""
    _, height, width, _ = call.shapes[0]
    window, stride = call.shapes[3], call.shapes[4]
    padding, op = call.node.padding, call.node.op
    return (
        plan_axis(height, window[1], stride[1], padding, op),
        plan_axis(width, window[2], stride[2], padding, op),
    )


@exact("QuantizedMaxPool_8", "QuantizedMaxPool_8_d32")
def max_pool(call: ExactCall) -> Form:
    """The largest code of each window."""
    rows, columns = windows(call)

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """The largest code of each window; what lies outside counts as code 0 (op_maxpool.c)."""
        padded = data.pad(Attribute("pads"), 0).transpose([0, 3, 1, 2])
        how: dict[str, Any] = {"kernel_shape": Attribute("window"), "strides": Attribute("strides")}
        return [body.op("MaxPool", padded, **how).transpose([0, 2, 3, 1]), low, high]

    attributes = {
        "pads": borders(rows, columns),
        "window": [rows.window, columns.window],
        "strides": [rows.stride, columns.stride],
    }
    return Form(build, (0, 1, 2), attributes)


def starts(axis: WindowAxis) -> list[int]:
    """Where windows begin, in the padded tensor."""
    return [i * axis.stride for i in range(axis.out)]


def spans(rows: WindowAxis, columns: WindowAxis) -> Lists:
    """Where windows begin and end."""
    return {
        "tops": starts(rows),
        "bottoms": [start + rows.window for start in starts(rows)],
        "lefts": starts(columns),
        "rights": [start + columns.window for start in starts(columns)],
    }


def integral(data: Value) -> Value:
    """Sums over all rows above and columns to the left, with a row and a column of zeros."""
    body = data.body
    image = data.pad([0, 1, 1, 0, 0, 0, 0, 0], 0)
    for axis in (1, 2):
        image = body.op("CumSum", image, body.constant(axis, "int64"))
    return image


def differences(image: Value) -> Value:
    """Sums of windows from an integral image."""
    for axis, first, last in ((1, "tops", "bottoms"), (2, "lefts", "rights")):
        ends = (image.gather(image.body.ints(Attribute(name)), axis) for name in (last, first))
        behind, before = ends
        image = behind - before
    return image


def _inside(body: Scope, rows: WindowAxis, columns: WindowAxis) -> Value:
    """(1,Ho,Wo,1): how many samples inside the tensor each window covers."""
    down = body.given(covered(rows), "int64").reshape([1, -1, 1, 1])
    return down * body.given(covered(columns), "int64").reshape([1, 1, -1, 1])


@exact("QuantizedAvgPool_8")
def avg_pool_flat(call: ExactCall) -> Form:
    """The mean over what lies inside."""
    rows, columns = windows(call)

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """The sum by a truncated 32768/count, rounded (avgpool_execute_slice_asm)."""
        total = differences(integral(data.to("int64").pad(Attribute("pads"), 0)))
        share = minimum(body.constant(WHOLE, "int64") / _inside(body, rows, columns), WHOLE - 1)
        return [(shift_right(total * share + 0x4000, 15) % 256).to("uint8"), low, high]

    attributes = {"pads": borders(rows, columns), **spans(rows, columns)}
    return Form(build, (0, 1, 2), attributes)


@exact("QuantizedAvgPool_8_d32")
def avg_pool(call: ExactCall) -> Form:
    """The library has a way of its own for 1x1 results, 3x3 and 2x2."""
    rows, columns = (simplify(axis) for axis in windows(call))
    crop = {"crop": [rows.size, columns.size]}
    if rows.out == 1 and columns.out == 1:
        padded = call.shapes[0][3] % 32 != 0
        suffix = "_to_1x1" + ("_of_padded_depth" if padded else "")
        return Form(_to_one_padded if padded else _to_one, (0, 1, 2), crop, suffix)
    if is_three_by_three(rows, columns):
        return Form(_three_by_three, (0, 1, 2), {**crop, **_means(rows, columns)}, "_3x3")
    if rows.window == columns.window == 2 and columns.stride == 2:
        attributes = {**crop, "pads": borders(rows, columns), **spans(rows, columns)}
        return Form(_two_by_two, (0, 1, 2), attributes, "_2x2")
    count = rows.window * columns.window
    shift = (count - 1).bit_length() + 1 if count > 1 else 1
    share = ((16384 << shift) // count + 1) >> 1
    build = _integral_mean(_continued(rows), _continued(columns), shift, share)
    return Form(build, (0, 1, 2), {**crop, **spans(rows, columns)})


def _cropped(data: Value) -> Value:
    body = data.body
    return body.op(
        "Slice", data, body.ints([0, 0]), body.ints(Attribute("crop")), body.ints([1, 2])
    )


def _means(rows: WindowAxis, columns: WindowAxis) -> Lists:
    """Each line of the extended tensor as the mean of two; a line and itself is the line."""
    lists = {}
    for name, axis in (("rows", rows), ("columns", columns)):
        first, second = list(range(axis.size)), list(range(axis.size))
        if axis.before:
            first, second = [0, *first], [1, *second]
        if axis.after:
            first, second = [*first, axis.size - 1], [*second, axis.size - 2]
        lists[f"{name}_a"], lists[f"{name}_b"] = first, second
    return lists


def _three_by_three(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
    """Means of 3x3; the border is the mean of the two lines next to it.

    Source: avgpool_process_slice_special.
    """
    wide = _cropped(data).to("int64")
    for axis, name in ((1, "rows"), (2, "columns")):
        pair = [wide.gather(body.ints(Attribute(f"{name}_{end}")), axis) for end in "ab"]
        wide = shift_right(pair[0] + pair[1] + 1, 1)
    for axis in (1, 2):
        last = wide.shape().slice(axis, axis + 1, 0)
        wide = (
            wide.slice(0, last - 2, axis)
            + wide.slice(1, last - 1, axis)
            + wide.slice(2, last, axis)
        )
    return [table(body, NINTHS).gather(wide), low, high]


def _two_by_two(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
    """Means of 2x2; the border repeats the edge (avgpool_2x2_inner_func)."""
    wide = body.op("Pad", _cropped(data).to("int64"), body.ints(Attribute("pads")), mode="edge")
    total = differences(integral(wide))
    return [shift_right(total + 2, 2).to("uint8"), low, high]


Continued = tuple[list[int], list[int], list[int]]
"""A line of the integral image for each of the longer one, whether it is mirrored, its scale."""


def _continued(axis: WindowAxis) -> Continued:
    """How the integral image goes on in front of and behind its lines.

    Each line of the result is by_15_bits(line, scale), or what is missing of that to the total.
    """
    reach = max(0, axis.window - 1 - axis.size)
    lines: list[tuple[int, int, int]] = []
    for p in range(axis.before, 0, -1):
        inside = p > reach
        scale = edge_scale(p, axis, reach) if inside else 0
        lines.append((axis.window - p if inside else 0, 0, scale))
    lines += [(line, 0, WHOLE) for line in range(axis.size + 1)]
    for p in range(1, axis.after + 1):
        line = axis.size - min(axis.size, axis.window - p)
        lines.append((line, 1, edge_scale(p, axis, reach)))
    places, mirrored, scales = (list(column) for column in zip(*lines, strict=True))
    return places, mirrored, scales


def _integral_mean(
    rows: Continued, columns: Continued, shift: int, share: int
) -> Callable[..., list[Value]]:
    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Sums of 256 * code, scaled by 2^k / window size in two steps (consumer_run_row_hvx).

        Where a window reaches beyond the tensor, the library continues the integral image by what
        the rest of the window holds (integral_buffer.c).
        """
        image = integral(_cropped(data).to("int64")) * 256
        image = _continue(_continue(image, 2, columns), 1, rows)
        sums = wrap32(differences(image))
        by, factor = body.given([shift], "int64"), body.given([share], "int64")
        mean = mul_frac(sat16(shift_round(sums, by)), factor)
        return [shift_round(mean, 6).clip(0, 255).to("uint8"), low, high]

    return build


def _continue(image: Value, axis: int, how: Continued) -> Value:
    body = image.body
    shape = [1] * 4
    shape[axis] = -1
    places, mirrored, scales = (body.given(part, "int64") for part in how)
    mirrored, scales = mirrored.reshape(shape), scales.reshape(shape)
    lines = image.gather(places, axis)
    last = image.shape().slice(axis, axis + 1, 0)
    total = image.slice(last - 1, last, axis) * mirrored
    sign = 1 - mirrored * 2
    return total + sign * mul_frac32(total + sign * lines, scales)


def _to_one(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
    """One mean a channel, the range taken from the results (avgpool_reduce_to_1x1)."""
    return _mean_of_all(body, data, low, high, padded=False)


def _to_one_padded(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
    """One mean a channel; the padding up to 32 channels holds zero while the range is found."""
    return _mean_of_all(body, data, low, high, padded=True)


def _mean_of_all(body: Scope, data: Value, low: Value, high: Value, *, padded: bool) -> list[Value]:
    wide = _cropped(data).to("int64")
    sizes = wide.shape()
    area = (sizes.slice(1, 2, 0) * sizes.slice(2, 3, 0)).to("float32")
    unit = (high - low) / (area * 255.0)
    zero = -low / unit
    sums = wide.sum([1, 2])
    smallest, largest = sums.reduce("Min"), sums.reduce("Max")
    if padded:
        middle = round_int(zero)
        smallest, largest = minimum(smallest, middle), maximum(largest, middle)
    out_low = smaller(0.0, smallest.to("float32") - zero) * unit
    out_high = larger(0.0, largest.to("float32") - zero) * unit
    out_high = larger(out_high, out_low + 0.001)
    value_range = out_high - out_low
    widen = unit * 255.1 / value_range
    narrow = unit * 255.1 >= value_range
    out_low, out_high = (
        where(narrow, out_low * widen, out_low),
        where(narrow, out_high * widen, out_high),
    )
    out_low, out_high, _, per_unit = adjust_range(out_low, out_high)
    target = unit * per_unit
    shift = minimum(maximum(-exponent(target), 0), 31)
    scale = sat16(round_int(target * power2(shift + 15)))
    actual = scale.to("float32") * power2(-shift - 15)
    over_scale = where(out_low < 0, -out_low * per_unit / actual, 0.0)
    offset = round_int((over_scale - zero) * 2.0)
    scaled = shift_right(mul_frac32(wrap32(sums * 2 + offset), scale), shift)
    return [sat16(shift_round(scaled, 1)).clip(0, 255).to("uint8"), out_low, out_high]


@exact("QuantizedL2Pool_8")
def l2_pool(call: ExactCall) -> Form:
    """The root of the mean square."""
    rows, columns = (l2_axis(axis, call.node.op) for axis in windows(call))

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """The root of the mean square of each window, range 0 .. max-min (l2pool_execute_ref)."""
        distance = data.to("int64") - zero_code(low, high)
        squares = (distance * distance).pad(Attribute("pads"), 0)
        total = differences(integral(squares))
        share = (body.constant(65536, "int64") / _inside(body, rows, columns) + 1) / 2
        mean = shift_right(wrap32(total * share + 0x4000), 15) % 0x10000
        step = (high - low) / 255.0
        return [root(mean), body.constant([[[[0.0]]]], "float32"), step * 255.0]

    attributes = {"pads": borders(rows, columns), **spans(rows, columns)}
    return Form(build, (0, 1, 2), attributes)


@shared
def root(squares: Value) -> Value:
    """The square root of uint16 as uint8 (sqrt_fx of op_sqrth_8.h)."""
    body = squares.body
    up = 16 - bit_length(squares)
    normal = shift_left(squares, up)
    segment, x = normal / 2048 % 16, normal % 2048
    y = wrap16(
        _mul_frac_once(table(body, SQRT2).gather(segment), x) + table(body, SQRT1).gather(segment)
    )
    y = wrap16(_mul_frac_once(y, x) + table(body, SQRT0).gather(segment))
    odd = (up % 2).equal(1)
    y = shift_right(where(odd, _mul_frac_once(y, 23170), y), up / 2)
    roots = minimum(shift_right(y + 64, 7), 255)
    return where(squares.equal(0), 0, roots).to("uint8")


def _mul_frac_once(a: Value, b: Value | int) -> Value:
    return sat16(shift_right(a * b + 0x4000, 15))
