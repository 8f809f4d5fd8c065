"""Run an exact model here, and compare it with the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, HasGraph, graph_of
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_runtime import opened, runtime_errors

if TYPE_CHECKING:
    import onnx

LARGEST_PROTO = 2**31 - 1


def check_exact(
    proto: onnx.ModelProto, model: HasGraph | Graph, library: LibraryVersion
) -> dict[str, Array]:
    """One seeded sample through both.

    Returns:
        The outputs by name.

    Raises:
        GraphError: ONNX Runtime does not take the model, or computes something else.
    """
    from hexconv.simulator import simulate

    graph = graph_of(model)
    feeds = sample(graph)
    session = open_session(proto)
    names = [item.name for item in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, feeds), strict=True))
    expected = simulate(graph, feeds, library=library)
    for name, array in expected.items():
        if array.tobytes() != outputs[name].tobytes():
            raise GraphError(
                f"the exact model computes other bits than the simulator in '{name}'",
                why=f"ONNX Runtime {_version()} does not follow the ONNX standard in some op",
                hint="use another version of onnxruntime, and report this",
            )
    return outputs


def sample(graph: Graph) -> dict[str, Array]:
    """Seeded inputs in the calibrated ranges, or normal ones where those are not known."""
    draw = np.random.default_rng(5)
    feeds: dict[str, Array] = {}
    for item in graph.inputs:
        low, high = item.range
        known = np.isfinite(low) and np.isfinite(high) and low < high
        values = draw.uniform(low, high, item.shape) if known else draw.standard_normal(item.shape)
        feeds[item.name] = values.astype(np.float32)
    return feeds


def open_session(proto: onnx.ModelProto) -> Any:
    """The model in ONNX Runtime.

    Raises:
        GraphError: it lacks an op, or is too old.
    """
    try:
        return opened(serialized(proto))
    except runtime_errors() as error:
        raise GraphError(
            f"ONNX Runtime {_version()} does not run the exact model",
            why=" ".join(str(error).split())[:300],
            hint="install onnxruntime 1.17 or newer, or write the file with --no-check",
        ) from error


def serialized(proto: onnx.ModelProto) -> bytes:
    """The file's content.

    Raises:
        GraphError: it is larger than a protobuf can be.
    """
    if proto.ByteSize() > LARGEST_PROTO:
        raise GraphError(
            "the exact model is larger than the 2 GB of a protobuf", hint="split the model first"
        )
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
