"""Exact functions beside the simulator's kernels: the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from hexconv.arrays import Array
from hexconv.exact.functions import EXACT, load_functions
from hexconv.exact.model import SILENT, ExactModel
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.prepare import prepare
from hexconv.simulator.executor import Executor
from hexconv.simulator.run_op import THIS, single

ALL = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
NONE = ort.GraphOptimizationLevel.ORT_DISABLE_ALL

load_functions()


def known(graph: Graph, library: str) -> bool:
    """Whether every executed node has a function."""
    return {node.op for node in prepare(graph, library).nodes} <= set(EXACT) | SILENT | {
        "INPUT",
        "OUTPUT",
    }


def session(proto: Any, level: Any = ALL) -> Any:
    """A model in ONNX Runtime, on one thread."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    content = proto.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def exact_run(graph: Graph, sources: Sequence[Array], library: str, level: Any = ALL) -> list[Any]:
    """What the exact model of a graph with INPUT and OUTPUT computes."""
    made = session(ExactModel(prepare(graph, library), library).proto(), level)
    feeds = {item.name: array for item, array in zip(made.get_inputs(), sources, strict=True)}
    outputs: list[Any] = made.run(None, feeds)
    return outputs


def simulated_run(graph: Graph, sources: Sequence[Array], library: str) -> list[Array]:
    """What the simulator computes of it."""
    return Executor(prepare(graph, library), library).run(sources)


def fed(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """Those inputs of a single node that are not consts."""
    consts = {const.id for const in graph.consts}
    node = next(node for node in graph.nodes if node.id == THIS)
    return [a for a, ref in zip(arrays, node.inputs, strict=True) if ref.node not in consts]


def assert_same(graph: Graph, sources: Sequence[Array], library: str, level: Any = ALL) -> None:
    """Both sides compute the same bytes."""
    expected = simulated_run(graph, sources, library)
    found = exact_run(graph, sources, library, level)
    assert len(found) == len(expected)
    for place, (mine, right) in enumerate(zip(found, expected, strict=True)):
        assert (mine.dtype, mine.shape) == (right.dtype, right.shape), place
        different = int(np.count_nonzero(mine != right))
        assert mine.tobytes() == right.tobytes(), f"output {place}: {different} of {mine.size}"


def assert_op(
    op: str,
    arrays: Sequence[Array],
    padding: str = "NN_PAD_NA",
    library: str = "v60",
    consts: Sequence[bool] | None = None,
    outputs: Any = None,
    level: Any = ALL,
) -> None:
    """One node, prepared as the library does."""
    graph = single(op, arrays, padding, outputs, consts)
    assert_same(graph, fed(graph, arrays), library, level)
