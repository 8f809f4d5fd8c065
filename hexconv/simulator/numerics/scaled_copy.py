"""Values moved by one scale and offset: nnlib's tensor_copy_scaled_d32 (tensor_copy_scaled.c)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.tables import look_up


@lru_cache(maxsize=1024)
def scaled_table(scale: int, offset: int) -> Array:
    """The 256 results: ((code*scale >> 8) + offset + 64) >> 7, saturated to uint8.

    Scales close to +-32768 with the matching offset are exactly a copy, or the ones' complement.
    """
    codes = np.arange(256, dtype=np.int32)
    if offset == 0 and 32704 <= scale <= 32767:
        return codes.astype(np.uint8)
    if offset == 32640 and -32768 <= scale <= -32705:
        return (255 - codes).astype(np.uint8)
    moved = np.clip(((codes * scale) >> 8) + offset, -32768, 32767)
    table: Array = np.clip((moved + 64) >> 7, 0, 255).astype(np.uint8)
    return table


def scaled_copy(codes: Array, scale: int, offset: int) -> Array:
    """Every uint8 value mapped through `scaled_table`."""
    return look_up(scaled_table(scale, offset), codes)
