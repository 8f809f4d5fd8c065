"""Streams whose mean is 0: that of usual channels is 0 instead, where others are far larger.

Weights that feed layer norms subtract the mean (optimize/on_float/norm_centering.py). A channel of
2,800 beside 255 others adds -11 to each of them in its token, whose range is four times as wide
then. Less the mean of the usual channels they stay as they are. The mean of all is a sum of the
large channels then, and norms need it subtracted: the rows of large channels in the weights behind
do so, and the variance is that about it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.changes import replace_each
from hexconv.calibrate.channel_groups import Floats, weighted
from hexconv.calibrate.stream_groups import StreamGroup, mean_of
from hexconv.onnx_graph.builder import FloatBuilder, array_of

Channels = npt.NDArray[np.intp]
NAME = "/usual_mean"
CENTERED = 1e-4
"""Mean of a row of weights, in mean absolute weights, up to which it is 0: they are float32."""


def without_mean(groups: Sequence[StreamGroup]) -> list[StreamGroup]:
    """Those whose mean is 0 by their weights, and where those that read them can subtract one."""
    written = {node for group in groups for node in group.writers}
    return [group for group in groups if _is_without_mean(group, written)]


def _is_without_mean(group: StreamGroup, written: Collection[ir.Node]) -> bool:
    if group.means or group.exits or group.outputs:
        return False
    layers = group.writers.values()
    entered = [node.inputs[position] for node, position in group.entries]
    constants = [(layer.node, 1) for layer in layers] + list(group.added)
    return (
        not any(layer.depthwise for layer in layers)
        and all(_is_centered(array_of(node.inputs[place])) for node, place in constants)
        and all(value is not None and _mean(value) is not None for value in entered)
        and not any(layer.depthwise and node in written for node, layer in group.readers.items())
    )


def _mean(value: ir.Value) -> ir.Node | None:
    """The mean that a value is a difference from."""
    node = value.producer()
    return None if node is None else mean_of(node)


def _is_centered(array: npt.NDArray[np.float32] | None) -> bool:
    assert array is not None
    rows = array.astype(np.float64)
    size = np.abs(rows).mean(axis=-1)
    return bool((np.abs(rows.mean(axis=-1)) <= CENTERED * size).all())


def subtract_usual_mean(group: StreamGroup, large: Channels, builder: FloatBuilder) -> None:
    """Let the mean of the usual channels of a stream be 0, and not that of all.

    Its norms are to have the variance about the mean of all then.

    Args:
        group: one of `without_mean`.
        large: channels that are not usual.
        builder: of the graph, which is changed in place.
    """
    usual = np.ones(group.channels)
    usual[large] = 0.0
    usual /= usual.sum()
    constants = [(node, 1) for node in group.writers] + list(group.added)
    for node, position in constants:
        exact = _exact(node, position)
        moved = exact - (exact @ usual)[..., None]
        builder.change_const(node, position, np.asarray(moved, np.float32), NAME)
    replace_each(group.entries, builder, lambda value: _less(value, usual, builder))
    for node in [*group.readers]:
        _subtract_in(node, group, large, builder)
    group.of_usual = True


def _less(value: ir.Value, usual: Floats, builder: FloatBuilder) -> ir.Value:
    """What a mean was subtracted from, less that of the usual channels."""
    difference = value.producer()
    assert difference is not None
    source, column = difference.inputs[0], np.float32(usual[:, None])
    mean = builder.op("MatMul", [source, column], name=f"{value.name}{NAME}")
    return builder.op("Sub", [source, mean], name=f"{value.name}/usual")


def _subtract_in(node: ir.Node, group: StreamGroup, large: Channels, builder: FloatBuilder) -> None:
    """Let what reads the stream subtract the mean of all channels, a sum of the large ones.

    Factors of channels are a product with all of them then, as copies would make it.
    """
    weights, factors = _exact(node, 1), group.readers[node].depthwise
    if factors:
        weights = np.diag(np.broadcast_to(weights.reshape(-1), group.channels))
    moved = weights.copy()
    moved[large] -= weights.sum(axis=0) / group.channels
    if not factors:
        builder.change_const(node, 1, np.asarray(moved, np.float32), NAME)
        return
    value = builder.at(node).op("MatMul", [node.inputs[0], np.asarray(moved, np.float32)])
    builder.replace(node, [value])
    product = value.producer()
    layer = None if product is None else weighted(product)
    assert product is not None and layer is not None
    del group.readers[node]
    group.readers[product] = layer


def _exact(node: ir.Node, position: int) -> Floats:
    array = array_of(node.inputs[position])
    assert array is not None
    return array.astype(np.float64)
