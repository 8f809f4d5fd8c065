"""The exact model: the DSP's bits as an ONNX file that any runtime executes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexconv.argument_types import checks_types
from hexconv.nnlib.graph import Graph, HasGraph, graph_of
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.prepare.left_padding import require_unshifted
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion, check_library

if TYPE_CHECKING:
    import onnx

__all__ = ["export"]


@checks_types()
def export(model: HasGraph | Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> onnx.ModelProto:
    """The executed graph as an ONNX model that gives the DSP's bits.

    Every executed node is an op of the domain `hexconv.nnlib`, defined in the model by a function
    of standard ops (opset 17). Inputs and outputs are float32, under the model's own names and
    shapes; inputs are quantized over the data of each run, as MACE's runtime does.

    Args:
        model: a model or its nnlib graph.
        library: "v60", "v65" or "v66": whose arithmetic.

    Raises:
        GraphError: the library would reject the graph, or an op has no exact function.
    """
    from hexconv.exact.functions import load_functions
    from hexconv.exact.metadata import describe
    from hexconv.exact.model import ExactModel
    from hexconv.simulator.run import check_ends

    check_library(library)
    load_functions()
    graph = graph_of(model)
    check_ends(graph)
    prepared = trace(graph, library).graph
    require_unshifted(prepared)
    made = ExactModel(prepared, library, describe(graph, prepared)).proto()
    for key, text in (("library", library), ("model", graph.name)):
        made.metadata_props.add(key=key, value=text)
    return made
