"""Run float graphs in ONNX Runtime, without a second copy of large weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.errors import ModelError
from hexconv.onnx_graph.graph import FloatGraph
from hexconv.onnx_graph.weights import detach_weights
from hexconv.onnx_runtime import opened, quiet_options, runtime_errors

INLINED = "_inlfunc_"


class FloatSession:
    """A float graph in ONNX Runtime.

    Weights are passed as memory (`add_external_initializers`), not through a serialized proto: a
    144 M-weight model opens in 1.5 s instead of 9, in 0.5 GB less, without the limit of 2 GB.

    Args:
        graph: what to run.
        outputs: names of values to fetch, by default the graph's outputs.
        threads: how many threads one inference uses; 0 leaves that to ONNX Runtime.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """

    def __init__(
        self,
        graph: FloatGraph,
        outputs: Sequence[str] | None = None,
        *,
        threads: int = 0,
    ) -> None:
        import onnxruntime as ort

        model = graph.model
        copied = ir.Model(model.graph.clone(), ir_version=model.ir_version)
        if outputs is not None:
            _fetch(copied.graph, outputs)
        self.outputs = tuple(str(value.name) for value in copied.graph.outputs)
        _free_names(copied.graph)
        self._weights = detach_weights(copied.graph)
        options = quiet_options()
        options.intra_op_num_threads = threads
        options.add_external_initializers(
            list(self._weights),
            [ort.OrtValue.ortvalue_from_numpy(w) for w in self._weights.values()],
        )
        try:
            content = ir.serde.serialize_model(copied).SerializeToString()
            self._session = opened(content, options)
        except runtime_errors() as error:
            raise ModelError(
                "ONNX Runtime cannot load the float model", where=graph.source, why=_text(error)
            ) from error

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One inference; none where nothing is to be fetched.

        Raises:
            ModelError: ONNX Runtime fails.
        """
        if not self.outputs:
            return {}
        try:
            results = self._session.run(None, {n: np.asarray(x) for n, x in feeds.items()})
        except runtime_errors() as error:
            raise ModelError("the float model does not run", why=_text(error)) from error
        return dict(zip(self.outputs, results, strict=True))


def _free_names(graph: ir.Graph) -> None:
    """Rename what ONNX Runtime named when it inlined functions, and saved: it does so again."""
    for node in graph:
        for value in node.outputs:
            if (value.name or "").startswith(INLINED):
                value.name = f"saved{value.name}"


def _fetch(graph: ir.Graph, outputs: Sequence[str]) -> None:
    values: dict[str, ir.Value] = {str(value.name): value for value in graph.inputs}
    values.update(graph.initializers.items())
    for node in graph:
        values.update({str(value.name): value for value in node.outputs})
    graph.outputs.clear()
    graph.outputs.extend(values[name] for name in outputs)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
