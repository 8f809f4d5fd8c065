"""A model with another interface: inputs bound, cut off or left out, other tensors as outputs.

The changed model is a proto, and from there on the model that is converted: all that reads it, the
reference model too, sees the interface that was asked for. What it was made of is noted in its
metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from hexconv.arrays import Constant
from hexconv.errors import ConfigError, HexconvError
from hexconv.names import did_you_mean, listed
from hexconv.onnx_graph.bind import bind
from hexconv.onnx_graph.read import whole_model
from hexconv.onnx_graph.stateful import make_stateful
from hexconv.onnx_graph.subgraph import Pieces, opened, part, pieces_of, reads
from hexconv.onnx_graph.whole import NOTE, Note

Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Changed:
    """A model whose interface was changed.

    Attributes:
        model: it.
        shapes: of those that were given, the ones of its inputs.
        front: what computes its inputs from those of the original; None where nothing was cut off.
        axes: of a model of chunks, the axis of time of each input and output that has one.
    """

    model: onnx.ModelProto
    shapes: Shapes
    front: onnx.ModelProto | None = None
    axes: Mapping[str, int] = field(default_factory=dict)


def change_interface(
    source: str | Path | onnx.ModelProto,
    shapes: Shapes,
    *,
    constants: Mapping[str, Constant],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    stateful: bool = False,
) -> Changed:
    """A model with other inputs and outputs.

    Args:
        source: an .onnx file or proto.
        shapes: sizes of inputs by name, of those that are bound or cut off too.
        constants: values that inputs are bound to, by name.
        inputs: the tensors that become the inputs, all of them; none leaves the inputs.
        outputs: the tensors that become the outputs, all of them; none leaves the outputs.
        stateful: make it a model of chunks (`stateful.make_stateful`).

    Raises:
        ConfigError: an unknown name, a value that does not fit, or inputs that do not determine
            the outputs.
        HexconvError: the model cannot be read.
    """
    model = whole_model(source)
    bind(model, constants, shapes)
    left = {name: sizes for name, sizes in shapes.items() if name not in constants}
    before = Note.of({entry.key: entry.value for entry in model.metadata_props})
    file = Path(source).name if isinstance(source, (str, Path)) else before.file
    _write_note(model, Note(file, (*before.bound, *constants)))
    changed = _cut(model, left, inputs, outputs) if inputs or outputs else Changed(model, left)
    if not stateful:
        return changed
    made = make_stateful(changed.model, changed.shapes)
    return replace(changed, model=made.model, axes=made.axes)


def _write_note(model: onnx.ModelProto, note: Note) -> None:
    for entry in [entry for entry in model.metadata_props if entry.key == NOTE]:
        model.metadata_props.remove(entry)
    model.metadata_props.add(key=NOTE, value=json.dumps(asdict(note), sort_keys=True))


def _cut(
    model: onnx.ModelProto, shapes: Shapes, inputs: Sequence[str], outputs: Sequence[str]
) -> Changed:
    own = {value.name for value in model.graph.input}
    inner = [name for name in dict.fromkeys(inputs) if name not in own]
    try:
        pieces = opened(model, {name: sizes for name, sizes in shapes.items() if name in own})
    except HexconvError:
        if not all(name in shapes for name in inner):
            raise
        pieces = pieces_of(model)
    fed = [_fed(pieces, name, shapes.get(name)) for name in inner]
    ends = [_tensor(pieces, name, "output") for name in dict.fromkeys(outputs)]
    ends = ends or list(pieces.graph.outputs)
    nodes = pieces.before(ends, stop=fed)
    if not nodes & pieces.varying:
        raise ConfigError("nothing is left between the inputs and the outputs that are named")
    if inputs:
        _check_complete(pieces, nodes, ends, {*inputs})
    made = part(pieces, nodes, ends, fed)
    there = {value.name for value in made.graph.input}
    front = part(pieces, pieces.before(fed), fed, ()) if fed else None
    return Changed(made, {name: s for name, s in shapes.items() if name in there}, front)


def _fed(pieces: Pieces, name: str, shape: Sequence[int] | None) -> ir.Value:
    """An inner tensor that becomes an input."""
    value = _tensor(pieces, name, "input")
    if value.producer() not in pieces.varying:
        raise ConfigError(
            f"'{name}' cannot become an input", where=pieces.label, why="it is a constant"
        )
    if shape is not None:
        value.shape = ir.Shape(shape)
    value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    if value.shape is None:
        raise ConfigError(
            f"the shape of '{name}' is not known",
            where=pieces.label,
            hint=f"pass its sizes: --shape {name}=1,100",
        )
    return value


def _tensor(pieces: Pieces, name: str, what: str) -> ir.Value:
    if name in pieces.values:
        return pieces.values[name]
    raise ConfigError(
        f"the model has no tensor '{name}' that could become an {what}",
        where=pieces.label,
        hint=f"{did_you_mean(name, pieces.values, 3)}name a tensor of the ONNX file",
    )


def _check_complete(
    pieces: Pieces, nodes: set[ir.Node], ends: Sequence[ir.Value], named: set[str]
) -> None:
    """Raise for inputs that are read and not named."""
    read = {value for node in nodes for value in reads(node)} | set(ends)
    missing = [str(v.name) for v in pieces.graph.inputs if v in read and v.name not in named]
    if missing:
        raise ConfigError(
            f"the outputs depend on the input {listed(missing)} too",
            where=pieces.label,
            hint=f"name it as well: --inputs {','.join([*sorted(named), *missing])}; "
            "or bind it with --constant",
        )
