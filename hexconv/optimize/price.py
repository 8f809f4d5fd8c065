"""What a form of a node costs on a library, so that the cheapest of several equal ones is taken.

A price is in packets: those that the form's nodes retire (op_tables/cost/packets.yml), and for each
node as many as take the time that an average node costs beyond its packets, for its dispatch and
the bytes that it waits for (op_tables/cost/soc.yml). The nodes are those that prepare makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.cost import node_packets, predict
from hexconv.cost.soc import dispatch_in_packets, for_library, node_in_packets
from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Node, Output, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare.depth32_rules import FROM_D32, TO_D32
from hexconv.nnlib.versions import LibraryVersion

Emit = Callable[[Builder, Node], Sequence[Node]]
BESIDE = "beside"
"""What the names of a form's neighbors begin with, and of the conversions that they need."""


@dataclass(frozen=True)
class Prices:
    """Prices on one version of the library.

    Args:
        library: that the model is optimized for.
    """

    library: LibraryVersion

    @property
    def dispatch(self) -> float:
        """Packets that take as long as dispatching a node that waits for no bytes."""
        return dispatch_in_packets(for_library(self.library))

    def packets(self, op: str, inputs: Sequence[Shape4], result: Shape4) -> float:
        """Packets of one node as it is executed; 0 if no similar node was measured."""
        return node_packets(op, inputs, [result], library=self.library) or 0.0

    def graph(self, graph: Graph) -> float:
        """The price of a whole graph on a DSP at full clock: its packets, and dispatch."""
        cost = predict(graph, self.library)
        return cost.packets + len(cost.nodes) * self.dispatch

    def of_nodes(self, packets: float, nodes: int) -> float:
        """The price of nodes whose packets are known."""
        return packets + nodes * node_in_packets(for_library(self.library))

    def in_d32(self, op: str, inputs: Sequence[Shape4], result: Shape4) -> float:
        """The price of one node in its d32 form.

        Args:
            op: as it is appended.
            inputs: BHWD of its tensors.
            result: BHWD of its output.
        """
        return self.of_nodes(self.packets(f"{op}_d32", inputs, result), 1)

    def converted(self, op: str, inputs: Sequence[Shape4], result: Shape4) -> float:
        """Packets of a node in its d32 form, with the conversions of its input and its result.

        Args:
            op: as it is appended.
            inputs: BHWD of its tensors, the computed one first.
            result: BHWD of its output.
        """
        return (
            self.packets(TO_D32, inputs[:1], inputs[0])
            + self.packets(f"{op}_d32", inputs, result)
            + self.packets(FROM_D32, [result], result)
        )

    def reshape(self, shape: Shape4, result: Shape4) -> float:
        """The price of a reshape between nodes in d32, its conversions included."""
        sizes = Const(0, "shape", np.asarray(result, np.int32).reshape(1, 1, 1, 4))
        node = Node(
            id=2,
            name="reshape",
            op="QuantizedReshape",
            inputs=(Ref(1), Ref(sizes.id), Ref(1, 1), Ref(1, 2)),
            outputs=(Output(result, "uint8"), *RANGE_OUTPUTS),
        )
        return self.between(node, [sizes], shape, lambda _, placed: [placed])

    def between(
        self, node: Node, consts: Iterable[Const], shape: Shape4, emit: Emit, *, deep: bool = True
    ) -> float:
        """The price of a form of a node that stands between others.

        Args:
            node: takes one computed tensor, and consts.
            consts: these.
            shape: BHWD of the computed tensor.
            emit: makes the form; what reads it works in d32.
            deep: whether what computes that tensor works in d32 too.
        """
        given = {const.id: const for const in consts}
        scene = _Scene(given.values())
        source = scene.put(INPUT_OP, (), shape)
        if deep:
            source = scene.activation(source)
        inputs = tuple(r if r.node in given else Ref(source.id, r.port) for r in node.inputs)
        made = emit(scene.builder, scene.builder.copy(node, inputs=inputs))
        scene.graph.nodes += made
        last = scene.activation(made[-1])
        scene.put(OUTPUT_OP, tuple(Ref(last.id, port) for port in range(3)), last.outputs[0].shape)
        own = [n for n in predict(scene.graph, self.library).nodes if not n.name.startswith(BESIDE)]
        return self.of_nodes(sum(n.packets or 0.0 for n in own), len(own))


class _Scene:
    """A graph of nothing but a form and its neighbors."""

    def __init__(self, consts: Iterable[Const]) -> None:
        self.graph = Graph("form", list(consts))
        self.builder = Builder.on(self.graph)

    def put(self, op: str, inputs: Sequence[Ref], shape: Shape4) -> Node:
        """One more neighbor."""
        outputs = () if op == OUTPUT_OP else (Output(shape, "uint8"), *RANGE_OUTPUTS)
        node = self.builder.new_node(op, inputs, outputs, name=BESIDE)
        self.graph.nodes.append(node)
        return node

    def activation(self, source: Node) -> Node:
        """QuantizedPRelu_8, which always runs in d32."""
        shape = source.outputs[0].shape
        slope = self.builder.const(BESIDE, np.ones((1, 1, 1, shape[3]), np.float32))
        data = [Ref(source.id, port) for port in range(3)]
        return self.put("QuantizedPRelu_8", (*data, slope), shape)
