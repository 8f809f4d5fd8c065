"""Small nnlib graphs in MACE wiring."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Interface, Node, Output, Ref
from hexconv.nnlib.layout import Layout

SCALAR = Output((1, 1, 1, 1), "float32")


def chain(ops: list[str], shape: tuple[int, int, int, int] = (1, 1, 48, 64)) -> Graph:
    """Input, then ops that read the tensor before (Add and Mul also the input), then output."""
    values = {-1.0: 0, 127 / 128: 1}
    consts = [Const(i, f"c{i}", np.full((1, 1, 1, 1), v, "f4")) for v, i in values.items()]
    made = (Output(shape, "uint8"), SCALAR, SCALAR)
    nodes = [Node(2, "input", INPUT_OP, (), made)]
    for op in ops:
        last = nodes[-1].id
        x = (Ref(last), Ref(last, 1), Ref(last, 2))
        if op.startswith(("QuantizedAdd", "QuantizedMul")):
            y = (Ref(2), Ref(2, 1), Ref(2, 2))
            inputs = (x[0], y[0], x[1], x[2], y[1], y[2], Ref(0), Ref(1))
        else:
            inputs = x
        number = last + 1
        nodes.append(Node(number, f"{op}/{number}", op, inputs, made, onnx_node=f"layer{number}"))
    last = nodes[-1].id
    end = tuple(Ref(last, port) for port in range(3))
    nodes.append(Node(last + 1, "output", OUTPUT_OP, end, ()))
    face = Interface("x", shape, Layout.plain(4))
    return Graph("chain", consts, nodes, [face], [face])
