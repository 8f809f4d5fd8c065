"""Fusions: several float nodes that become one node of the library. Ranges are known here."""

from hexconv.optimize.fusions import (  # noqa: F401, I001  (they register; the order matters)
    gelu_by_sigmoid,
    sums_by_channel,
    delta_stream,
    scalar_into_range,
    linear,
    affine,
    activation_into_range,
    linear_over_image,
    linear_over_heads,
    one_projection,
    fold_time,
    prelu_own_range,
    unary_chain,
    tanh_in_range,
)
