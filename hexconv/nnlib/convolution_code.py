"""Which version's code computes a convolution in d32.

v65 and v66 have code of their own, which keeps weights in VTCM and squeezes them to int8
(docs/nnlib/shipped-library.md#squeeze). They compute with v60's code, and do not squeeze, where
VTCM does not hold the weights of 32 output channels; v66 also where the kernel steps over more
than two columns (nnlib src/op_supernode_new.c, supernode_check).
"""

from __future__ import annotations

from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.versions import LibraryVersion

CONVOLUTION = "Supernode_8x8p32to8_d32"
"""The executed op with several versions of code; the other products have one, without squeezing."""
STRIDE = 6
"""Its input whose sizes are the strides."""
VTCM_BYTES = 256 << 10
SLICE = 32
"""Output channels that are computed together; input channels are padded to as many."""
WIDEST_STRIDE = 2
"""Columns that v66's own code steps over at most."""


def code_version(weights: Shape4, column_stride: int, library: LibraryVersion) -> LibraryVersion:
    """The version whose code computes a convolution with weights (kh,kw,in,out) in `library`."""
    too_wide = library == "v66" and column_stride > WIDEST_STRIDE
    return "v60" if too_wide or weight_slice_bytes(weights) > VTCM_BYTES else library


def weight_slice_bytes(weights: Shape4) -> int:
    """Bytes of the weights of 32 output channels."""
    kh, kw, depth, _ = weights
    return kh * kw * -(-depth // SLICE) * SLICE * SLICE
