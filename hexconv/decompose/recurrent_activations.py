"""The activations of LSTM, GRU and RNN, with parameters of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder

Activation = Callable[[ir.Value], ir.Value]

DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
PARAMETERS: dict[str, tuple[float | None, ...]] = {
    "Affine": (None, None),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "Relu": (),
    "ScaledTanh": (None, None),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": (1.0,),
}
"""The defaults of alpha and beta of those that have them; None: the node has to give it."""
NAMES = ("alpha", "beta")

Chosen = tuple[str, tuple[float | None, ...]]


def chosen(op: str, attrs: Mapping[str, Any], directions: int) -> list[Chosen]:
    """The activations of a node and their alpha and beta, which the node lists in this order.

    Args:
        op: LSTM, GRU or RNN.
        attrs: of the node.
        directions: 1 or 2.
    """
    given = [iter(attrs.get(f"activation_{name}", ())) for name in NAMES]
    names: Sequence[str] = attrs.get("activations", DEFAULTS[op] * directions)
    return [(name, tuple(_values(name, given))) for name in names]


def _values(name: str, given: Sequence[Iterator[float]]) -> Iterator[float | None]:
    for default, numbers in zip(PARAMETERS.get(name, ()), given, strict=False):
        yield next(numbers, default)


def unsupported_activation(activations: Sequence[Chosen]) -> str:
    """Why one of the activations is not computed; empty if all are."""
    for name, values in activations:
        if name not in PARAMETERS:
            return f"the activation {name}"
        if None in values:
            return f"the activation {name} without its alpha and beta"
    return ""


def activation(one: Chosen, limit: float, builder: FloatBuilder) -> Activation:
    """A function that makes the nodes of an activation, its input clipped to +-limit unless 0."""
    name, values = one
    numbers = [np.float32(value) for value in values if value is not None]

    def apply(value: ir.Value) -> ir.Value:
        if limit:
            value = builder.op("Clip", [value, np.float32(-limit), np.float32(limit)])
        if name == "Affine":
            return builder.op("Add", [builder.op("Mul", [value, numbers[0]]), numbers[1]])
        if name == "ScaledTanh":
            scaled = builder.op("Tanh", [builder.op("Mul", [value, numbers[1]])])
            return builder.op("Mul", [scaled, numbers[0]])
        return builder.op(name, [value], dict(zip(NAMES, map(float, numbers), strict=False)))

    return apply
