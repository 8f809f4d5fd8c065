"""What the kernels' loops run over: the quantities that packets are linear in.

A quantity is a function of a node's facts; the coefficients stand in op_tables/cost. The variant of
a node tells apart the kernels behind one op (by axes, by broadcast, by strategy).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from hexconv.cost.facts import Facts
from hexconv.cost.transpose import Strategy, strategy
from hexconv.nnlib.layout import Shape4

VECTOR = 128
D32 = 32

Feature = Callable[[Facts], float]
FEATURES: dict[str, Feature] = {}


def feature(function: Feature) -> Feature:
    """Register a function as the quantity of its name."""
    if function.__name__ in FEATURES:
        raise ValueError(f"two features named {function.__name__}")
    FEATURES[function.__name__] = function
    return function


def up(number: int, unit: int) -> int:
    """How many units hold a number."""
    return -(-number // unit)


def d32_vectors(shape: Shape4) -> int:
    """Vectors of 4 columns by 32 channels (facts of layout d32: width by 4, depth by 32)."""
    b, h, w, d = shape
    return b * h * up(w, 4) * up(d, D32)


@feature
def one(facts: Facts) -> float:
    """The dispatch of the node."""
    return 1


@feature
def elements_out(facts: Facts) -> float:
    """Elements of all outputs."""
    return sum(map(prod, facts.outputs))


@feature
def elements_in(facts: Facts) -> float:
    """Elements of the first input."""
    return prod(facts.first)


@feature
def elements_all(facts: Facts) -> float:
    """Elements of all inputs."""
    return sum(map(prod, facts.inputs))


@feature
def second_thread(facts: Facts) -> float:
    """Whether there is a second row of width, which another thread takes."""
    return facts.out[0] * facts.out[1] > 1


@feature
def plane_threads(facts: Facts) -> float:
    """Threads that rows of width are spread over, at most 4."""
    return min(4, facts.out[0] * facts.out[1])


@feature
def block_threads(facts: Facts) -> float:
    """Threads that blocks of 32 channels are spread over, at most 4."""
    return min(4, up(facts.out[3], D32))


@feature
def table_entries(facts: Facts) -> float:
    """Entries of a table over codes that is made anew: at most 256, or one an element."""
    return min(prod(facts.out), 256)


@feature
def rows_out(facts: Facts) -> float:
    """Rows of depth of the first output."""
    return prod(facts.out[:3])


@feature
def rows_in(facts: Facts) -> float:
    """Rows of depth of the first input."""
    return prod(facts.first[:3])


@feature
def planes_out(facts: Facts) -> float:
    """Rows of width of the first output: batches times height."""
    return facts.out[0] * facts.out[1]


@feature
def planes_in(facts: Facts) -> float:
    """Rows of width of the first input: batches times height."""
    return facts.first[0] * facts.first[1]


@feature
def batches(facts: Facts) -> float:
    """Batches."""
    return facts.out[0]


@feature
def depth_out(facts: Facts) -> float:
    """Depth of the first output."""
    return facts.out[3]


@feature
def depth_in(facts: Facts) -> float:
    """Depth of the first input."""
    return facts.first[3]


@feature
def row_vectors_out(facts: Facts) -> float:
    """Vectors of 128 bytes, each row of depth rounded up."""
    return prod(facts.out[:3]) * up(facts.out[3], VECTOR)


@feature
def row_vectors_in(facts: Facts) -> float:
    """Vectors of 128 bytes of the first input, each row of depth rounded up."""
    return prod(facts.first[:3]) * up(facts.first[3], VECTOR)


@feature
def ragged_rows(facts: Facts) -> float:
    """Rows of depth of the first output that do not end on a vector."""
    return prod(facts.out[:3]) if facts.out[3] % VECTOR else 0


@feature
def ragged_blocks(facts: Facts) -> float:
    """Rows of depth that end within a block of 32."""
    return prod(facts.out[:3]) if facts.out[3] % D32 else 0


@feature
def row_blocks_out(facts: Facts) -> float:
    """Rows of depth times blocks of 32 of the first output."""
    return prod(facts.out[:3]) * up(facts.out[3], D32)


@feature
def row_blocks_in(facts: Facts) -> float:
    """Rows of depth times blocks of 32 of the first input."""
    return prod(facts.first[:3]) * up(facts.first[3], D32)


@feature
def plane_vectors_in(facts: Facts) -> float:
    """Vectors of 128 bytes of the first input, each row of width times depth rounded up."""
    b, h, w, d = facts.first
    return b * h * up(w * d, VECTOR)


@feature
def plane_vectors_out(facts: Facts) -> float:
    """Vectors of 128 bytes, each row of width times depth rounded up."""
    b, h, w, d = facts.out
    return b * h * up(w * d, VECTOR)


@feature
def d32_vectors_out(facts: Facts) -> float:
    """d32 vectors of all outputs."""
    return sum(map(d32_vectors, facts.outputs))


@feature
def d32_vectors_in(facts: Facts) -> float:
    """d32 vectors of the first input."""
    return d32_vectors(facts.first)


@feature
def d32_vectors_all(facts: Facts) -> float:
    """d32 vectors of all inputs."""
    return sum(map(d32_vectors, facts.inputs))


@feature
def d32_lines_out(facts: Facts) -> float:
    """Lines of width by 32 channels of the first output."""
    b, h, _, d = facts.out
    return b * h * up(d, D32)


@feature
def d32_lines_in(facts: Facts) -> float:
    """Lines of width by 32 channels of the first input."""
    b, h, _, d = facts.first
    return b * h * up(d, D32)


@feature
def d32_columns(facts: Facts) -> float:
    """Groups of 4 columns of the first input."""
    b, h, w, _ = facts.first
    return b * h * up(w, 4)


@feature
def slices_out(facts: Facts) -> float:
    """Blocks of 32 channels of the first output."""
    return up(facts.out[3], D32)


@feature
def slices_in(facts: Facts) -> float:
    """Blocks of 32 channels of the first input."""
    return up(facts.first[3], D32)


@feature
def inputs(facts: Facts) -> float:
    """How many tensors go in."""
    return len(facts.inputs)


@feature
def outputs(facts: Facts) -> float:
    """How many tensors come out."""
    return len(facts.outputs)


@feature
def window(facts: Facts) -> float:
    """Vectors of the output times places of the window."""
    places = facts.ints.get("window", (1, 1, 1, 1))
    return d32_vectors(facts.out) * prod(places)


@feature
def window_lines(facts: Facts) -> float:
    """Vectors of the output times rows of the window."""
    places = facts.ints.get("window", (1, 1, 1, 1))
    return d32_vectors(facts.out) * places[1]


# ---- convolutions: weights are (kernel height, kernel width, inputs, outputs)


@feature
def padded_macs(facts: Facts) -> float:
    """Multiply-accumulates of a convolution in d32: width by 4, both depths by 32."""
    kh, kw, depth, _ = facts.inputs[1]
    return d32_vectors(facts.out) * VECTOR * kh * kw * up(depth, D32) * D32


@feature
def shallow_macs(facts: Facts) -> float:
    """Multiply-accumulates of the input supernode, which pads the input depth to 4."""
    kh, kw, _, _ = facts.inputs[1]
    return d32_vectors(facts.out) * VECTOR * kh * kw * 4


@feature
def shallow_windows(facts: Facts) -> float:
    """Places that the input supernode gathers windows for: columns by 4, rows of the kernel."""
    kh, _, _, _ = facts.inputs[1]
    b, h, w, _ = facts.out
    return b * h * up(w, 4) * kh


@feature
def depthwise_macs(facts: Facts) -> float:
    """Multiply-accumulates of a depthwise convolution in d32."""
    kh, kw, _, _ = facts.inputs[1]
    return d32_vectors(facts.out) * kh * up(kw, 4)


@feature
def depthwise_rows(facts: Facts) -> float:
    """Vectors of the output times rows of the kernel."""
    return d32_vectors(facts.out) * facts.inputs[1][0]


@feature
def weight_blocks(facts: Facts) -> float:
    """Blocks of 32 by 32 weights."""
    kh, kw, depth, count = facts.inputs[1]
    return kh * kw * up(depth, D32) * up(count, D32)


@feature
def copied_in(facts: Facts) -> float:
    """d32 vectors of the input, once for every row of the kernel."""
    return d32_vectors(facts.first) * facts.inputs[1][0]


@feature
def activation_sums(facts: Facts) -> float:
    """d32 vectors of the input times the kernel's places: the sums that zero points need."""
    kh, kw, _, _ = facts.inputs[1]
    return d32_vectors(facts.first) * kh * kw


# ---- products: a (B,H,M,K) by b (B,H,K,N)


@feature
def product_macs(facts: Facts) -> float:
    """Multiply-accumulates, K by 16 and N by 32."""
    b, h, m, k = facts.first
    return b * h * m * up(k, 16) * 16 * up(facts.inputs[1][3], D32) * D32


@feature
def plain_macs(facts: Facts) -> float:
    """Multiply-accumulates as they are."""
    b, h, m, k = facts.first
    return b * h * m * k * facts.inputs[1][3]


@feature
def vector_macs(facts: Facts) -> float:
    """Multiply-accumulates with K by 4 and N by 128."""
    b, h, m, k = facts.first
    return b * h * m * up(k, 4) * 4 * up(facts.inputs[1][3], VECTOR) * VECTOR


@feature
def pair_macs(facts: Facts) -> float:
    """Multiply-accumulates, rows by 2."""
    b, h, m, k = facts.first
    return b * h * up(m, 2) * 2 * up(k, 16) * 16 * up(facts.inputs[1][3], D32) * D32


@feature
def row_tiles(facts: Facts) -> float:
    """Rows of a times vectors of 32 columns of b."""
    return prod(facts.first[:3]) * up(facts.inputs[1][3], D32)


@feature
def matrix_b(facts: Facts) -> float:
    """Elements of b."""
    return prod(facts.inputs[1])


@feature
def matrix_b_padded(facts: Facts) -> float:
    """Elements of b, K by 16 and N by 32."""
    b, h, k, n = facts.inputs[1]
    return b * h * up(k, 16) * 16 * up(n, D32) * D32


@feature
def matrix_a_padded(facts: Facts) -> float:
    """Elements of a, K by 16."""
    return prod(facts.first[:3]) * up(facts.first[3], 16) * 16


@feature
def ragged_columns(facts: Facts) -> float:
    """Elements of the output that are not in a whole vector of 32 columns."""
    return prod(facts.out[:3]) * (facts.out[3] % D32)


@feature
def ragged_tiles(facts: Facts) -> float:
    """Rows of the output whose columns do not end on a vector of 32."""
    return prod(facts.out[:3]) if facts.out[3] % D32 else 0


# ---- transposition


def _strategy(facts: Facts) -> Strategy:
    """The strategy of Transpose, or of moving blocks between space and batch (op_batchspace.c)."""
    if facts.op == "Transpose_8":
        return strategy(facts.first, facts.ints.get("perm", ()))
    bh, bw = (*facts.ints.get("block", ()), 1, 1)[:2]
    if facts.op.startswith("SpaceToBatch"):
        b, h, w, d = facts.first
        return strategy((b, up(h, bh), bh, up(w, bw), bw, d), (2, 4, 0, 1, 3, 5))
    b, h, w, d = facts.first
    return strategy((bh, bw, max(1, b // (bh * bw)), h, w, d), (2, 3, 0, 4, 1, 5))


@feature
def turn_calls(facts: Facts) -> float:
    """Calls of a transposition's inner routine."""
    return _strategy(facts).calls


@feature
def turn_runs(facts: Facts) -> float:
    """Contiguous pieces that a transposition moves."""
    return _strategy(facts).runs


@feature
def turn_blocks(facts: Facts) -> float:
    """Blocks of a bulk transposition."""
    return _strategy(facts).blocks


@feature
def turn_vectors(facts: Facts) -> float:
    """Vectors that a transposition touches."""
    return _strategy(facts).vectors


@feature
def turn_ragged(facts: Facts) -> float:
    """Vectors of a bulk transposition in rows that do not end on one."""
    return _strategy(facts).ragged


@feature
def turn_unaligned(facts: Facts) -> float:
    """Contiguous pieces whose length is no multiple of 16 bytes."""
    found = _strategy(facts)
    return found.runs if found.run % 16 else 0


# ---- variants

Variant = Callable[[Facts], str]


def _broadcast(facts: Facts) -> str:
    """How the smaller operand is spread."""
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
    """The step over W of a window, and for depthwise its width."""
    _, kw, _, _ = facts.inputs[1] if len(facts.inputs) > 1 else (1, 1, 1, 1)
    return f"{kw}s{facts.ints.get('stride', (1, 1, 1, 1))[2]}"


def _flat_depth(facts: Facts) -> str:
    """How the depth of a flat tensor fits into blocks of 32 (op_convert_d32.c)."""
    depth = facts.out[3]
    if depth <= D32:
        return "block" if depth == D32 else "narrow"
    if depth % D32:
        return "half" if depth % 16 == 0 else "odd"
    return "whole" if depth >= VECTOR else "few"


def _blocks(facts: Facts) -> str:
    """Whether space and batch fit, so that it is a transposition; else how wide its rows are."""
    if not any(facts.ints.get("pads", ())) and not any(facts.ints.get("crops", ())):
        return _strategy(facts).kind
    return "padded" if facts.out[3] > D32 else "padded narrow"


def _deep_blocks(facts: Facts) -> str:
    """One row of width is moved element by element, several by lines (op_batchspace_d32.c)."""
    return "row" if max(facts.first[1], facts.out[1]) == 1 else "plane"


def _grown(facts: Facts) -> str:
    """Doubling has vector code of its own."""
    return "double" if facts.out[1:3] == (2 * facts.first[1], 2 * facts.first[2]) else "other"


def _pool(facts: Facts) -> str:
    _, kh, kw, _ = facts.ints.get("window", (1, 1, 1, 1))
    _, _, sw, _ = facts.ints.get("stride", (1, 1, 1, 1))
    if facts.out[1:3] == (1, 1):
        return "global"
    return f"{kh}x{kw}s{sw}" if max(kh, kw) <= 3 else "wide"


VARIANTS: dict[str, Variant] = {
    **dict.fromkeys(
        [f"Quantized{op}{form}" for op in ("Add_8p8to8", "Sub_8p8to8", "Mul_8x8to8")
         for form in ("", "_d32")], _broadcast),
    **dict.fromkeys(["QuantizedMaximum_8", "QuantizedMinimum_8", "QuantizedDiv_8"], _broadcast),
    **dict.fromkeys(["QuantizedMean_8", "QuantizedSum_8to32"], _axes),
    **dict.fromkeys([f"Quantized{op}_8{form}" for op in ("Concat", "Split")
                     for form in ("", "_d32")], _join),
    **dict.fromkeys([f"Quantized{op}_8{form}" for op in ("Slice", "StridedSlice", "Pad")
                     for form in ("", "_d32")], _cut),
    **dict.fromkeys(["QuantizedMaxPool_8_d32", "QuantizedAvgPool_8_d32"], _pool),
    "Convert_from_d32": _flat_depth,
    **dict.fromkeys(["SpaceToBatchND_8_d32", "BatchToSpaceND_8_d32"], _deep_blocks),
    "QuantizedResizeBilinear_8_d32": _grown,
    **dict.fromkeys(["SpaceToBatchND_8", "BatchToSpaceND_8"], _blocks),
    "DepthwiseSupernode_8x8p32to8_d32": _stride,
    "Transpose_8": lambda facts: _strategy(facts).kind,
    **dict.fromkeys(["QuantizedMatMul_8x8to32", "QuantizedBatchMatMul_8x8to32",
                     "QuantizedMatMulDims_8x8p32to16", "QuantizedMatMul_8x8p32to16"], _product),
    "Gather_8": lambda facts: "table" if prod(facts.inputs[1][:3]) == 1 else "rows",
}  # fmt: skip


SAME_KERNEL = {
    **dict.fromkeys(
        [f"Quantized{op}_8" for op in ("Less", "LessEqual", "Greater", "GreaterEqual", "NotEqual")],
        "QuantizedEqual_8"),
    "QuantizedMinimum_8": "QuantizedMaximum_8",
    "QuantizedSub_16": "QuantizedAdd_16",
    "QuantizedSub_u16": "QuantizedAdd_u16",
}  # fmt: skip
"""Ops that run the code of another."""


def kernel(op: str) -> str:
    """The op under whose name an op's packets stand."""
    return SAME_KERNEL.get(op, op)


def variant(facts: Facts) -> str:
    """Which kernel of its op a node runs; "" where there is one."""
    known = VARIANTS.get(facts.op)
    return known(facts) if known else ""
