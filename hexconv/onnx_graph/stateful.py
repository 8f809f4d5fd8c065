"""A model of chunks: the states of its recurrent nodes become inputs and outputs.

Whoever runs it passes each state that a chunk returns to the next chunk (`hexconv.stream`). That
chunks give what the whole sequence gives is tried in float, with random data: a model that mixes
frames anywhere else (a convolution over time, attention) does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from hexconv.arrays import Array
from hexconv.errors import ConfigError, HexconvError
from hexconv.names import state_output
from hexconv.onnx_graph.load import load
from hexconv.onnx_graph.session import FloatSession
from hexconv.onnx_graph.subgraph import Pieces, opened, part

STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
"""The states of the recurrent ops: inputs from 5 on, outputs from 1 on."""
FIRST_STATE, LENGTHS = 5, 4
CHUNKS = 3
"""How many chunks the trial runs."""
TOLERANCE = 1e-3
"""Of the largest value: float32 sums in another order, over a few chunks."""

Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Stateful:
    """A model of one chunk.

    Attributes:
        model: it.
        axes: the axis of time of each input and output that has one, by name.
    """

    model: onnx.ModelProto
    axes: dict[str, int]


def make_stateful(model: onnx.ModelProto, shapes: Shapes) -> Stateful:
    """A model of one chunk of frames.

    Args:
        model: of a whole sequence, its external data loaded.
        shapes: of the inputs, for one chunk: the length is the chunk's.

    Raises:
        ConfigError: it has no recurrent node that a chunk could leave off at, or chunks do not give
            what the whole sequence gives.
    """
    chunk = _sized(model, shapes)
    names = [_checked(node).name for node in _recurrent(chunk)]
    if not names:
        raise ConfigError(
            "the model has no LSTM, GRU or RNN whose state could be outside",
            hint="convert it without --stateful",
        )
    axis = _time_axes(model, chunk, names[0])
    pieces = opened(chunk)
    for node in _recurrent(chunk):
        _take_out(chunk.graph, node, pieces)
    made = Stateful(chunk, {**axis, **_output_axes(model, chunk, axis)})
    _try(model, made)
    return made


def _recurrent(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The recurrent nodes whose states are not inputs already."""
    inputs = {value.name for value in model.graph.input}
    return [
        node
        for node in model.graph.node
        if node.op_type in STATES
        and node.domain in ("", "ai.onnx")
        and not (len(node.input) > FIRST_STATE and node.input[FIRST_STATE] in inputs)
    ]


def _checked(node: onnx.NodeProto) -> onnx.NodeProto:
    attrs = {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
    direction = attrs.get("direction", b"forward")
    if direction != b"forward":
        raise ConfigError(
            f"the {node.op_type} '{node.name}' is {direction.decode()}",
            where="--stateful",
            why="its backward direction starts at the last frame: no chunk can be computed before",
            hint="convert the whole sequence, unrolled (--unroll STEPS above 256 steps, both "
            "directions counted), or a model of one direction",
        )
    if len(node.input) > LENGTHS and node.input[LENGTHS]:
        raise ConfigError(
            f"the {node.op_type} '{node.name}' reads lengths of sequences ('{node.input[4]}')",
            where="--stateful",
            hint="export the model without them",
        )
    return node


def _sized(model: onnx.ModelProto, shapes: Shapes) -> onnx.ModelProto:
    """A copy whose inputs have other sizes, and nothing else declares any."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for index, node in enumerate(made.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    for value in made.graph.input:
        if value.name in shapes:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            dims.extend(
                onnx.TensorShapeProto.Dimension(dim_value=size) for size in shapes[value.name]
            )
    del made.graph.value_info[:]
    for value in made.graph.output:
        if value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.ClearField("shape")
    return made


def _inputs(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    held = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in held
    }


def _length(pieces: Pieces, node: str) -> tuple[int, ...]:
    """The sizes of what a recurrent node reads."""
    value = next(item.inputs[0] for item in pieces.graph if item.name == node)
    if value is None or value.shape is None or not value.shape.is_static():
        raise ConfigError(
            f"the sizes of what '{node}' reads are not known", hint="pass --shape of every input"
        )
    return tuple(value.shape.numpy())


def _time_axes(model: onnx.ModelProto, chunk: onnx.ModelProto, node: str) -> dict[str, int]:
    """The axis of each input along which a longer one lengthens what a recurrent node reads."""
    sizes, found = _inputs(chunk), {}
    time = 1 if _batch_first(next(n for n in chunk.graph.node if n.name == node)) else 0
    before = _length(opened(chunk), node)
    for name, shape in sizes.items():
        for axis in range(len(shape)):
            try:
                pieces = opened(_sized(model, {**sizes, name: _longer(shape, axis, 2)}))
                after = _length(pieces, node)
            except HexconvError:
                continue
            if after[time] > before[time] and after[1 - time] == before[1 - time]:
                found[name] = axis
                break
    if not found:
        raise ConfigError(
            f"no input lengthens what '{node}' reads",
            where="--stateful",
            why="the model's nodes have the length of the sequence in them",
            hint="export the model with the time as a dynamic dimension",
        )
    return found


def _longer(shape: Sequence[int], axis: int, times: int) -> tuple[int, ...]:
    return tuple(size * times if place == axis else size for place, size in enumerate(shape))


def _batch_first(node: onnx.NodeProto) -> bool:
    return any(attr.name == "layout" and attr.i == 1 for attr in node.attribute)


def _take_out(graph: onnx.GraphProto, node: onnx.NodeProto, pieces: Pieces) -> None:
    """Make inputs and outputs of a node's states."""
    first = _batch_first(node)
    batch = _length(pieces, node.name)[0 if first else 1]
    recurrent = pieces.values[node.input[2]].shape
    assert recurrent is not None
    hidden = recurrent.numpy()[2]
    shape = [batch, 1, hidden] if first else [1, batch, hidden]
    for place, state in enumerate(STATES[node.op_type]):
        name = f"{node.name}/{state}_in"
        for values, position in ((node.input, FIRST_STATE + place), (node.output, 1 + place)):
            values.extend([""] * (position + 1 - len(values)))
        _check_zero(node, node.input[FIRST_STATE + place], pieces)
        node.input[FIRST_STATE + place] = name
        kind = pieces.values[node.input[0]].dtype
        code = onnx.TensorProto.FLOAT if kind is None else kind.value
        graph.input.append(helper.make_tensor_value_info(name, code, shape))
        returned = state_output(name)
        assert returned is not None
        if node.output[1 + place]:
            graph.node.append(helper.make_node("Identity", [node.output[1 + place]], [returned]))
        else:
            node.output[1 + place] = returned
        graph.output.append(helper.make_tensor_value_info(returned, code, shape))


def _check_zero(node: onnx.NodeProto, name: str, pieces: Pieces) -> None:
    """Raise unless a state starts with zeros."""
    if not name:
        return
    value = pieces.values[name]
    if value.const_value is not None:
        zero = not value.const_value.numpy().any()
    else:
        nodes = pieces.before([value])
        constant = not nodes & pieces.varying
        zero = constant and not _constant(part(pieces, nodes, [value], ())).any()
    if not zero:
        raise ConfigError(
            f"the initial state '{name}' of '{node.name}' is not zero",
            where="--stateful",
            hint=f"make it an input of the model: --inputs with '{name}' among them",
        )


def _constant(model: onnx.ModelProto) -> Array:
    """The one output of a model without inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {})[0])


def _session(model: onnx.ModelProto) -> FloatSession:
    """The canonical form: ONNX Runtime has no recurrent nodes of the batch first."""
    return FloatSession(load(model, recognize=False))


def _output_axes(
    model: onnx.ModelProto, chunk: onnx.ModelProto, axes: Mapping[str, int]
) -> dict[str, int]:
    """The axis of each output along which it is longer for two chunks."""
    sizes = {name: shape for name, shape in _inputs(chunk).items() if state_output(name) is None}
    one = opened(_sized(model, sizes))
    two = opened(
        _sized(model, {n: _longer(s, axes[n], 2) if n in axes else s for n, s in sizes.items()})
    )
    found = {}
    for value in model.graph.output:
        shapes = [pieces.values[value.name].shape for pieces in (one, two)]
        if shapes[0] is None or shapes[1] is None:
            continue
        pairs = zip(shapes[0], shapes[1], strict=True)
        longer = [axis for axis, (a, b) in enumerate(pairs) if a != b]
        if longer:
            found[value.name] = longer[0]
    return found


def _try(model: onnx.ModelProto, made: Stateful) -> None:
    """Compare chunks with the whole sequence, in float.

    Raises:
        ConfigError: an output differs.
    """
    sizes = _inputs(made.model)
    own = {name: shape for name, shape in sizes.items() if state_output(name) is None}
    whole = {n: _longer(s, made.axes[n], CHUNKS) if n in made.axes else s for n, s in own.items()}
    random = np.random.default_rng(0)
    feeds = {n: random.standard_normal(s).astype(np.float32) for n, s in whole.items()}
    expected = _session(_sized(model, whole)).run(feeds)
    state = {name: np.zeros(s, np.float32) for name, s in sizes.items() if name not in own}
    session = _session(made.model)
    chunks: list[dict[str, Array]] = []
    for number in range(CHUNKS):
        now = {n: chunk_of(a, made.axes.get(n), own[n], number) for n, a in feeds.items()}
        chunks.append(session.run({**now, **state}))
        state = {name: chunks[-1][str(state_output(name))] for name in state}
    for name, wanted in expected.items():
        axis = made.axes.get(name)
        parts = [item[name] for item in chunks]
        found = parts[-1] if axis is None else np.concatenate(parts, axis)
        if found.shape != wanted.shape or np.abs(found - wanted).max() > TOLERANCE * max(
            1e-6, np.abs(wanted).max()
        ):
            raise ConfigError(
                f"chunks of the sequence do not give the output '{name}' of the whole",
                where="--stateful",
                why="the model mixes frames outside its recurrent nodes: a convolution over time, "
                "attention, a mean",
                hint="convert the part around the recurrent nodes alone, with --inputs and "
                "--outputs, or the whole sequence",
            )


def chunk_of(array: Array, axis: int | None, shape: Sequence[int], number: int) -> Array:
    """One chunk of a sequence; an array without an axis of time is the same in each."""
    if axis is None:
        return array
    start = number * shape[axis]
    return array.take(range(start, start + shape[axis]), axis)
