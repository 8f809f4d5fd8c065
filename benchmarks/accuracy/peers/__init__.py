"""What other quantizers reach on the same samples, of those that are installed.

ONNX Runtime is; `pip install nncf`, `pip install aimet-onnx` (6 GB with its torch) and, for ONNX
Runtime's SmoothQuant, `pip install neural-compressor==2.6` add others, best in an environment of
their own. Activations uint8 by tensor, static; weights int8 by channel unless said.
"""

from __future__ import annotations

import sys

from benchmarks.accuracy.cases import Array, Case
from benchmarks.accuracy.peers import aimet, nncf, onnx_runtime

ROUNDING = (*onnx_runtime.settings(), *aimet.settings())
"""Settings that round all tensors between operators, as the DSP does."""
PART_FLOAT = nncf.settings()
"""Settings that leave sums, norms and activation functions in float."""


def quantized(case: Case, label: str) -> list[Array] | None:
    """What the held-out samples return in a setting; None where the tool fails.

    Args:
        case: the network.
        label: of `ROUNDING` or `PART_FLOAT`.
    """
    peer = next(peer for peer in (onnx_runtime, aimet, nncf) if label in peer.SETTINGS)
    try:
        return peer.quantized(case, label)
    except Exception as error:  # of any kind: the tool's own fault on this network
        print(f"{label}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
