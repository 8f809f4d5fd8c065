"""Dilated convolutions in the cheapest of their forms.

The library's own form pads and crops pixel by pixel (dilated_forms.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hexconv.nnlib.builder import RANGE_OUTPUTS, SCALAR, Builder
from hexconv.nnlib.graph import Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import prepare
from hexconv.optimize.on_nnlib.dilated_forms import OP, DilatedForm, Expansion, Pair, forms
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, rewrite


@rewrite(Stage.NNLIB, priced=True)
def dilated_by_phases(graph: Graph, prices: Prices) -> int:
    """A dilated convolution gets zeros between its taps, or is one per phase: the cheaper one."""
    if not any(node.op == OP for node in graph.nodes):
        return 0
    builder = Builder.on(graph)
    deep = {node.id for node in prepare(graph).nodes if node.op.endswith("_d32")}
    nodes: list[Node] = []
    count = 0
    for node in graph.nodes:
        if node.op != OP:
            nodes.append(node)
            continue
        expansion = Expansion(builder, node)
        kernel = expansion.kernel.shape
        sizes = Sizes(
            expansion.shape,
            (kernel[0], kernel[1]),
            kernel[3],
            expansion.dilation,
            node.padding,
            node.inputs[0].node in deep,
        )
        nodes += expansion.nodes(cheapest(sizes, prices)[1])
        count += 1
    graph.nodes[:] = nodes
    return count


@dataclass(frozen=True)
class Sizes:
    """The parameters that the cost of a convolution with stride 1 depends on.

    Args:
        shape: BHWD of the input.
        kernel: taps along H and W.
        filters: output channels.
        dilation: along H and W.
        padding: SAME or VALID.
        deep: whether the node that computes the input works in d32.
    """

    shape: Shape4
    kernel: Pair
    filters: int
    dilation: Pair = (1, 1)
    padding: Padding = Padding.SAME
    deep: bool = True

    @property
    def result(self) -> Shape4:
        """BHWD of the output."""
        b, h, w, _ = self.shape
        if self.padding is not Padding.SAME:
            h -= (self.kernel[0] - 1) * self.dilation[0]
            w -= (self.kernel[1] - 1) * self.dilation[1]
        return b, h, w, self.filters


@lru_cache(maxsize=4096)
def cheapest(sizes: Sizes, prices: Prices) -> tuple[float, DilatedForm]:
    """The cheapest form, and its cost."""
    node, consts = _template(sizes)

    def priced(form: DilatedForm) -> float:
        def emit(builder: Builder, placed: Node) -> list[Node]:
            return Expansion(builder, placed).nodes(form)

        return prices.between(node, consts, sizes.shape, emit, deep=sizes.deep)

    found = forms(sizes.kernel[1], sizes.dilation, deep=sizes.deep)
    return min(((priced(form), form) for form in found), key=lambda item: item[0])


def _template(sizes: Sizes) -> tuple[Node, list[Const]]:
    """A convolution of these sizes, its weights all zero."""
    low, high, zeros, bias, stride, dilation = range(6)
    depth = sizes.shape[3]
    codes = np.broadcast_to(np.uint8(0), (*sizes.kernel, depth, sizes.filters))
    consts = [
        Const(low, "low", np.zeros(SCALAR, np.float32)),
        Const(high, "high", np.ones(SCALAR, np.float32)),
        Const(zeros, "weights", codes),
        Const(bias, "bias", np.zeros((1, 1, 1, sizes.filters), np.int32)),
        Const(stride, "stride", np.zeros((1, 1, 1, 1), np.int32), True),
        Const(dilation, "dilation", np.asarray(sizes.dilation, np.int32).reshape(1, 1, 1, 2)),
    ]
    source, value_range = len(consts), (Ref(low), Ref(high))
    data = [Ref(source, port) for port in range(3)]
    node = Node(
        id=source + 1,
        name="conv",
        op=OP,
        padding=sizes.padding,
        inputs=(
            data[0],
            Ref(zeros),
            Ref(bias),
            *data[1:],
            *value_range,
            *value_range,
            Ref(stride),
            Ref(dilation),
            *value_range,
        ),
        outputs=(Output(sizes.result, "uint8"), *RANGE_OUTPUTS),
    )
    return node, consts
