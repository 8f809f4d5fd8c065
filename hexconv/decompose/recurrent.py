"""LSTM, GRU and RNN of fixed length, unrolled.

Hochreiter and Schmidhuber 1997; Cho et al. 2014; the equations are those of ONNX's operator pages.
The products of the inputs are computed for all steps at once; each step adds that of its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.decompose.recurrent_activations import (
    Activation,
    activation,
    chosen,
    unsupported_activation,
)
from hexconv.decompose.steps import GATES, directions_of, number_step, steps_of
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@dataclass(frozen=True)
class Cell:
    """One direction: what a step needs besides its input and its state.

    `inputs` are [time, batch, gates * hidden], biases of the inputs added; `recurrent` is
    [hidden, gates * hidden]; `bias` the recurrent bias [gates * hidden] or None.
    """

    builder: FloatBuilder
    hidden: int
    inputs: ir.Value
    recurrent: ir.Value
    bias: ir.Value | None
    activations: Sequence[Activation]
    peepholes: ir.Value | None
    forget_coupled: bool
    reset_after: bool


def unsupported_op(node: ir.Node) -> str:
    """Why a recurrent node is not unrolled; empty if it is."""
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    if sizes := unlike_sizes(node):
        return sizes
    time, steps, most = shape_of(node.inputs[0])[0], steps_of(node), notes_of(node).most_steps
    if steps > most:
        if steps == time:
            return f"{time} frames; up to {most} steps are unrolled"
        longest = f"{most} steps are unrolled, {most // 2} frames"
        return f"{time} frames both ways, {steps} steps; up to {longest}"
    if _given(node, 4) is not None:
        return "lengths of sequences that are computed, or not from 1 to its frames"
    return unsupported_activation(chosen(node.op_type, attrs, directions_of(node)))


def unlike_sizes(node: ir.Node) -> str:
    """What does not fit `hidden_size`, which the outputs' sizes come from; empty if all do."""
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    _, batch, size = shape_of(node.inputs[0])
    hidden = int(attrs.get("hidden_size", shape_of(node.inputs[2])[-1]))
    count, sums = directions_of(node), GATES[node.op_type] * hidden
    state = (count, batch, hidden)
    wanted = {
        "W": (1, (count, sums, size)),
        "R": (2, (count, sums, hidden)),
        "B": (3, (count, 2 * sums)),
        "initial_h": (5, state),
        "initial_c": (6, state),
        "P": (7, (count, 3 * hidden)),
    }
    for name, (position, shape) in wanted.items():
        given = _given(node, position)
        if given is not None and shape_of(given) != shape:
            return f"{name} of shape {list(shape_of(given))}, where {list(shape)} is needed"
    return ""


@DECOMPOSITIONS.rule("LSTM", "GRU", "RNN")
def unrolled(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None] | None:
    """Unroll the steps; Y, the last state and, for an LSTM, the last cell."""
    if unsupported_op(node):
        return None
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    direction = str(attrs.get("direction", "forward"))
    time, batch, _ = shape_of(node.inputs[0])
    count = directions_of(node)
    outputs: list[list[ir.Value]] = []
    lasts: list[list[ir.Value]] = []
    for index in range(count):
        cell = _cell(node, index, count, builder)
        backward = direction == "reverse" or index == 1
        states, last = _run(node, cell, index, range(time)[:: -1 if backward else 1])
        outputs.append(states)
        lasts.append(last)
    shape = [1, 1, batch, cell.hidden]
    used = [bool(v.name) and bool(v.uses() or v.is_graph_output()) for v in node.outputs]
    used += [False] * (3 - len(used))
    results: list[ir.Value | None] = [None, None, None]
    if used[0]:
        steps = [
            _joined([_shaped(o[t], shape, builder) for o in outputs], 1, builder)
            for t in range(time)
        ]
        results[0] = _joined(steps, 0, builder)
    for position in (1, 2):
        if used[position]:
            parts = [_shaped(last[position - 1], shape[1:], builder) for last in lasts]
            results[position] = _joined(parts, 0, builder)
    return results[: len(node.outputs)]


def _cell(node: ir.Node, index: int, count: int, builder: FloatBuilder) -> Cell:
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    gates = GATES[node.op_type]
    weights = _part(node.inputs[1], index, builder)
    recurrent = _part(node.inputs[2], index, builder)
    hidden = shape_of(recurrent)[1]
    turned = builder.op("Transpose", [weights], {"perm": [1, 0]})
    inputs = builder.op("MatMul", [node.inputs[0], turned])
    bias = None
    if _given(node, 3) is not None:
        both = _part(node.inputs[3], index, builder)
        own, bias = (
            _cut(both, 0, side * gates * hidden, gates * hidden, builder) for side in (0, 1)
        )
        inputs = builder.op("Add", [inputs, own])
    activations = chosen(node.op_type, attrs, count)
    per = len(activations) // count
    limit = float(attrs.get("clip", 0.0))
    return Cell(
        builder,
        hidden,
        inputs,
        builder.op("Transpose", [recurrent], {"perm": [1, 0]}),
        bias,
        [activation(one, limit, builder) for one in activations[index * per : (index + 1) * per]],
        None if _given(node, 7) is None else _part(node.inputs[7], index, builder),
        bool(attrs.get("input_forget", 0)),
        bool(attrs.get("linear_before_reset", 0)),
    )


def _run(
    node: ir.Node, cell: Cell, index: int, order: range
) -> tuple[list[ir.Value], list[ir.Value]]:
    """The state after each time step, in order of time, and the last state and cell."""
    builder = cell.builder
    batch = shape_of(cell.inputs)[1]
    zeros = np.zeros((batch, cell.hidden), np.float32)
    state: ir.Value | None
    memory: ir.Value | None
    state, memory = (
        None if _given(node, position) is None else _part(node.inputs[position], index, builder)
        for position in (5, 6)
    )
    step = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[node.op_type]
    states: dict[int, ir.Value] = {}
    for t in order:
        before = builder.count
        now = _cut(cell.inputs, 0, t, 1, builder)
        now = _shaped(now, shape_of(cell.inputs)[1:], builder)
        state, memory = step(cell, now, state, memory)
        states[t] = state
        number_step(builder.made_after(before), node.op_type, f"{node.name}/{index}", t)
    last = [value if value is not None else builder.const(zeros) for value in (state, memory)]
    return [states[t] for t in sorted(states)], last


Step = tuple[ir.Value, "ir.Value | None"]


def _rnn(cell: Cell, now: ir.Value, state: ir.Value | None, memory: ir.Value | None) -> Step:
    """H = f(X W + H R + biases)."""
    return cell.activations[0](_plus(cell, now, _recurrent(cell, state))), None


def _lstm(cell: Cell, now: ir.Value, state: ir.Value | None, memory: ir.Value | None) -> Step:
    """Gates i, o, f and the candidate c are concatenated in this order."""
    op, size = cell.builder.op, cell.hidden
    sums = _plus(cell, now, _recurrent(cell, state))
    f, g, h = cell.activations
    if cell.peepholes is None:
        sigmoids = f(_cut(sums, 1, 0, 3 * size, cell.builder))
        i, o, forget = (_cut(sigmoids, 1, k * size, size, cell.builder) for k in range(3))
    else:
        i, forget = (f(_peep(cell, sums, gate, memory)) for gate in (0, 2))
    if cell.forget_coupled:
        forget = op("Sub", [np.float32(1.0), i])
    new = op("Mul", [i, g(_cut(sums, 1, 3 * size, size, cell.builder))])
    if memory is not None:
        new = op("Add", [op("Mul", [forget, memory]), new])
    if cell.peepholes is not None:
        o = f(_peep(cell, sums, 1, new))
    return op("Mul", [o, h(new)]), new


def _peep(cell: Cell, sums: ir.Value, gate: int, memory: ir.Value | None) -> ir.Value:
    """A gate with a peephole to the cell; peepholes are in the order i, o, f as the gates."""
    part = _cut(sums, 1, gate * cell.hidden, cell.hidden, cell.builder)
    if memory is None:
        return part
    assert cell.peepholes is not None
    weight = _cut(cell.peepholes, 0, gate * cell.hidden, cell.hidden, cell.builder)
    return cell.builder.op("Add", [part, cell.builder.op("Mul", [weight, memory])])


def _gru(cell: Cell, now: ir.Value, state: ir.Value | None, memory: ir.Value | None) -> Step:
    """Gates z and r, and the candidate h: H = h + z (H - h)."""
    builder, size = cell.builder, cell.hidden
    op = builder.op
    f, g = cell.activations
    whole = _recurrent(cell, state)
    both = _cut(now, 1, 0, 2 * size, builder)
    if whole is not None:
        both = op("Add", [both, _cut(whole, 1, 0, 2 * size, builder)])
    gates = f(both)
    update, reset = (_cut(gates, 1, k * size, size, builder) for k in range(2))
    candidate = _cut(now, 1, 2 * size, size, builder)
    if cell.reset_after:
        if whole is not None:
            candidate = op(
                "Add", [candidate, op("Mul", [reset, _cut(whole, 1, 2 * size, size, builder)])]
            )
    else:
        if state is not None:
            columns = _cut(cell.recurrent, 1, 2 * size, size, builder)
            candidate = op("Add", [candidate, op("MatMul", [op("Mul", [reset, state]), columns])])
        if cell.bias is not None:
            candidate = op("Add", [candidate, _cut(cell.bias, 0, 2 * size, size, builder)])
    fresh = g(candidate)
    if state is None:
        return op("Mul", [fresh, op("Sub", [np.float32(1.0), update])]), None
    return op("Add", [fresh, op("Mul", [update, op("Sub", [state, fresh])])]), None


def _recurrent(cell: Cell, state: ir.Value | None) -> ir.Value | None:
    """H R and the recurrent bias; None where the state and the bias are zero."""
    builder = cell.builder
    if state is None:
        if cell.bias is None:
            return None
        return builder.op("Unsqueeze", [cell.bias, np.array([0], np.int64)])
    product = builder.op("MatMul", [state, cell.recurrent])
    return product if cell.bias is None else builder.op("Add", [product, cell.bias])


def _plus(cell: Cell, now: ir.Value, recurrent: ir.Value | None) -> ir.Value:
    return now if recurrent is None else cell.builder.op("Add", [now, recurrent])


def _given(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def _part(value: ir.Value | None, index: int, builder: FloatBuilder) -> ir.Value:
    """One direction of a parameter or state."""
    assert value is not None
    part = _cut(value, 0, index, 1, builder)
    return _shaped(part, shape_of(value)[1:], builder)


def _cut(value: ir.Value, axis: int, start: int, size: int, builder: FloatBuilder) -> ir.Value:
    if shape_of(value)[axis] == size:
        return value
    ends = [np.array([number], np.int64) for number in (start, start + size, axis)]
    return builder.op("Slice", [value, *ends])


def _shaped(value: ir.Value, shape: Sequence[int], builder: FloatBuilder) -> ir.Value:
    if shape_of(value) == tuple(shape):
        return value
    return builder.op("Reshape", [value, np.array(list(shape), np.int64)])


def _joined(values: list[ir.Value], axis: int, builder: FloatBuilder) -> ir.Value:
    return values[0] if len(values) == 1 else builder.op("Concat", values, {"axis": axis})
