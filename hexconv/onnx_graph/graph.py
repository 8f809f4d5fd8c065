"""The float graph: an ONNX model in canonical form, as lowerings and calibration read it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from hexconv.arrays import Array, are_numbers
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.last_functions import LastFunction
from hexconv.onnx_graph.macs import macs_of
from hexconv.onnx_graph.weights import attach_weights, detach_weights


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape and NumPy type name of one input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Clamp:
    """The Clip of a quantizer that may be no more than the end of what its calibration saw.

    Attributes:
        source: name of the tensor that is clamped.
        bounds: its lowest and highest value behind.
        step: of the quantizer.
    """

    source: str
    bounds: tuple[float, float]
    step: float

    def reached(self, seen: tuple[float, float]) -> bool:
        """Whether values from seen[0] to seen[1] are changed by more than rounding."""
        low, high = self.bounds
        return seen[0] < low - self.step or seen[1] > high + self.step


@dataclass(frozen=True)
class FloatGraph:
    """An ONNX model in canonical form: one graph of one opset, all shapes known, constants folded.

    Attributes:
        model: the onnx-ir model; rewrites that come later may change it in place.
        source: the file it came from, for messages.
        dropped_inputs: inputs of the file that nothing reads and the DSP could not receive.
        recognized: how often each recognition or simplification was applied, by its name.
        original: names of the values that inputs and nodes of the file compute.
        open_axes: the axes of inputs whose sizes the file leaves open, by input.
        unrounded: outputs of integers that are floats here, not rounded: "'y' is uint8".
        branches: what each If costs that is decided at run time, as a sentence.
        last_functions: outputs that a softmax or sigmoid computes last.
        unrolled: steps of long recurrent nodes that will be unrolled, by node name.
        ranges: (min, max) that a quantized model declares, by value name.
        wide: names of those of these values of whose range samples may use a part.
        clamps: Clips of quantizers that samples may show to be without effect, by the quantizer.
        integers: names of the inputs that are integers or booleans in the file, and floats here.
        classes: names of the outputs whose last axis has class scores.
    """

    model: ir.Model
    source: str = ""
    dropped_inputs: tuple[str, ...] = ()
    recognized: dict[str, int] = field(default_factory=dict)
    original: frozenset[str] = frozenset()
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    wide: frozenset[str] = frozenset()
    clamps: dict[str, Clamp] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()
    unrounded: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    last_functions: tuple[LastFunction, ...] = ()
    open_axes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    unrolled: dict[str, int] = field(default_factory=dict)
    integers: frozenset[str] = frozenset()

    @property
    def graph(self) -> ir.Graph:
        """The one graph."""
        return self.model.graph

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes in topological order."""
        return list(self.model.graph)

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The model's inputs, in order."""
        return tuple(_info(value) for value in self.graph.inputs)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The model's outputs, in order."""
        return tuple(_info(value) for value in self.graph.outputs)

    def values(self) -> dict[str, ir.Value]:
        """Every value by name: inputs, then initializers, then node outputs in order."""
        found = {str(value.name): value for value in self.graph.inputs}
        found.update(self.graph.initializers.items())
        for node in self.graph:
            found.update({str(v.name): v for v in node.outputs if v.name})
        return found

    def computed_values(self) -> list[str]:
        """Names of the float values of inputs and nodes, in order."""
        values = [*self.graph.inputs, *(v for node in self.graph for v in node.outputs)]
        floats = (v for v in values if v.dtype is not None and v.dtype.is_floating_point())
        return [str(value.name) for value in floats if value.name]

    def const(self, name: str) -> Array | None:
        """The values of an initializer; None if no initializer has that name."""
        value = self.graph.initializers.get(name)
        if value is None or value.const_value is None:
            return None
        return value.const_value.numpy()

    def takes(self, name: str, dtype: npt.DTypeLike) -> bool:
        """Whether numbers of a type are those of an input: scaled as the model expects them."""
        return are_numbers(dtype, floats=name not in self.integers)

    def macs(self) -> dict[str, int]:
        """Multiply-accumulates of each node, by node name."""
        return {str(node.name): macs_of(node) for node in self.graph}

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: the model as bytes, and large weights as arrays."""
        copied = ir.Model(self.model.graph.clone(), ir_version=self.model.ir_version)
        weights = detach_weights(copied.graph)
        content = ir.serde.serialize_model(copied).SerializeToString()
        others = {item.name: getattr(self, item.name) for item in fields(self)[1:]}
        return _restored, (content, weights, others)

    def copied(self) -> FloatGraph:
        """The same graph with nodes of its own; weights exist once."""
        model = ir.Model(self.model.graph.clone(), ir_version=self.model.ir_version)
        model.graph.opset_imports.update(self.model.graph.opset_imports)
        return replace(self, model=model)

    def to_proto(self) -> onnx.ModelProto:
        """The model as one proto; above 2 GB run it by `session.FloatSession`."""
        return ir.serde.serialize_model(self.model)


def _restored(content: bytes, weights: dict[str, Array], others: dict[str, Any]) -> FloatGraph:
    model = ir.serde.deserialize_model(onnx.ModelProto.FromString(content))
    attach_weights(model.graph, weights)
    return FloatGraph(model, **others)


def _info(value: ir.Value) -> TensorInfo:
    assert value.dtype is not None
    return TensorInfo(str(value.name), shape_of(value), np.dtype(value.dtype.numpy()).name)
