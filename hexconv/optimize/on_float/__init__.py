"""Rewrites of the float graph that change the values of tensors.

All but `magnitudes` are exact in real numbers.
"""

from hexconv.optimize.on_float import (  # noqa: F401, I001  (they register; the order matters)
    shared_expressions,
    activation_behind_pool,
    magnitudes,
    stacked_slices,
    slices_and_concats,
    cuts_into_products,
    pointwise_as_product,
    norm_affine_into_linear,
    norm_affine_beside_sum,
    norm_centering,
    sums_of_convolutions,
    convolutions_of_one_input,
)
