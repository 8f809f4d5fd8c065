"""A recurrent network of many frames, unrolled and in chunks: what both cost, and how far apart.

    python -m benchmarks.recurrent [--frames 1000] [--chunk 1] [--op GRU] [--json]

The network is random: 8 inputs, 16 units, 4 outputs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import hexconv
from hexconv.compare.metrics import decibels
from hexconv.cost import predict
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession

INPUTS, UNITS, OUTPUTS = 8, 16, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LEAST = 20.0
"""dB between both forms: of two roundings of the same network."""


def main() -> int:
    """Print the figures; 1 where the forms differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=1, help="frames")
    parser.add_argument("--op", choices=GATES, default="GRU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found = measured(given.op, given.frames, given.chunk)
    for name, value in found.items() if not given.json else ():
        print(f"{name:16} {value:,.1f}" if isinstance(value, float) else f"{name:16} {value:,}")
    if given.json:
        print(json.dumps(found, indent=1))
    return 0 if found["between, dB"] >= LEAST else 1


def measured(op: str, frames: int, chunk: int) -> dict[str, Any]:
    """Nodes, packets, seconds and dB of both forms."""
    model = network(op)
    sample, *samples = ({"x": normal(frames, 1, INPUTS, seed=seed)} for seed in range(3))
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = hexconv.convert(model, {"x": (frames, 1, INPUTS)}, samples, unroll=frames)
        seconds = time.perf_counter() - start
        step = hexconv.convert(model, {"x": (chunk, 1, INPUTS)}, samples, stateful=True)
    float_graph = load(model, {"x": (frames, 1, INPUTS)})
    expected = FloatSession(float_graph).run(sample)["y"]
    unrolled = hexconv.simulate(whole, sample)["y"]
    streamed = hexconv.stream(step, sample)["y"]
    return {
        "nodes": len(whole.graph.nodes),
        "nodes, chunk": len(step.graph.nodes),
        "packets": float(predict(whole).packets),
        "packets, chunk": float(predict(step).packets),
        "seconds": seconds,
        "unrolled, dB": apart(expected, unrolled),
        "chunks, dB": apart(expected[: len(streamed)], streamed),
        "between, dB": apart(unrolled[: len(streamed)], streamed),
    }


def apart(one: Any, other: Any) -> float:
    """SQNR in dB."""
    left, right = np.float64(one), np.float64(other)
    return decibels(float((left**2).sum()), float(((left - right) ** 2).sum()))


def normal(*shape: int, seed: int, scale: float = 1.0) -> Any:
    """float32."""
    return np.float32(scale * np.random.default_rng(seed).standard_normal(shape))


def network(op: str) -> onnx.ModelProto:
    """x [frames, 1, inputs] to y [frames, 1, outputs]."""
    rows = GATES[op] * UNITS
    constants = {
        "w": normal(1, rows, INPUTS, seed=1, scale=0.3),
        "r": normal(1, rows, UNITS, seed=2, scale=0.3),
        "b": normal(1, 2 * rows, seed=3, scale=0.1),
        "one": np.array([1]),
        "out": normal(UNITS, OUTPUTS, seed=4, scale=0.3),
    }
    nodes = [
        helper.make_node(op, ["x", "w", "r", "b"], ["states"], name="rnn", hidden_size=UNITS),
        helper.make_node("Squeeze", ["states", "one"], ["s"]),
        helper.make_node("MatMul", ["s", "out"], ["y"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [tensor("x", onnx.TensorProto.FLOAT, ["frames", 1, INPUTS])],
        [tensor("y", onnx.TensorProto.FLOAT, ["frames", 1, OUTPUTS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    sys.exit(main())
