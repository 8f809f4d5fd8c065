"""A product with a const scalar is folded into the ranges of the convolution before it."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import Ref
from hexconv.nnlib.prepare.mutable_graph import Op, Work

CONV_RANGES = (4, 5, 8, 9, 10, 11)
BATCHNORM_RANGES = (4, 5, 7, 8, 9, 10)
RANGES = {
    "Supernode_8x8p8to8": CONV_RANGES,
    "Supernode_8x8p32to8": CONV_RANGES,
    "DepthwiseSupernode_8x8p8to8": CONV_RANGES,
    "DepthwiseSupernode_8x8p32to8": CONV_RANGES,
    "QuantizedBatchNorm_8x8p8to8": BATCHNORM_RANGES,
    "QuantizedBatchNorm_8x8p32to8": BATCHNORM_RANGES,
}


def run(work: Work) -> None:
    """prepare.c try_fold_scalar_mpy, for Mul_8x8to32 before QuantizeDownAndShrinkRange_32to8."""
    if "QuantizedMul_8x8to32" not in work.appended:
        return
    for op in work.ops:
        if op.op == "QuantizeDownAndShrinkRange_32to8":
            fold(work, op)


def fold(work: Work, requantize: Op) -> None:
    """Scale the producer of the product and let the product's readers read it."""
    if work.producer(requantize.inputs[0]) != "QuantizedMul_8x8to32":
        return
    product = work.by_id[requantize.inputs[0].node]
    factor = scalar_factor(work, product)
    producer = work.by_id.get(product.inputs[0].node)
    if factor is None or factor < 0 or producer is None or producer.op not in RANGES:
        return
    if factor != 1:
        readers = work.readers.get(producer.id, [])
        positions = RANGES[producer.op]
        if any(reader is not product for reader in readers):
            return
        if any(work.array(producer.inputs[i]) is None for i in positions):
            return
        for i in positions:
            producer.inputs[i] = scaled(work, producer.inputs[i], factor)
    for port in range(3):
        work.redirect(requantize.ref(port), producer.ref(port))
    work.index()


def scalar_factor(work: Work, product: Op) -> np.float32 | None:
    """The const 1x1x1x1 second operand as a number (prepare.c read_float_from_qu8)."""
    code, low, high = (work.array(product.inputs[i]) for i in (1, 4, 5))
    if code is None or low is None or high is None or code.shape != (1, 1, 1, 1):
        return None
    bottom: np.float32 = low.flat[0]
    top: np.float32 = high.flat[0]
    steps = int(code.flat[0])
    if steps in (0, 255):
        return top if steps else bottom
    part = np.float32(np.float32(top - bottom) * np.float32(steps)) / np.float32(255.0)
    value: np.float32 = np.float32(bottom + part)
    return value


def scaled(work: Work, ref: Ref, factor: np.float32) -> Ref:
    """A const bound times `factor`; zero and infinities stay."""
    old = np.float32(work.consts[ref.node].array.flat[0])
    new = np.float32(factor * old)
    return ref if new == old else work.scalar(float(new))
