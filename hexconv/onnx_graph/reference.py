"""The reference model: what MACE's tools compare a phone's outputs with.

MACE's DSP runtime reads four sizes of every input, whatever its rank, so applications pass 4-D
tensors (`raw_tensors.four_sizes`). MACE's tools feed ONNX Runtime what they feed the phone: the
reference model takes the same 4-D inputs, and a Reshape before the model restores its own shape.
Inputs that nothing reads are left out, for MACE has none of them. Names stay as they are.

What was changed is noted in the model's metadata: hexconv reads a reference model as the model
that it was made of.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError

from hexconv.errors import FileError, ModelError
from hexconv.files import parse_json, read_bytes
from hexconv.names import unique_name
from hexconv.onnx_graph.protos import inner_graphs, rename
from hexconv.onnx_graph.sliced_outputs import add_slices, remove_slices
from hexconv.onnx_graph.whole import LARGEST, TOO_LARGE, WHY_TOO_LARGE, is_changed, load_external
from hexconv.raw_tensors import four_sizes
from hexconv.slices import Slices

KEY = "hexconv_reference"
OLDEST_IR = 4
"""IR version from which initializers need not be inputs: MACE's script fails on older ones."""

Shape = tuple[int, ...]

_NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What reading a note that somebody changed raises."""


def needs_reference(model: onnx.ModelProto, fed: Mapping[str, Shape]) -> bool:
    """Whether MACE's tools cannot feed a model as it is.

    Args:
        model: as its user has it.
        fed: the ONNX shape of each input that MACE has.
    """
    inputs = {value.name for value in _inputs(model.graph)}
    return bool(_idle(model.graph, fed)) or any(len(fed[name]) != 4 for name in inputs & set(fed))


def reference_if_needed(
    source: str | Path | onnx.ModelProto,
    sha256: str,
    fed: Mapping[str, Shape],
    idle: Sequence[str],
    slices: Mapping[str, Slices] | None = None,
) -> onnx.ModelProto | None:
    """As `reference_of`; None where MACE's tools can feed the user's own file.

    Args:
        source, sha256, fed, slices: as for `reference_of`.
        idle: inputs of the model that MACE does not have.
    """
    other = any(len(shape) != 4 for shape in fed.values()) or is_changed(source)
    return reference_of(source, sha256, fed, slices) if idle or other or slices else None


def reference_of(
    source: str | Path | onnx.ModelProto,
    sha256: str,
    fed: Mapping[str, Shape],
    slices: Mapping[str, Slices] | None = None,
) -> onnx.ModelProto:
    """The reference model of what was converted.

    Args:
        source: an .onnx file or proto.
        sha256: what the file's checksum was when it was converted.
        fed: the ONNX shape of each input that MACE has.
        slices: of the outputs that MACE has in slices.

    Raises:
        FileError: the file is gone, or another one.
        ModelError: the model is too large for one file.
    """
    model = source if isinstance(source, onnx.ModelProto) else _read(Path(source), sha256)
    made = reference_model(as_exported(model), fed, slices)
    try:
        small = made.ByteSize() <= LARGEST
    except EncodeError:
        small = False
    if not small:
        raise ModelError(TOO_LARGE, why=WHY_TOO_LARGE)
    return made


def _read(path: Path, sha256: str) -> onnx.ModelProto:
    content = read_bytes(path, "ONNX file, of which a reference model is made,")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileError("the ONNX file was changed after it was converted", where=str(path))
    model = onnx.ModelProto.FromString(content)
    return load_external(model, path, len(content))


def reference_model(
    model: onnx.ModelProto, fed: Mapping[str, Shape], slices: Mapping[str, Slices] | None = None
) -> onnx.ModelProto:
    """The reference model of an ONNX model, which is left as it is.

    Args:
        model: its external data loaded.
        fed: the ONNX shape of each input that MACE has.
        slices: of the outputs that MACE has in slices.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    for value in _inputs(graph):
        if len(fed.get(value.name, ())) > 4:  # four sizes do not determine more
            _set_sizes(value, fed[value.name])
    before = {"ir_version": model.ir_version, **_ends(graph)}
    taken = set(_names(graph))
    inner = {
        value.name: unique_name(f"{value.name}/as_exported", taken)
        for value in _inputs(graph)
        if value.name in fed and len(fed[value.name]) != 4
    }
    rename(graph, inner, computed=False)
    reshapes = [node for name in inner for node in _reshape(name, inner[name], fed[name], taken)]
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*reshapes, *nodes])
    idle = _idle(graph, fed)
    kept = [value for value in graph.input if value.name not in idle]
    del graph.input[:]
    graph.input.extend(kept)
    for value in (*graph.input, *graph.output):
        if value.name in inner:
            _set_sizes(value, four_sizes(fed[value.name]))
    made.ir_version = max(made.ir_version, OLDEST_IR)
    whole, added = add_slices(graph, slices or {}, taken)
    note = {**before, "inner": inner, "reshapes": len(reshapes)}
    if added:
        note |= {"whole": whole, "sliced": added}
    made.metadata_props.add(key=KEY, value=json.dumps(note, sort_keys=True))
    return made


def as_exported(model: onnx.ModelProto, where: str = "") -> onnx.ModelProto:
    """The model that a reference model was made of; any other model is returned as it is.

    Raises:
        ModelError: somebody changed the note that hexconv left in the reference model.
    """
    noted = [entry for entry in model.metadata_props if entry.key == KEY]
    if not noted:
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    try:
        note = parse_json(noted[0].value)
        _undo(made, note)
    except (*_NOT_OURS, DecodeError) as error:
        raise ModelError(
            "the reference model is damaged",
            where=where,
            why=f"its metadata '{KEY}': {error}",
            hint="convert the original model again",
        ) from error
    return made


def _undo(made: onnx.ModelProto, note: Mapping[str, Any]) -> None:
    graph = made.graph
    remove_slices(graph, dict(note.get("whole", {})), int(note.get("sliced", 0)))
    del graph.node[: int(note["reshapes"])]
    rename(graph, {inner: name for name, inner in dict(note["inner"]).items()}, computed=False)
    for ends, key in ((graph.input, "inputs"), (graph.output, "outputs")):
        del ends[:]
        for text in note[key]:
            ends.add().ParseFromString(base64.b64decode(text))
    made.ir_version = int(note["ir_version"])
    kept = [entry for entry in made.metadata_props if entry.key != KEY]
    del made.metadata_props[:]
    made.metadata_props.extend(kept)


def _ends(graph: onnx.GraphProto) -> dict[str, list[str]]:
    """Inputs and outputs as they are declared, as text."""
    return {
        "inputs": [_packed(value) for value in graph.input],
        "outputs": [_packed(value) for value in graph.output],
    }


def _packed(value: onnx.ValueInfoProto) -> str:
    return base64.b64encode(value.SerializeToString(deterministic=True)).decode()


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are fed: initializers of old models are listed as inputs too."""
    held = {tensor.name for tensor in graph.initializer}
    held |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in held]


def _idle(graph: onnx.GraphProto, fed: Mapping[str, Shape]) -> set[str]:
    """The inputs that MACE does not have and that nothing reads."""
    read = set(_names_read(graph)) | {value.name for value in graph.output}
    return {value.name for value in _inputs(graph)} - set(fed) - read


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """The name of every value that a node reads, those of inner graphs too."""
    for node in graph.node:
        yield from node.input
        for inner in inner_graphs(node):
            yield from _names_read(inner)
            yield from (value.name for value in inner.output)


def _reshape(name: str, inner: str, shape: Shape, taken: set[str]) -> list[onnx.NodeProto]:
    """`inner` is the input `name` in the shape that the model knows."""
    sizes = unique_name(f"{name}/shape", taken)
    tensor = onnx.helper.make_tensor(sizes, onnx.TensorProto.INT64, [len(shape)], shape)
    return [
        onnx.helper.make_node("Constant", [], [sizes], name=sizes, value=tensor),
        onnx.helper.make_node("Reshape", [name, sizes], [inner], name=inner),
    ]


def _set_sizes(value: onnx.ValueInfoProto, shape: Shape) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in shape:
        dims.add(dim_value=size)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name of a value or node, those of inner graphs too."""
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in inner_graphs(node):
            yield from _names(inner)
