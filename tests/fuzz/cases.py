"""One random graph with its data: as steps, so that a failing one can be cut down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
OPSET = 18


@dataclass(frozen=True, eq=False)
class Step:
    """One ONNX node; `consts` are its own constants, by name, among its inputs."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    consts: Mapping[str, Array] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it reads, constants left out."""
        return tuple(name for name in self.inputs if name and name not in self.consts)

    def node(self) -> onnx.NodeProto:
        """As ONNX has it."""
        return helper.make_node(
            self.op, self.inputs, self.outputs, name=f"n_{self.outputs[0]}", **self.attrs
        )


@dataclass(frozen=True, eq=False)
class Case:
    """A graph and samples for it.

    Attributes:
        seed: that it was made of.
        shapes: of the inputs.
        steps: in order.
        outputs: names of tensors.
        samples: one array an input each.
        fresh: others, which nothing is fitted on.
    """

    seed: int
    shapes: Mapping[str, tuple[int, ...]]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    samples: tuple[Feeds, ...]
    fresh: tuple[Feeds, ...] = ()

    def consts(self) -> dict[str, Array]:
        """All constants; several steps may share one."""
        return {name: value for step in self.steps for name, value in step.consts.items()}

    def model(self) -> onnx.ModelProto:
        """The ONNX model, shapes inferred."""
        floats = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [step.node() for step in self.steps],
            "fuzz",
            [helper.make_tensor_value_info(n, floats, s) for n, s in self.shapes.items()],
            [helper.make_empty_tensor_value_info(name) for name in self.outputs],
            [numpy_helper.from_array(v, k) for k, v in self.consts().items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = 8
        return onnx.shape_inference.infer_shapes(made, strict_mode=True)

    def values(self, names: Sequence[str] | None = None) -> list[dict[str, Array]]:
        """What ONNX Runtime computes for each sample, by default the outputs."""
        more = () if names is None else tuple(n for n in names if n not in self.shapes)
        proto = replace(self, outputs=tuple(dict.fromkeys((*self.outputs, *more)))).model()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        fetched = [output.name for output in session.get_outputs()]
        return [
            dict(zip(fetched, session.run(None, dict(sample)), strict=True))
            for sample in self.samples
        ]

    def tidied(self) -> Case:
        """Without steps and inputs that no output needs."""
        needed = set(self.outputs)
        kept: list[Step] = []
        for step in reversed(self.steps):
            if needed.intersection(step.outputs):
                kept.insert(0, step)
                needed.update(step.reads)
        shapes = {name: shape for name, shape in self.shapes.items() if name in needed}
        samples, fresh = (
            tuple({n: v for n, v in sample.items() if n in shapes} for sample in feeds)
            for feeds in (self.samples, self.fresh)
        )
        return replace(self, steps=tuple(kept), shapes=shapes, samples=samples, fresh=fresh)

    def renamed(self, prefix: str) -> Case:
        """Every tensor under another name."""

        def new(name: str) -> str:
            return f"{prefix}{name}" if name else ""

        steps = tuple(
            replace(
                step,
                inputs=tuple(map(new, step.inputs)),
                outputs=tuple(map(new, step.outputs)),
                consts={new(name): value for name, value in step.consts.items()},
            )
            for step in self.steps
        )
        return replace(
            self,
            steps=steps,
            shapes={new(name): shape for name, shape in self.shapes.items()},
            outputs=tuple(map(new, self.outputs)),
            samples=tuple({new(n): v for n, v in sample.items()} for sample in self.samples),
            fresh=tuple({new(n): v for n, v in sample.items()} for sample in self.fresh),
        )

    def reordered(self) -> Case:
        """The same nodes in another topological order: each as late as it may stand."""
        waiting, done = list(self.steps[::-1]), set(self.shapes)
        order: list[Step] = []
        while waiting:
            ready = next(step for step in waiting if done.issuperset(step.reads))
            waiting.remove(ready)
            done.update(ready.outputs)
            order.append(ready)
        return replace(self, steps=tuple(order))
