"""Functions of one variable that run as a 256-entry table."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hexconv.annotations import notes_of
from hexconv.lowering import lookup
from hexconv.lowering.context import Context
from hexconv.lowering.registry import lowers
from hexconv.onnx_graph import NodeView

Values = npt.NDArray[np.float64]
Maker = Callable[[NodeView], lookup.Function]


def erf(x: Values) -> Values:
    """The error function, element by element (256 values: no need for a vector version)."""
    return np.array([math.erf(v) for v in x.reshape(-1)]).reshape(x.shape)


def softplus(x: Values) -> Values:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x)


def round_half_even(x: Values) -> Values:
    """ONNX Round."""
    return np.rint(x)


PLAIN: dict[str, lookup.Function] = {
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": lambda x: 1.0 / x,
    "Erf": erf,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sign": np.sign,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": round_half_even,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tan": np.tan,
    "Asin": np.arcsin,
    "Acos": np.arccos,
    "Atan": np.arctan,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Asinh": np.arcsinh,
    "Acosh": np.arccosh,
    "Atanh": np.arctanh,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1.0 + np.abs(x)),
    "Mish": lambda x: x * np.tanh(softplus(x)),
}


def _gelu(node: NodeView) -> lookup.Function:
    if str(node.attr("approximate", "none")) == "tanh":
        scale = math.sqrt(2.0 / math.pi)
        return lambda x: 0.5 * x * (1.0 + np.tanh(scale * (x + 0.044715 * x**3)))
    return lambda x: 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def _elu(node: NodeView) -> lookup.Function:
    alpha = float(node.attr("alpha", 1.0))
    return lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def _selu(node: NodeView) -> lookup.Function:
    # The two constants are ONNX's own defaults (Klambauer et al. 2017, eq. 14).
    alpha = float(node.attr("alpha", 1.67326319217681884765625))
    gamma = float(node.attr("gamma", 1.05070102214813232421875))
    return lambda x: gamma * np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def _celu(node: NodeView) -> lookup.Function:
    alpha = float(node.attr("alpha", 1.0))
    return lambda x: np.maximum(x, 0.0) + np.minimum(0.0, alpha * np.expm1(x / alpha))


def _hard_sigmoid(node: NodeView) -> lookup.Function:
    alpha, beta = float(node.attr("alpha", 0.2)), float(node.attr("beta", 0.5))
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def _swish(node: NodeView) -> lookup.Function:
    alpha = float(node.attr("alpha", 1.0))
    return lambda x: x * lookup.logistic(alpha * x)


def _thresholded(node: NodeView) -> lookup.Function:
    alpha = float(node.attr("alpha", 1.0))
    return lambda x: np.where(x > alpha, x, 0.0)


def _shrink(node: NodeView) -> lookup.Function:
    lambd, bias = float(node.attr("lambd", 0.5)), float(node.attr("bias", 0.0))
    return lambda x: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))


WITH_ATTRIBUTES: dict[str, Maker] = {
    "Gelu": _gelu,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "HardSigmoid": _hard_sigmoid,
    "Swish": _swish,
    "QuickGelu": _swish,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
}


def function_of(node: NodeView) -> lookup.Function:
    """The float function that a unary node computes."""
    if node.op in PLAIN:
        return PLAIN[node.op]
    return WITH_ATTRIBUTES[node.op](node)


SATURATING: dict[str, lookup.Function] = {"Sigmoid": lookup.logistic, "Tanh": np.tanh}
"""Functions with nodes of their own that are constant far from 0."""


def one_variable(node: NodeView) -> lookup.Function | None:
    """The function that a node computes of its input alone, if it is one."""
    if node.op == "Lookup":
        found: lookup.Function = notes_of(node.node).functions
        return found
    if (node.op in PLAIN and node.op != "Neg") or node.op in WITH_ATTRIBUTES:
        return function_of(node)
    return SATURATING.get(node.op)


@lowers(*PLAIN, *WITH_ATTRIBUTES)
def by_table(node: NodeView, ctx: Context) -> None:
    """CastUInt8ToInt32 and Table_8."""
    lookup.apply(ctx, node.input(0), function_of(node), node.outputs[0])


@lowers("Lookup")
def chain_by_table(node: NodeView, ctx: Context) -> None:
    """A chain of functions that was fused into one (optimize/fusions/unary_chain)."""
    lookup.apply(ctx, node.input(0), notes_of(node.node).functions, node.outputs[0])


@lowers("Rescale")
def rescale(node: NodeView, ctx: Context) -> None:
    """A product with a positive constant: the same values under another range, no node."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    tensor = ctx.pinned(source, form.tensor)
    ctx.bind_order(
        output, form.layout.order, ctx.rescaled(tensor, float(node.attr("factor")), output)
    )
