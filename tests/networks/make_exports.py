"""Writes tests/networks/exported/ with torch: `make onnx-exports`."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from tests.networks.exports import EXPORTS, FOLDER, made

LARGE = 64
"""Elements of a weight; what is smaller may be a scale or an epsilon and stays as it is."""


def rounded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with 8 bits of mantissa in each weight, and without what an exporter notes down."""
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= LARGE:
            bits = values.view(np.uint32).astype(np.uint64) + 0x8000
            short = (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(short.reshape(values.shape), tensor.name))
    for node in proto.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    return proto


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in (name for name, case in EXPORTS.items() if case.stored):
        path = FOLDER / f"{name}.onnx"
        path.write_bytes(rounded(made(name)).SerializeToString(deterministic=True))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
