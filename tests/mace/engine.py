"""What MACE's engine does with an application's tensors, as data and a few rules of our own.

Measured with MACE's engine (docs/deployment.md says how): an input is passed to the DSP as four
sizes and its bytes; a format that the application gives is kept for the next run; every output
is taken for NHWC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

import hexconv
from hexconv.arrays import FloatArray
from hexconv.mace import proto
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator import Simulator

FORMATS = {0: "NONE", 1: "NHWC", 2: "NCHW"}
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the application: sizes, MACE's word for their order, values in memory order."""

    shape: tuple[int, ...]
    format: str
    data: FloatArray


class Engine:
    """A loaded model: runs it again and again, as MACE's engine would."""

    def __init__(self, model: Path, library: LibraryVersion = "v60") -> None:
        multi = proto.MultiNetDef()
        multi.ParseFromString(model.read_bytes())
        (net,) = multi.net_def
        self.sizes = {info.name: tuple(info.dims) for info in net.input_info}
        self.stored = {info.name: FORMATS[info.data_format] for info in net.input_info}
        self.graph = hexconv.load(model).graph
        self.simulator = Simulator(self.graph, library)

    def run(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> dict[str, FloatArray]:
        """Values of the outputs in memory order, as the application finds them."""
        fed = {name: self._hand_over(name, tensor) for name, tensor in inputs.items()}
        made = self.simulator.run(
            {i.name: i.layout.unpack(fed[i.name], i.shape) for i in self.graph.inputs}
        )
        results = {i.name: i.layout.pack(made[i.name]) for i in self.graph.outputs}
        return {name: self._hand_out(results[name], t) for name, t in outputs.items()}

    def _hand_over(self, name: str, tensor: Tensor) -> FloatArray:
        stored, self.stored[name] = self.stored[name], tensor.format
        data, sizes = tensor.data, tensor.shape
        if stored != "NONE" and tensor.format == "NCHW" and len(sizes) == 4:
            data = data.reshape(sizes).transpose(TO_NHWC)
            sizes, self.stored[name] = data.shape, "NHWC"
        if len(sizes) < 4:
            raise RuntimeError(f"{name}: the runtime reads four sizes of {sizes}: garbage")
        if tuple(sizes[:4]) != self.sizes[name]:
            raise RuntimeError(f"{name}: {sizes} given, {self.sizes[name]} wanted: out too small")
        return np.ascontiguousarray(data).reshape(sizes)

    @staticmethod
    def _hand_out(result: FloatArray, tensor: Tensor) -> FloatArray:
        assert result.size <= prod(tensor.shape)
        if tensor.format == "NCHW" and len(tensor.shape) == 4:
            result = result.transpose(TO_NCHW)
        return np.ascontiguousarray(result).reshape(-1)
