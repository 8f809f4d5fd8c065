"""Weights from a net to bytes."""

import numpy as np
from py_proto import mace_pb2


def merge_params(net_def, data_type):
    data = bytearray()
    for tensor in net_def.tensors:
        if tensor.data_type == mace_pb2.DT_FLOAT:
            raw, size = np.array(tensor.float_data, np.float32).tobytes(), len(tensor.float_data)
        elif tensor.data_type == mace_pb2.DT_INT32:
            raw, size = np.array(tensor.int32_data).astype(np.int32).tobytes(), None
        else:
            raw, size = np.array(tensor.int32_data).astype(np.uint8).tobytes(), None
        if tensor.data_type != mace_pb2.DT_UINT8:
            data.extend(bytes(-len(data) % 4))
        tensor.data_size = len(tensor.int32_data) if size is None else size
        tensor.offset = len(data)
        data.extend(raw)
        del tensor.float_data[:]
        del tensor.int32_data[:]
    return net_def, data
