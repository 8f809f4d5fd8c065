"""Weights rounded for the inputs that they meet on the DSP.

Of two weights that read alike inputs one can be rounded up where the other was rounded down. The
second moments of a layer's quantized inputs tell which: each weight is rounded in turn, and what
that is wrong by goes to the weights not yet rounded (GPTQ: Frantar et al. 2023, arXiv:2210.17323,
algorithm 1; inputs in the order of their power). Scales and ranges stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.compare.quantized import Scale
from hexconv.nnlib.graph import Const, Graph, Node
from hexconv.nnlib.ops import spec
from hexconv.simulator.numerics.im2col import patches
from hexconv.simulator.numerics.window import pad_space, plan_axis

FIRST = "InputSupernode_8x8p32to8_outd32"
"""What convolutions of up to 4 input channels are executed as: those that read the data."""
EXECUTED = ("Supernode_8x8p32to8_d32", FIRST)
"""What convolutions without groups and Linears are executed as."""
FEWEST, MOST = 8, 2304
"""Inputs of a layer: 2304 are 3 x 3 of 256 channels, whose moments take 42 MB."""
ROWS = 20_000
"""Positions whose inputs are looked at, over all samples."""
ROWS_FOR_EACH = 1 / 8
"""Of them, for each input of the layer, at least: fewer do not tell the moments."""
DAMPING = 0.3
"""Of the mean power of an input, times inputs over rows, that is added to each.

The fewer rows tell the moments, the more of what they say is chance. Of random correlated inputs
between 0.1 and 1 is best for an eighth of a row to 4 rows an input.
"""
LEAST_DAMPING, MOST_DAMPING = 0.01, 1.0
"""Of the mean power of an input."""
LEAST_OF_DATA = 0.1
"""As the least, for layers that read the data: neighbors of other images are less alike.

With 0.01 what a face alignment network gained otherwise was lost on other photos.
"""
BLOCK = 64
"""Weights of a channel that are rounded before the others learn of it."""
LEVELS_FROM_ZERO = 128
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Layer:
    """The weights of one convolution as a matrix.

    Attributes:
        const: its codes.
        exact: (inputs, outputs), what they were rounded from.
        step: (outputs,), of each channel.
    """

    const: Const
    exact: Floats
    step: Floats

    @property
    def rounded(self) -> Floats:
        """(inputs, outputs), in steps."""
        codes = self.const.array.reshape(self.exact.shape).astype(np.float64)
        return codes - LEVELS_FROM_ZERO


class WeightRounding:
    """Rounds the weights of one convolution after the other, as the graph runs.

    Args:
        graph: the quantized model, whose consts have the weights that were rounded.
    """

    def __init__(self, graph: Graph) -> None:
        self._consts = graph.const_by_id()
        self._uses = Counter(ref.node for node in graph.nodes for ref in node.inputs)
        self.changed: dict[int, Const] = {}

    def visit(
        self, node: Node, reads: Sequence[Sequence[Array]], results: list[list[Array]]
    ) -> Mapping[int, Array]:
        """The new weights of a node, if it is a convolution that gains by them."""
        del results
        layer = self._layer(node) if node.op in EXECUTED else None
        if layer is None or not FEWEST <= layer.exact.shape[0] <= MOST:
            return {}
        found = _moments(node, reads)
        if found is None:
            return {}
        moments, rows = found
        least = LEAST_OF_DATA if node.op == FIRST else LEAST_DAMPING
        codes = rounded(layer.exact, moments, layer.step, damping(len(moments), rows, least))
        before, after = (_error(layer, moments, made) for made in (layer.rounded, codes))
        if after >= before:
            return {}
        array = (codes + LEVELS_FROM_ZERO).astype(np.uint8).reshape(layer.const.array.shape)
        self.changed[layer.const.id] = replace(layer.const, array=array)
        return {1: array}

    def _layer(self, node: Node) -> _Layer | None:
        """What a node multiplies with; None if it is not known what that was rounded from."""
        at = [spec(node.op).position(role, len(node.inputs)) for role in ("w_min", "w_max")]
        found = [self._consts.get(node.inputs[place or 0].node) for place in (1, *at)]
        const, low, high = found
        if const is None or low is None or high is None or const.exact is None:
            return None
        scale = Scale.of([const.array, low.array, high.array])
        if scale is None or scale.zero != LEVELS_FROM_ZERO or self._uses[const.id] != 1:
            return None
        place = spec(node.op).position("channel_scale", len(node.inputs))
        scales = None if place is None else self._consts.get(node.inputs[place].node)
        step = np.full(const.array.shape[-1], scale.step)
        if scales is not None:
            step = step * scales.array.reshape(-1)
        exact = const.exact.reshape(-1, step.size).astype(np.float64)
        layer = _Layer(const, exact, step)
        # The float weights of another layout, or in other units, are none of these.
        own = np.abs(layer.rounded * step - exact) <= step
        return layer if own.mean() > 0.99 else None


def _moments(node: Node, reads: Sequence[Sequence[Array]]) -> tuple[Floats, int] | None:
    """Mean products of a layer's inputs (inputs, inputs), and of how many positions.

    None if too few positions tell them.
    """
    height, width, depth, _ = reads[0][1].shape
    stride, inputs = reads[0][6].shape, height * width * depth
    total, count = np.zeros((inputs, inputs)), 0
    for data, _, low, high, *_ in reads:
        scale = Scale.of([data, low, high])
        assert scale is not None
        rows = plan_axis(data.shape[1], height, stride[1], node.padding, node.op)
        columns = plan_axis(data.shape[2], width, stride[2], node.padding, node.op)
        view = patches(pad_space(data, rows, columns, int(scale.zero)), rows, columns)
        positions = view.shape[0] * view.shape[1] * view.shape[2]
        places = np.arange(0, positions, max(1, positions * len(reads) // ROWS))
        chosen = view[np.unravel_index(places, view.shape[:3])].reshape(-1, inputs)
        values = (chosen.astype(np.float32) - np.float32(scale.zero)) * np.float32(scale.step)
        total += values.T @ values
        count += len(values)
    return (total / count, count) if count >= ROWS_FOR_EACH * inputs else None


def damping(inputs: int, rows: int, least: float = LEAST_DAMPING) -> float:
    """What is added to the power of each input, as a share of the mean power."""
    return min(max(DAMPING * inputs / rows, least), MOST_DAMPING)


def _error(layer: _Layer, moments: Floats, codes: Floats) -> float:
    """The mean squared error of the layer's products."""
    error = codes * layer.step - layer.exact
    return float((error * (moments @ error)).sum())


def rounded(exact: Floats, moments: Floats, step: Floats, damped_by: float) -> Floats:
    """Weights in whole steps, rounded one input after the other.

    Args:
        exact: (inputs, outputs).
        moments: (inputs, inputs), mean products of the inputs.
        step: (outputs,) of the weights.
        damped_by: as `damping` returns it.

    Returns:
        (inputs, outputs) in -128..127.
    """
    order = np.argsort(-np.diag(moments), kind="stable")
    damped = moments[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += np.diag(moments).mean() * damped_by + 1e-30
    passed_on = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, found = exact[order], np.empty_like(exact)
    for start in range(0, len(left), BLOCK):
        end = min(start + BLOCK, len(left))
        errors = np.zeros((end - start, step.size))
        for row in range(start, end):
            found[row] = np.clip(np.rint(left[row] / step), -128, 127)
            error = (left[row] - found[row] * step) / passed_on[row, row]
            left[row + 1 : end] -= np.outer(passed_on[row, row + 1 : end], error)
            errors[row - start] = error
        left[end:] -= passed_on[start:end, end:].T @ errors
    result = np.empty_like(found)
    result[order] = found
    return result
