"""One rule per change of ONNX: together they bring opsets from 7 on to one."""

from hexconv.onnx_graph.modernize import (  # noqa: F401  (importing registers the rules)
    attention,
    attributes,
    auto_pad,
    casts,
    compress,
    fused,
    guards,
    identity,
    infinities,
    microsoft,
    norm,
    quantized,
    quantized_weights,
    recurrent,
    resize,
    softmax,
    split,
)
