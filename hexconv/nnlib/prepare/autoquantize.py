"""Quantize over Min_f and Max_f becomes AutoQuantize; that of a small const is computed here."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.prepare.mutable_graph import Op, Work

LARGEST_CONST = 8192


def quantize_const(values: Array) -> tuple[Array, np.float32, np.float32]:
    """uint8 values and range, zero an integer (prepare.c try_subst_autoquantize_const)."""
    low = np.float32(min(float(values.min()), 0.0))
    high = np.float32(max(float(values.max()), 0.0))
    if low == high:
        high = np.float32(0.125)
    elif low != 0:
        low, high = whole_zero(low, high)
    scale = np.float32(255.0) / np.float32(high - low)
    scaled = (values.astype(np.float32) - low) * scale
    rounded = np.floor(np.abs(scaled) + np.float32(0.5))
    return np.clip(np.copysign(rounded, scaled), 0, 255).astype(np.uint8), low, high


def whole_zero(low: np.float32, high: np.float32) -> tuple[np.float32, np.float32]:
    """Move one end until zero is an integer (quantize.c adjust_minmax_for_zero), in float32."""
    f = np.float32
    zero = f(f(-255.0) * low) / f(high - low)
    whole = np.floor(zero)
    part = f(zero - whole)
    if part <= f(2.0**-14) or part >= f(1 - 2.0**-14):
        return low, high
    if whole > 0 and (whole > 253 or (part - f(1)) * low >= part * high):
        return low, f(low - f(f(255.0) * low) / whole)
    return f(f(high * (whole + f(1))) / (whole - f(254.0))), high


def run(work: Work) -> None:
    """prepare.c make_autoquantize."""
    if not any(op.op in ("Quantize", "AutoQuantize") for op in work.ops):
        return
    for op in work.ops:
        if op.op == "Quantize":
            if [work.producer(ref) for ref in op.inputs[1:3]] != ["Min_f", "Max_f"]:
                continue
            op.op, op.inputs = "AutoQuantize", op.inputs[:1]
        if op.op == "AutoQuantize" and len(op.inputs) == 1:
            fold_const(work, op)
    work.index()


def fold_const(work: Work, op: Op) -> None:
    """Readers of an AutoQuantize of a const read consts instead."""
    values = work.array(op.inputs[0])
    if values is None or values.size > LARGEST_CONST:
        return
    if not np.isfinite(values).all():
        raise GraphError("AutoQuantize of a const that contains NaN or infinity", where=op.where)
    codes, low, high = quantize_const(values)
    work.redirect(op.ref(0), work.const(codes, f"{op.name}/codes"))
    work.redirect(op.ref(1), work.scalar(float(low)))
    work.redirect(op.ref(2), work.scalar(float(high)))
