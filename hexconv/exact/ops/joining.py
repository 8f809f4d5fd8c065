"""Tensors joined, split and looked up (simulator/kernels/concat_split.py, lookup.py, argmax.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hexconv.exact.arithmetic import (
    codes,
    div255,
    fixed_range,
    look_up,
    round_int,
    scaled_copy,
    shift_right,
    to_int,
)
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.ranges import zero_exact
from hexconv.exact.value import Attribute, Scope, Value, larger, maximum, minimum, smaller, where
from hexconv.simulator.kernels.lookup import gather_plan

UNITY_GAIN = 32704


def _parts(call: ExactCall) -> int:
    return (len(call.node.inputs) - 1) // 3


@exact("QuantizedConcat_8_d32", "QuantizedConcat_8", "QuantizedConcat_8_nond32")
def concat(call: ExactCall) -> Form:
    """Any axis in the d32 form, depth in the flat one."""
    count = _parts(call)
    scaled = (
        _d32_parts if call.node.op.endswith("_d32") and "non" not in call.node.op else _flat_parts
    )

    def build(body: Scope, *given: Value) -> list[Value]:
        """Inputs scaled to the union of their ranges, and joined.

        Inputs are the tensors, their minima, their maxima. Source: op_concat_d32.c, op_concat.c.
        """
        data, lows, highs = (given[i * count : (i + 1) * count] for i in range(3))
        parts, low, high = scaled(data, lows, highs)
        return [body.concat(parts, Attribute("axis", "int")), low, high]

    axis = int(call.const(0).flat[0])
    return Form(build, tuple(range(1, 3 * count + 1)), {"axis": axis}, f"_of_{count}")


Parts = tuple[list[Value], Value, Value]


def _union(lows: Sequence[Value], highs: Sequence[Value]) -> tuple[Value, Value]:
    low, high = lows[0], highs[0]
    for other_low, other_high in zip(lows[1:], highs[1:], strict=True):
        low, high = smaller(low, other_low), larger(high, other_high)
    return low, high


def _d32_parts(data: Sequence[Value], lows: Sequence[Value], highs: Sequence[Value]) -> Parts:
    low, high = _union(lows, highs)
    moved = zero_exact(low, high)
    positive = low > 0
    low, high = where(positive, 0.0, moved[0]), where(positive, high, moved[1])
    per_unit = 255.0 / (high - low)
    parts = []
    for part, part_low, part_high in zip(data, lows, highs, strict=True):
        offset = to_int((part_low - low) * per_unit * 128.0)
        gain = to_int(per_unit * ((part_high - part_low) / 255.0) * 32768.0)
        fits = (gain >= 0) & (gain <= 32767)
        parts.append(scaled_copy(part, where(fits, gain, 32767), offset))
    return parts, low, high


def _flat_parts(data: Sequence[Value], lows: Sequence[Value], highs: Sequence[Value]) -> Parts:
    low, high = _union(lows, highs)
    low = smaller(0.0, low)
    per_unit = 255.0 / (high - low)
    parts = []
    for part, own_low, part_high in zip(data, lows, highs, strict=True):
        part_low = smaller(0.0, own_low)
        step = div255(part_high - part_low)
        offset = maximum(round_int((part_low - low) / step), 0)
        gain = minimum(round_int(per_unit * step * 32768.0), 32767)
        code = codes(part.body)
        scaled = shift_right((code + offset) * gain + (1 << 14), 15).clip(0, 255)
        copies = offset.equal(0) & (gain >= UNITY_GAIN)
        parts.append(look_up(where(copies, code, scaled).to("uint8"), part))
    return parts, low, high


@exact("QuantizedFakeConcat_8_d32")
def fake_concat(call: ExactCall) -> Form:
    """Convolutions that wrote side by side."""
    count = _parts(call)

    def build(body: Scope, *given: Value) -> list[Value]:
        """Joined along depth; the range of the first stands for all."""
        data = body.concat(given[:count], 3)
        return [data, given[count], given[count + 1]]

    reads = (*range(1, count + 1), 1 + count, 1 + 2 * count)
    return Form(build, reads, suffix=f"_of_{count}")


@exact("QuantizedSplit_8", "QuantizedSplit_8_d32")
def split(call: ExactCall) -> Form:
    """Equal parts along one axis; the d32 form splits depth."""
    count = len(call.node.outputs) - 2
    wired = call.node.inputs[0] == call.node.inputs[1]
    axis = 3 if wired else int(call.const(0).flat[0]) % 4
    size = call.shapes[1][axis] // count

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Equal parts along one axis (op_split.c)."""
        places, along = body.ints(Attribute("places")), body.ints(Attribute("along"))
        parts = [
            data.slice(places.slice(i, i + 1, 0), places.slice(i + 1, i + 2, 0), along)
            for i in range(count)
        ]
        return [*parts, low, high]

    attributes = {"places": [size * i for i in range(count + 1)], "along": [axis]}
    return Form(build, (1, 2, 3), attributes, f"_in_{count}")


@exact("Gather_8", "Table_8")
def gather(call: ExactCall) -> Form:
    """Slices of a table along one of its dimensions."""
    options = [int(call.const(index).flat[0]) for index in range(4, len(call.node.inputs))]
    plan = gather_plan(call.node.op, call.shapes[0], call.shapes[1], options)
    inner_shape = call.shapes[1][4 - plan.table_rank :]

    def build(body: Scope, index: Value, values: Value, low: Value, high: Value) -> list[Value]:
        """values[index] along one axis; an index out of range is held in it (op_gather.c)."""
        last = body.given(inner_shape[plan.axis] - 1, "int64")
        inner = values.reshape(Attribute("values"))
        places = index.reshape(Attribute("places")).to("int64").clip(0, last)
        found = inner.gather(places, Attribute("axis", "int"))
        return [found.reshape(Attribute("shape")), low, high]

    attributes: dict[str, Any] = {
        "values": inner_shape,
        "places": call.shapes[0][4 - plan.index_rank :],
        "axis": plan.axis,
        "shape": call.shape,
    }
    return Form(build, (0, 1, 2, 3), attributes)


@exact("CastUInt8ToInt32")
def cast(call: ExactCall) -> Form:
    """Codes as int32."""

    def build(body: Scope, data: Value) -> list[Value]:
        """Codes as int32 (op_cast.c)."""
        return [data.to("int32")]

    return Form(build, (0,))


@exact("ArgMax_8", "ArgMax_8toInt32", "ArgMax_8_d32")
def argmax(call: ExactCall) -> Form:
    """Positions of the largest; the first of equals wins."""
    as_codes = call.node.op == "ArgMax_8"
    axis = int(call.const(1).flat[0]) % 4

    def build(body: Scope, data: Value) -> list[Value]:
        """Where the largest code is along an axis; the first of equals (op_argmax.c)."""
        how: dict[str, Any] = {"axis": Attribute("axis", "int"), "keepdims": 1}
        place = body.op("ArgMax", data.to("int32"), dtype="int64", **how)
        if as_codes:
            return [place.to("uint8"), *fixed_range(body, 0.0, 255.0)]
        return [place.to("int32")]

    return Form(build, (0,), {"axis": axis})
