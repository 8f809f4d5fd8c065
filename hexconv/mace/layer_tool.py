"""What MACE's layers_validate.py wants of a NetDef to write a model for each layer.

The tool puts DequantizeOUTPUT_8tof behind a node and reads its first three ports. It takes the
nodes that have one output name, and of those a quantization and two args. MACE's runtime reads
none of them: the graph that it appends stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hexconv.nnlib.graph import OUTPUT_OP, Graph, Node, Origin, Ref
from hexconv.nnlib.known_ranges import known_ranges
from hexconv.nnlib.layout import Layout

DATA_FORMAT_ARG = "data_format"
DATA_TYPE_ARG = "T"
NONE, NHWC = 0, 1


@dataclass(frozen=True)
class LayerInfo:
    """What the tool is told of one node.

    Attributes:
        tensor: the name of the layer model's output: the ONNX tensor's, where the node
            holds that as MACE's tools can compare it.
        data_format: NHWC where they have to turn it to the ONNX order of axes, else NONE.
        range: (min, max) of its values in calibration.
    """

    tensor: str
    data_format: int
    range: tuple[float, float]


def layers(graph: Graph) -> dict[int, LayerInfo]:
    """The nodes that the tool can cut a model behind, by node id.

    Not among them: nodes whose first output is no uint8 (int32 sums, floats) or whose range is
    not at ports 1 and 2. None at all, if the graph's own output has its range elsewhere: the tool
    keeps the ports that the last node reads.
    """
    if not graph.nodes or not _reads_first_ports(graph.nodes[-1]):
        return {}
    ranges = known_ranges(graph)
    taken = {const.name for const in graph.consts} | {node.name for node in graph.nodes}
    found: dict[int, LayerInfo] = {}
    for node in graph.nodes:
        if node.id in ranges and _is_quantized(node):
            format_ = _comparable(node)
            name = node.origin.tensor if node.origin is not None and format_ is not None else ""
            if not name or (name in taken and name != node.name):
                name = node.name
            taken.add(name)
            found[node.id] = LayerInfo(name, format_ or NONE, ranges[node.id])
    return found


def tensor_names(graph: Graph, named: Mapping[int, LayerInfo]) -> dict[Ref, str]:
    """MACE's name of each tensor: `node` for its first output, `node:port` for the others."""
    names = {Ref(const.id): const.name for const in graph.consts}
    for node in graph.nodes:
        for port in range(len(node.outputs)):
            names[Ref(node.id, port)] = node.name if port == 0 else f"{node.name}:{port}"
        if node.id in named:
            names[Ref(node.id)] = named[node.id].tensor
    return names


def _reads_first_ports(node: Node) -> bool:
    return node.op == OUTPUT_OP and [ref.port for ref in node.inputs[:3]] == [0, 1, 2]


def _is_quantized(node: Node) -> bool:
    """Whether a node returns uint8 data, its minimum and its maximum, and nothing else."""
    return [output.dtype for output in node.outputs] == ["uint8", "float32", "float32"]


def _comparable(node: Node) -> int | None:
    """The format in which MACE's tools find the ONNX tensor in a node's output."""
    origin = node.origin
    if origin is None:
        return None
    shape = node.outputs[0].shape
    last = Layout.channels_last(4)
    if origin.layout == last and shape == last.shape(origin.shape):
        return NHWC
    return NONE if _in_order(origin) else None


def _in_order(origin: Origin) -> bool:
    """Whether the elements lie in memory as ONNX has them."""
    order = [axis for axis in origin.layout.order if origin.shape[axis] != 1]
    return order == sorted(order)
