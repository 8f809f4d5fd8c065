"""The nine light models of the onnx package, their weights made up.

The package ships them with weights as ConstantOfShape; those become seeded random numbers in the
sizes that keep activations at an even level (He et al. 2015). Batch norms scale by half and shift
up, as trained ones do: a deep network of random weights, normalized to full swing, is chaotic, and
any rounding is all noise after twenty layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
Array = npt.NDArray[Any]
# dB of SQNR at the logits: 4 under the least that was measured (inception_v2, densenet121: 21).
FLOOR = 17.0


def names() -> list[str]:
    """Those that the installed package has, such as `squeezenet`."""
    found = (path.stem for path in FOLDER.glob("light_*.onnx"))
    return sorted(stem.removeprefix("light_") for stem in found)


def load(name: str, seed: int = 0, *, logits: bool = True) -> onnx.ModelProto:
    """A light model with weights.

    Args:
        name: one of `names()`.
        seed: of the weights.
        logits: leave a last softmax out. Of 1000 labels that random weights cannot separate
            each has a probability of 0.001, a quarter of an LSB.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    graph = model.graph
    rng = np.random.default_rng(seed)
    shapes = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    made = {n.output[0]: shapes[n.input[0]] for n in graph.node if n.op_type == "ConstantOfShape"}
    roles = _roles(graph)
    for output, shape in made.items():
        sizes = tuple(int(size) for size in shape)
        graph.initializer.append(
            numpy_helper.from_array(_drawn(rng, sizes, roles.get(output, "")), output)
        )
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(kept)
    _drop_unread(graph)
    _settle(model)
    if logits and kept[-1].op_type == "Softmax":
        graph.output[0].name = kept[-1].input[0]
        graph.node.pop()
    return model


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    for items in (graph.input, graph.initializer):
        for item in [item for item in items if item.name not in read]:
            items.remove(item)


def _settle(model: onnx.ModelProto) -> None:
    """Batch norm statistics as after training: what a network that normalizes by itself sees.

    No channel has less than a quarter of the mean variance: what is never active in a random
    network would be noise made loud.
    """
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    nodes, wanted = [], []
    for node in watched.graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        x, scale, shift, mean, variance = node.input
        wanted += [f"{mean}:found", f"{variance}:found"]
        for op, inputs, output in (
            ("ReduceMean", [x], f"{mean}:4d"),
            ("Sub", [x, f"{mean}:4d"], f"{x}:centered"),
            ("Mul", [f"{x}:centered"] * 2, f"{x}:squared"),
            ("ReduceMean", [f"{x}:squared"], f"{variance}:4d"),
        ):
            axes = {"axes": [0, 2, 3]} if op == "ReduceMean" else {}
            nodes.append(helper.make_node(op, inputs, [output], **axes))
        nodes += [
            helper.make_node("Squeeze", [f"{name}:4d"], [f"{name}:found"], axes=[0, 2, 3])
            for name in (mean, variance)
        ]
        inputs = [x, scale, shift, f"{mean}:found", f"{variance}:found"]
        nodes.append(helper.make_node("BatchNormalization", inputs, node.output))
    if not wanted:
        return
    del watched.graph.node[:]
    watched.graph.node.extend(nodes)
    _drop_unread(watched.graph)
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted
    )
    session = onnxruntime.InferenceSession(watched.SerializeToString())
    found = dict(zip(wanted, session.run(wanted, image(model, 0)), strict=True))
    variances = set(wanted[1::2])
    for item in model.graph.initializer:
        name = f"{item.name}:found"
        if name in found:
            floor = found[name].mean() / 4 if name in variances else -np.inf
            values = np.maximum(found[name], np.float32(floor))
            item.CopyFrom(numpy_helper.from_array(values, item.name))


def image(model: onnx.ModelProto, seed: int = 1) -> dict[str, Array]:
    """A random picture, half smooth and half noise, for the model's one data input."""
    constants = {item.name for item in model.graph.initializer}
    data = next(item for item in model.graph.input if item.name not in constants)
    shape = [dim.dim_value for dim in data.type.tensor_type.shape.dim]
    steps = np.random.default_rng(seed).standard_normal(shape)
    smooth = np.cumsum(np.cumsum(steps, axis=-1), axis=-2)
    return {data.name: (smooth / smooth.std() + steps).astype(np.float32)}


def _roles(graph: onnx.GraphProto) -> dict[str, str]:
    """What each weight is for, by its name; through the Unsqueeze of channel scales."""
    behind = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Unsqueeze"}
    roles: dict[str, str] = {}
    for node in graph.node:
        parts = {
            "BatchNormalization": ("", "scale", "shift", "shift", "scale"),
            "Mul": ("scale", "scale"),
            "Add": ("shift", "shift"),
        }.get(node.op_type, ("", "weight", "shift"))
        for name, role in zip(node.input, parts, strict=False):
            source = name
            while source in behind:
                source = behind[source]
            roles[source] = role
    return roles


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], role: str) -> Array:
    if role == "scale":
        return rng.uniform(0.3, 0.7, shape).astype(np.float32)
    if role == "shift":
        return (0.3 + 0.2 * rng.standard_normal(shape)).astype(np.float32)
    if role == "weight" and len(shape) > 1:
        spread = np.sqrt(2.0 / np.prod(shape[1:]))
        return (rng.standard_normal(shape, np.float32) * np.float32(spread)).astype(np.float32)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)
