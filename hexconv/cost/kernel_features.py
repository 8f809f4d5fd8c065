"""Quantities of specific op families: convolutions, products, transpositions."""

from __future__ import annotations

from math import prod

from hexconv.cost.facts import Facts
from hexconv.cost.features import D32, VECTOR, d32_vectors, feature, up
from hexconv.cost.supernode import division
from hexconv.cost.supernode_v65 import ring_division
from hexconv.cost.transpose import Strategy, strategy
from hexconv.nnlib.convolution_code import weight_slice_bytes


def transposition(facts: Facts) -> Strategy:
    """The strategy of Transpose, or of moving blocks between space and batch (op_batchspace.c)."""
    if facts.op == "Transpose_8":
        return strategy(facts.first, facts.ints.get("perm", ()))
    if facts.op == "Transpose_f":
        return strategy(facts.first, facts.ints.get("perm", ()), 4)
    bh, bw = (*facts.ints.get("block", ()), 1, 1)[:2]
    if facts.op.startswith("SpaceToBatch"):
        b, h, w, d = facts.first
        return strategy((b, up(h, bh), bh, up(w, bw), bw, d), (2, 4, 0, 1, 3, 5))
    b, h, w, d = facts.first
    return strategy((bh, bw, max(1, b // (bh * bw)), h, w, d), (2, 3, 0, 4, 1, 5))


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
    """Positions that the input supernode gathers windows for: columns by 4, rows of the kernel."""
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
    """d32 vectors of the input times kernel positions: the sums that zero points need."""
    kh, kw, _, _ = facts.inputs[1]
    return d32_vectors(facts.first) * kh * kw


@feature
def conv_items(facts: Facts) -> float:
    """Work items of a convolution on v66."""
    return division(facts).items


@feature
def conv_calls(facts: Facts) -> float:
    """Calls of the inner routine of a convolution on v66."""
    return division(facts).calls


@feature
def conv_slices(facts: Facts) -> float:
    """Slices of 32 output channels in the calls of a convolution on v66."""
    return division(facts).slices


@feature
def conv_macs(facts: Facts) -> float:
    """Multiply-accumulates of a convolution on v66, with those of padding that it computes."""
    kh, kw, depth, _ = facts.inputs[1]
    return division(facts).vectors * VECTOR * kh * kw * up(depth, D32) * D32


@feature
def conv_macs_strided(facts: Facts) -> float:
    """`conv_macs` of a convolution that steps over columns."""
    return conv_macs(facts) if facts.ints.get("stride", (1, 1, 1, 1))[2] > 1 else 0


@feature
def conv_vectors(facts: Facts) -> float:
    """d32 vectors that a convolution on v66 computes."""
    return division(facts).vectors


@feature
def ring_items(facts: Facts) -> float:
    """Work items of a convolution on v65."""
    return ring_division(facts).items


@feature
def ring_copied(facts: Facts) -> float:
    """d32 vectors of the input that a convolution on v65 copies into circular buffers."""
    _, _, width, depth = facts.first
    return ring_division(facts).lines * up(width, 4) * up(depth, D32)


@feature
def ring_calls(facts: Facts) -> float:
    """Slices and pairs of slices over the output rows of a convolution on v65."""
    work = ring_division(facts)
    return work.pairs + work.singles


@feature
def ring_pairs(facts: Facts) -> float:
    """Groups of columns by pairs of slices that a convolution on v65 computes."""
    work = ring_division(facts)
    return work.pairs * work.groups


@feature
def ring_singles(facts: Facts) -> float:
    """Groups of columns by slices without a partner that a convolution on v65 computes."""
    work = ring_division(facts)
    return work.singles * work.groups


@feature
def ring_pair_macs(facts: Facts) -> float:
    """Multiply-accumulates of a convolution on v65 in pairs of slices."""
    work = ring_division(facts)
    return ring_pairs(facts) * work.columns * 2 * weight_slice_bytes(facts.inputs[1])


@feature
def ring_single_macs(facts: Facts) -> float:
    """Multiply-accumulates of a convolution on v65 in slices without a partner."""
    return ring_singles(facts) * ring_division(facts).columns * weight_slice_bytes(facts.inputs[1])


@feature
def conv_copied(facts: Facts) -> float:
    """Vectors of weights that a convolution on v66 copies into VTCM while it computes."""
    return division(facts).copied / VECTOR


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
    """Elements of the output that are not in a full vector of 32 columns."""
    return prod(facts.out[:3]) * (facts.out[3] % D32)


@feature
def ragged_tiles(facts: Facts) -> float:
    """Rows of the output whose columns do not end on a vector of 32."""
    return prod(facts.out[:3]) if facts.out[3] % D32 else 0


# ---- transposition


@feature
def turn_calls(facts: Facts) -> float:
    """Calls of a transposition's inner routine."""
    return transposition(facts).calls


@feature
def turn_runs(facts: Facts) -> float:
    """Contiguous runs that a transposition moves."""
    return transposition(facts).runs


@feature
def turn_blocks(facts: Facts) -> float:
    """Blocks of a bulk transposition."""
    return transposition(facts).blocks


@feature
def turn_vectors(facts: Facts) -> float:
    """Vectors that a transposition touches."""
    return transposition(facts).vectors


@feature
def turn_ragged(facts: Facts) -> float:
    """Vectors of a bulk transposition in rows that do not end on one."""
    return transposition(facts).ragged


@feature
def turn_unaligned(facts: Facts) -> float:
    """Contiguous runs whose length is no multiple of 16 bytes."""
    found = transposition(facts)
    return found.runs if found.run % 16 else 0
