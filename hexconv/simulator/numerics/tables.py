"""uint8 values through a table of 256."""

from __future__ import annotations

import numpy as np

from hexconv import native
from hexconv.arrays import Array


def look_up(table: Array, codes: Array) -> Array:
    """table[codes]: the result for each value, uint8 or float32."""
    passes = native.library()
    if passes is None or codes.dtype != np.uint8:
        found: Array = np.take(table, codes)
        return found
    if table.dtype == np.float32:
        return passes.dequantize(table, codes)
    return passes.look_up(table, codes)
