"""Float ops on the DSP (simulator/kernels/float_ops.py, float_shape.py)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from hexconv.exact.arithmetic import reciprocal
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.value import Attribute, Scope, Value, where
from hexconv.simulator.kernels.float_shape import product_shape

BINARY = {"Add_f": "Add", "Sub_f": "Sub", "Mul_f": "Mul", "Maximum_f": "Max", "Minimum_f": "Min"}
UNARY: dict[str, Callable[[Value], Value]] = {
    "Neg_f": lambda x: -x,
    "Abs_f": lambda x: x.abs(),
    "Floor_f": lambda x: x.floor(),
    "Ceil_f": lambda x: x.body.op("Ceil", x),
    "Relu_f": lambda x: where(x > 0, x, 0.0),
    "Tanh_f": lambda x: in_double("Tanh", x),
    "Sigmoid_f": lambda x: (in_double("Tanh", x * 0.5) + 1.0) * 0.5,
}


def in_double(kind: str, x: Value) -> Value:
    """A function of float32, computed in float64 and rounded once."""
    return x.body.op(kind, x.to("float64")).to("float32")


@exact(*BINARY)
def binary(call: ExactCall) -> Form:
    """Two operands, each size equal or 1."""
    kind = BINARY[call.node.op]

    def build(body: Scope, a: Value, b: Value) -> list[Value]:
        """Element by element, in float32."""
        return [body.op(kind, a, b)]

    return Form(build, (0, 1))


@exact(*UNARY)
def unary(call: ExactCall) -> Form:
    """One operand."""
    function = UNARY[call.node.op]

    def build(body: Scope, x: Value) -> list[Value]:
        """Element by element; tanh in float64, rounded to float32."""
        return [function(x)]

    return Form(build, (0,))


@exact("PRelu_f")
def prelu(call: ExactCall) -> Form:
    """One alpha, or one a channel."""

    def build(body: Scope, x: Value, alpha: Value) -> list[Value]:
        """x, or x * alpha below zero."""
        return [where(x < 0, x * alpha.reshape([1, 1, 1, -1]), x)]

    return Form(build, (0, 1))


def running_sum(x: Value) -> Value:
    """The float32 sum along depth in the order of a plain loop."""
    sums = x.body.op("CumSum", x, x.body.constant(3, "int64"))
    last = sums.shape().slice(3, 4, 0)
    return sums.slice(last - 1, last, 3)


@exact("Softmax_f")
def softmax(call: ExactCall) -> Form:
    """Along depth."""
    with_beta = len(call.node.inputs) > 1

    def build(body: Scope, x: Value, *given: Value) -> list[Value]:
        """exp(beta * (x - max)) by the reciprocal of its sum; exp in float64, rounded."""
        shifted = x - x.reduce("Max", [3])
        powers = in_double("Exp", given[0] * shifted if given else shifted)
        total = running_sum(powers)
        return [powers * reciprocal(total)]

    suffix = "" if with_beta else "_without_beta"
    return Form(build, (0, 1) if with_beta else (0,), suffix=suffix)


@exact("LogSoftmax_f")
def log_softmax(call: ExactCall) -> Form:
    """Along depth."""

    def build(body: Scope, x: Value) -> list[Value]:
        """x - max - log(sum(exp(x - max))); exp and log in float64, rounded."""
        shifted = x - x.reduce("Max", [3])
        return [shifted - in_double("Log", running_sum(in_double("Exp", shifted)))]

    return Form(build, (0,))


@exact("Concat_f")
def concat(call: ExactCall) -> Form:
    """Input 0 is the axis."""
    count = len(call.node.inputs) - 1

    def build(body: Scope, *parts: Value) -> list[Value]:
        """Joined along an axis (op_concat_f.c)."""
        return [body.concat(parts, Attribute("axis", "int"))]

    axis = int(call.const(0).flat[0])
    return Form(build, tuple(range(1, count + 1)), {"axis": axis}, f"_of_{count}")


@exact("MatMul_f")
def matmul(call: ExactCall) -> Form:
    """Rows by a matrix."""
    rows = prod(call.shapes[0]) // call.shapes[1][2]

    def build(body: Scope, a: Value, b: Value) -> list[Value]:
        """Products added up one after another in float32 (op_matmul_f.c)."""
        left, right = a.reshape(Attribute("rows")), b.reshape(Attribute("matrix"))
        depth = right.shape().slice(0, 1, 0)
        zero = body.op("Expand", body.constant(0.0, "float32"), body.ints(Attribute("sums")))

        def step(carried: list[Value]) -> tuple[Value, list[Value]]:
            k, sums = carried
            term = left.slice(k, k + 1, 1) * right.slice(k, k + 1, 0)
            return k + 1 < depth, [k + 1, sums + term]

        _, sums = body.repeat([body.constant([0], "int64"), zero], step)
        return [sums.reshape(Attribute("shape"))]

    attributes = {
        "rows": [rows, call.shapes[1][2]],
        "matrix": list(call.shapes[1][2:]),
        "sums": [rows, call.shapes[1][3]],
        "shape": product_shape(*call.shapes[:2]),
    }
    return Form(build, (0, 1), attributes)
