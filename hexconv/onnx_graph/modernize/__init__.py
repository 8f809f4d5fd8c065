"""One rule a change of ONNX: together they bring opsets 7 to the newest to one."""

from hexconv.onnx_graph.modernize import (  # noqa: F401  (importing registers the rules)
    attributes,
    auto_pad,
    casts,
    compress,
    identity,
    microsoft,
    norm,
    quantized,
    recurrent,
    resize,
    softmax,
    split,
)
