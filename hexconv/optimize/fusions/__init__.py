"""Fusions: several float nodes that become one node of the library. Ranges are known here."""

from hexconv.optimize.fusions import (  # noqa: F401  (importing registers; the order matters)
    scalar_into_range,
    linear,
    activation_into_range,
    unary_chain,
)
