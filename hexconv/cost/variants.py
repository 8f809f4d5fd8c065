"""Which kernel of its op a node uses: by axes, by broadcast, by strategy."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from hexconv.cost.facts import Facts
from hexconv.cost.features import D32, VECTOR
from hexconv.cost.kernel_features import transposition

Variant = Callable[[Facts], str]


def _broadcast(facts: Facts) -> str:
    """How the smaller operand is broadcast."""
    if len(facts.inputs) < 2 or (facts.inputs[0] == facts.inputs[1] and prod(facts.out) > 1):
        return "same"
    small = min(facts.inputs[:2], key=prod)
    if small[3] == 1 and prod(small) > 1:
        return "row"
    if prod(small) == 1:
        return "scalar"
    return "depth" if prod(small[:3]) == 1 else "part"


def _axes(facts: Facts) -> str:
    """Which axes a reduction sums over; sizes of one do not count."""
    names = [
        name
        for name, before, after in zip("bhwd", facts.first, facts.out, strict=True)
        if before != after
    ]
    return "".join(names) or "none"


def _join(facts: Facts) -> str:
    """Along which axis a Concat or Split works."""
    parts, whole = sorted((facts.first, facts.out), key=prod)
    return next((n for n, p, w in zip("bhwd", parts, whole, strict=True) if p != w), "none")


def _cut(facts: Facts) -> str:
    """The innermost axis that a slice or pad shortens or lengthens."""
    changed = [n for n, a, b in zip("bhwd", facts.first, facts.out, strict=True) if a != b]
    return changed[-1] if changed else "none"


def _product(facts: Facts) -> str:
    """op_matmul.c: the vector code needs K to be a multiple of 16, unless there is one row."""
    return "scalar" if facts.first[3] % 16 and facts.first[2] > 1 else "vector"


def _stride(facts: Facts) -> str:
    """The stride over W of a window, and for depthwise its width."""
    _, kw, _, _ = facts.inputs[1] if len(facts.inputs) > 1 else (1, 1, 1, 1)
    return f"{kw}s{facts.ints.get('stride', (1, 1, 1, 1))[2]}"


def _steps(facts: Facts) -> str:
    """Whether a convolution steps over columns: v66 has other code for that."""
    return "strided" if facts.ints.get("stride", (1, 1, 1, 1))[2] > 1 else "plain"


def _flat_depth(facts: Facts) -> str:
    """How the depth of a flat tensor fits into blocks of 32 (op_convert_d32.c)."""
    depth = facts.out[3]
    if depth <= D32:
        return "block" if depth == D32 else "narrow"
    if depth % D32:
        return "half" if depth % 16 == 0 else "odd"
    return "whole" if depth >= VECTOR else "few"


def _blocks(facts: Facts) -> str:
    """Whether space and batch divide evenly, so that it is a transposition; else its row width."""
    if not any(facts.ints.get("pads", ())) and not any(facts.ints.get("crops", ())):
        return transposition(facts).kind
    return "padded" if facts.out[3] > D32 else "padded narrow"


def _deep_blocks(facts: Facts) -> str:
    """One row of width is moved element by element, several by lines (op_batchspace_d32.c)."""
    return "row" if max(facts.first[1], facts.out[1]) == 1 else "plane"


def _grown(facts: Facts) -> str:
    """Doubling has separate vector code."""
    return "double" if facts.out[1:3] == (2 * facts.first[1], 2 * facts.first[2]) else "other"


def _pool(facts: Facts) -> str:
    _, kh, kw, _ = facts.ints.get("window", (1, 1, 1, 1))
    _, _, sw, _ = facts.ints.get("stride", (1, 1, 1, 1))
    if facts.out[1:3] == (1, 1):
        return "global"
    return f"{kh}x{kw}s{sw}" if max(kh, kw) <= 3 else "wide"


VARIANTS: dict[str, Variant] = {
    **dict.fromkeys(
        [
            f"Quantized{op}{form}"
            for op in ("Add_8p8to8", "Sub_8p8to8", "Mul_8x8to8")
            for form in ("", "_d32")
        ],
        _broadcast,
    ),
    **dict.fromkeys(["QuantizedMaximum_8", "QuantizedMinimum_8", "QuantizedDiv_8"], _broadcast),
    **dict.fromkeys(["Add_f", "Sub_f", "Mul_f", "Maximum_f", "Minimum_f"], _broadcast),
    **dict.fromkeys(["QuantizedMean_8", "QuantizedSum_8to32"], _axes),
    **dict.fromkeys(
        [f"Quantized{op}_8{form}" for op in ("Concat", "Split") for form in ("", "_d32")], _join
    ),
    **dict.fromkeys(
        [
            f"Quantized{op}_8{form}"
            for op in ("Slice", "StridedSlice", "Pad")
            for form in ("", "_d32")
        ],
        _cut,
    ),
    **dict.fromkeys(["QuantizedMaxPool_8_d32", "QuantizedAvgPool_8_d32"], _pool),
    "Convert_from_d32": _flat_depth,
    **dict.fromkeys(["SpaceToBatchND_8_d32", "BatchToSpaceND_8_d32"], _deep_blocks),
    "QuantizedResizeBilinear_8_d32": _grown,
    **dict.fromkeys(["SpaceToBatchND_8", "BatchToSpaceND_8"], _blocks),
    "DepthwiseSupernode_8x8p32to8_d32": _stride,
    "Supernode_8x8p32to8_d32": _steps,
    **dict.fromkeys(["Transpose_8", "Transpose_f"], lambda facts: transposition(facts).kind),
    **dict.fromkeys(
        [
            "QuantizedMatMul_8x8to32",
            "QuantizedBatchMatMul_8x8to32",
            "QuantizedMatMulDims_8x8p32to16",
            "QuantizedMatMul_8x8p32to16",
        ],
        _product,
    ),
    "Gather_8": lambda facts: "table" if prod(facts.inputs[1][:3]) == 1 else "rows",
}


SAME_KERNEL = {
    **dict.fromkeys(
        [f"Quantized{op}_8" for op in ("Less", "LessEqual", "Greater", "GreaterEqual", "NotEqual")],
        "QuantizedEqual_8",
    ),
    "QuantizedMinimum_8": "QuantizedMaximum_8",
    "QuantizedSub_16": "QuantizedAdd_16",
    "QuantizedSub_u16": "QuantizedAdd_u16",
}
"""Ops that use the kernel of another op."""


def kernel(op: str) -> str:
    """The op under whose name an op's packets are listed."""
    return SAME_KERNEL.get(op, op)


def variant(facts: Facts) -> str:
    """Which kernel of its op a node uses; "" where there is only one."""
    known = VARIANTS.get(facts.op)
    return known(facts) if known else ""
