"""A NetDef as MACE's convert.py hands it on: with the weights in it, and the classes of MACE."""

from __future__ import annotations

from typing import Any

import numpy as np

from hexconv.mace import to_proto
from hexconv.nnlib.graph import Graph


def net_with_data(graph: Graph, net_class: Any, name: str, order: int) -> Any:
    """The net of a graph.

    Args:
        graph: of a converted model.
        net_class: NetDef of the mace_pb2 that MACE's script uses.
        name: of the subgraph.
        order: in which it is run among others.
    """
    own = to_proto(graph).net_def[0]
    net = net_class()
    net.ParseFromString(own.SerializeToString())
    net.name, net.infer_order = name, order
    for message, const in zip(net.tensors, graph.consts, strict=True):
        # MACE's merge_params writes weights itself, and sets these.
        message.ClearField("offset")
        message.ClearField("data_size")
        if const.shape_only:
            continue
        values = const.array.reshape(-1).tolist()
        if const.array.dtype == np.float32:
            message.float_data.extend(values)
        else:
            message.int32_data.extend(values)
    return net
