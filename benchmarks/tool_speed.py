"""How long hexconv's own stages take, and that they grow linearly with the number of nodes.

python -m benchmarks.tool_speed
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from hexconv import cost
from hexconv.nnlib.builder import Builder
from hexconv.nnlib.check import check
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Graph, Interface, Output, Ref
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.prepare import prepare
from hexconv.quantize import cover

SIZES = (500, 5000)
SHAPE = (1, 4, 8, 32)
IMPORT_TABLE = (
    "import time, yaml, numpy; start = time.perf_counter()\n"
    "import hexconv; table = hexconv.op_table.load()\n"
    "[row.nnlib for row in (table[name] for name in ('MatMul', 'Add', 'Softmax', 'Conv'))]\n"
    "print(time.perf_counter() - start)"
)


def chain(count: int) -> Graph:
    """A graph of `count` consecutive element-wise nodes."""
    builder, value_range = Builder("chain"), cover(-1, 1)
    outputs = [Output(SHAPE, "uint8"), *(Output((1, 1, 1, 1), "float32") for _ in range(2))]
    node = builder.node(INPUT_OP, [], outputs, name="in")
    refs = (Ref(node), Ref(node, 1), Ref(node, 2))
    for index in range(count):
        limits = builder.minmax("limit", value_range)
        name = f"n{index}"
        inputs = [*refs, *limits]
        refs = builder.quantized(
            "QuantizedClamp_8", inputs, SHAPE, value_range, name=name
        ).data_min_max
    builder.node(OUTPUT_OP, refs, [], name="out")
    layout = Layout.plain(4)
    builder.graph.inputs.append(Interface("x", SHAPE, layout, (-1.0, 1.0)))
    builder.graph.outputs.append(Interface("y", SHAPE, layout, (-1.0, 1.0)))
    return builder.finish()


def seconds(step: Callable[[Graph], object], graph: Graph) -> float:
    """The least of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        step(graph)
        times.append(time.perf_counter() - start)
    return float(np.min(times))


def main() -> None:
    """Print the table."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_TABLE], capture_output=True, text=True, check=True
    )
    print(f"op table, import and load: {float(run.stdout):.3f} s")
    print(f"{'step':<10}" + "".join(f"{size:>10} nodes" for size in SIZES) + "   growth")
    steps: dict[str, Callable[[Graph], object]] = {
        "check": check,
        "prepare": prepare,
        "cost": cost.predict,
    }
    graphs = [chain(size) for size in SIZES]
    for name, step in steps.items():
        small, large = (seconds(step, graph) for graph in graphs)
        print(f"{name:<10}{small:>14.3f} s{large:>14.3f} s   {large / small:.1f}x")


if __name__ == "__main__":
    main()
