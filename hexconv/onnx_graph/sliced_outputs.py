"""Outputs of an ONNX model in slices, as the DSP returns them: for MACE's comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from hexconv.names import unique_name
from hexconv.onnx_graph.protos import rename
from hexconv.slices import Slices


def add_slices(
    graph: onnx.GraphProto, slices: Mapping[str, Slices], taken: set[str]
) -> tuple[dict[str, str], int]:
    """Make outputs the slices of what they were, under the same names, in place.

    Args:
        graph: changed in place.
        slices: by output.
        taken: names in use; the new ones are added.

    Returns:
        The names of the whole outputs by that of their slices, and how many nodes were added.
    """
    whole = {name: unique_name(f"{name}/whole", taken) for name in slices}
    rename(graph, whole, computed=True)
    nodes = [
        node for name, item in slices.items() for node in _nodes(name, whole[name], item, taken)
    ]
    graph.node.extend(nodes)
    for value in graph.output:
        sizes = value.type.tensor_type.shape.dim
        if value.name in slices and slices[value.name].axis < len(sizes):
            size = sizes[slices[value.name].axis]
            if size.HasField("dim_value"):
                size.dim_value *= slices[value.name].count
            else:
                size.dim_param = unique_name(f"{value.name}/channels", taken)
    return whole, len(nodes)


def remove_slices(graph: onnx.GraphProto, whole: Mapping[str, str], count: int) -> None:
    """Undo `add_slices`, but for the shapes of the outputs."""
    if count:
        del graph.node[-count:]
        rename(graph, {inner: name for name, inner in whole.items()}, computed=True)


def _nodes(name: str, whole: str, slices: Slices, taken: set[str]) -> Iterator[onnx.NodeProto]:
    """relu(y - start) - relu(y - end) of each slice: ops that every opset has alike."""

    def made(op: str, hint: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
        output = unique_name(f"{name}/{hint}", taken)
        return onnx.helper.make_node(op, list(inputs), [output], name=output, **attributes)

    above = []
    for number, end in enumerate(slices.ends):
        value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [], [end])
        constant = made("Constant", f"end{number}", value=value)
        yield constant
        rest = made("Sub", f"rest{number}", whole, constant.output[0])
        yield rest
        above.append(made("Relu", f"above{number}", rest.output[0]))
        yield above[-1]
    parts = []
    for number in range(slices.count):
        pair = above[number].output[0], above[number + 1].output[0]
        parts.append(made("Sub", f"slice{number}", *pair))
        yield parts[-1]
    inputs = [part.output[0] for part in parts]
    yield onnx.helper.make_node("Concat", inputs, [name], name=name, axis=slices.axis)
