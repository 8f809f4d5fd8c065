"""Read an ONNX file or proto into an `onnx_ir.Model`, or report clearly what is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from hexconv.arrays import Array
from hexconv.errors import FileError, ModelError, system_reason
from hexconv.onnx_graph.foreign_file import foreign_kind
from hexconv.onnx_graph.malformed import MALFORMED, innermost
from hexconv.onnx_graph.proto_check import check_proto
from hexconv.onnx_graph.reference import as_exported
from hexconv.onnx_graph.signatures import ONNX_DOMAINS
from hexconv.onnx_graph.split_file import read_split
from hexconv.onnx_graph.trial import check_by_trial
from hexconv.onnx_graph.whole import Note, load_external
from hexconv.paths import is_file, is_folder

OLDEST_OPSET = 7


def read_model(source: str | Path | onnx.ModelProto) -> tuple[ir.Model, str]:
    """Read a model with its weights as NumPy views; a reference model as what it was made of.

    Returns:
        The model as it was written, and a label for messages (the path).

    Raises:
        FileError: the file, or a file of external data, is missing or not an ONNX model.
        ModelError: the file is ONNX, but its content contradicts itself.
    """
    if isinstance(source, onnx.ModelProto):
        proto, label, path = source, _label(source), None
    else:
        path = Path(source)
        proto, label = _parse(path), str(path)
    proto = as_exported(proto, label)
    _check_header(proto, label)
    check_proto(proto, label)
    check_by_trial(proto, label)
    try:
        with _without_warnings():
            model = ir.serde.deserialize_model(proto)
    except MALFORMED as error:
        raise ModelError("the ONNX model is invalid", where=label, why=innermost(error)) from error
    _attach_weights(model, path, label)
    return model, label


def _label(proto: onnx.ModelProto) -> str:
    made_of = Note.of({entry.key: entry.value for entry in proto.metadata_props}).file
    return made_of or "the model given in memory"


def whole_model(source: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """A model as it was exported, its weights included: a copy that may be changed.

    Raises:
        FileError, ModelError: as `read_model`, or it is too large for one proto.
    """
    made = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        _check_header(source, _label(source))
        check_proto(source, _label(source))
        check_by_trial(source, _label(source))
        made.CopyFrom(as_exported(source, _label(source)))
        return made
    path = Path(source)
    proto = _parse(path)
    _check_header(proto, str(path))
    check_proto(proto, str(path))
    check_by_trial(proto, str(path))
    return as_exported(load_external(proto, path, proto.ByteSize()), str(path))


def _parse(path: Path) -> onnx.ModelProto:
    if is_folder(path):
        raise FileError("a directory was given instead of an ONNX file", where=str(path))
    try:
        content = read_split(path)
    except FileNotFoundError:
        raise FileError("there is no such ONNX file", where=str(path)) from None
    except (OSError, ValueError) as error:
        why = system_reason(error)
        raise FileError("the ONNX file cannot be read", where=str(path), why=why) from None
    if not content:
        raise FileError("the ONNX file is empty", where=str(path))
    if kind := foreign_kind(Path(path), content):
        raise FileError("this is not an ONNX file", where=str(path), why=kind[0], hint=kind[1])
    try:
        return onnx.ModelProto.FromString(content)
    except DecodeError:
        raise FileError(
            "this is not an ONNX file, or it is cut short",
            where=str(path),
            why=f"its {len(content)} bytes do not parse as a ModelProto",
            hint="export or copy the model again",
        ) from None


def _check_header(proto: onnx.ModelProto, label: str) -> None:
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise FileError(
            "this is not an ONNX model",
            where=label,
            why="it parses as a protobuf but contains no graph",
        )
    if not proto.graph.output:
        raise ModelError(
            "the model has no output",
            where=label,
            why="nothing of what its nodes compute is asked for",
            hint="declare the tensors that you want as outputs of the graph",
        )
    if not 3 <= proto.ir_version <= onnx.IR_VERSION:
        raise ModelError(
            f"the model has IR version {proto.ir_version}",
            where=label,
            why=f"the installed onnx {onnx.__version__} reads IR versions 3 to {onnx.IR_VERSION}",
            hint="export the model again, or install a newer onnx",
        )
    versions = [item.version for item in proto.opset_import if item.domain in ONNX_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
        found = f"opset {versions[0]}" if len(versions) == 1 else f"{len(versions)} ONNX opsets"
        raise ModelError(
            f"the model imports {found}",
            where=label,
            why=f"hexconv reads opsets {OLDEST_OPSET} to {newest}",
            hint="export the model with opset_version=17",
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppress onnx-ir's warnings about what hexconv reports as errors."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _attach_weights(model: ir.Model, path: Path | None, label: str) -> None:
    """Replace each initializer by an array that does not keep the proto alive.

    Reading `raw_data` copies, each time, from an arena that holds the whole file: one copy
    now frees the arena together with the proto.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None:
                raise ModelError(f"initializer '{value.name}' has no data", where=label)
            value.const_value = ir.Tensor(
                _array_of(tensor, str(value.name), path, label),
                dtype=tensor.dtype,
                name=value.name,
            )
    _attach_attributes(model, path, label)


def _attach_attributes(model: ir.Model, path: Path | None, label: str) -> None:
    """As `_attach_weights`, of the tensors in attributes (Constant) whose data is outside."""
    nodes = list(model.graph.all_nodes())
    for function in model.functions.values():
        nodes += function.all_nodes()
    for node in nodes:
        for name, attr in node.attributes.items():
            tensor = attr.value
            if isinstance(tensor, ir.ExternalTensor):
                array = _array_of(tensor, str(tensor.name or name), path, label)
                held = ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)
                node.attributes[name] = ir.AttrTensor(name, held)


def _array_of(tensor: ir.TensorProtocol, name: str, path: Path | None, label: str) -> Array:
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor_array(tensor, name, label)
    if path is not None and tensor.location == path.name and tensor.length is not None:
        return _embedded(tensor, name, path)
    _check_external(tensor, path and path.parent, label)
    return tensor_array(tensor, name, label)


def _embedded(tensor: ir.ExternalTensor, name: str, path: Path) -> Array:
    """The array of a tensor whose bytes `read_split` has left in the model's own file."""
    if tensor.length != tensor.nbytes:
        raise ModelError(
            f"tensor '{name}' is malformed",
            where=str(path),
            why=f"it has {tensor.length} bytes of data, and its shape needs {tensor.nbytes}",
        )
    if tensor.dtype.bitwidth < 8:
        tensor.base_dir = path.parent
        return np.array(tensor_array(tensor, name, str(path)))
    if not 0 <= (tensor.offset or 0) <= path.stat().st_size - tensor.nbytes:
        raise FileError(
            f"the data of tensor '{name}' is not in the file",
            where=str(path),
            why=f"{tensor.nbytes} bytes from byte {tensor.offset} on",
        )
    content = np.fromfile(path, np.uint8, int(tensor.nbytes), offset=tensor.offset or 0)
    return content.view(tensor.dtype.numpy()).reshape(tensor.shape.numpy())


def tensor_array(tensor: ir.TensorProtocol, name: str, label: str = "") -> Array:
    """The values of a tensor; ModelError where its bytes do not fit its shape and type."""
    try:
        return tensor.numpy()
    except FileNotFoundError as error:
        raise FileError(
            f"the external data of tensor '{name}' is missing",
            where=str(error.filename or label),
            hint="put the data file next to the .onnx file under the name that it was saved with",
        ) from None
    except (*MALFORMED, OSError) as error:
        raise ModelError(
            f"tensor '{name}' is malformed", where=label, why=innermost(error)
        ) from error


def _check_inside(tensor: ir.ExternalTensor, base: Path, label: str) -> None:
    """Raise for data outside the model's folder: a model must not read other files of the user.

    A link counts as where it leads.
    """
    if not (base / str(tensor.location)).resolve().is_relative_to(base.resolve()):
        raise FileError(
            f"the external data of tensor '{tensor.name}' is outside the model's folder",
            where=label,
            why=f"it is in '{tensor.location}'",
            hint="put the data file next to the .onnx file, and export the model again",
        )
    if (tensor.offset or 0) < 0 or tensor.length not in (None, tensor.nbytes):
        raise FileError(
            f"the external data of tensor '{tensor.name}' does not fit its shape",
            where=label,
            why=f"{tensor.length} bytes from byte {tensor.offset} on, "
            f"and its shape needs {tensor.nbytes}",
        )


def _check_external(tensor: ir.ExternalTensor, base: Path | None, label: str) -> None:
    if base is None:
        raise ModelError(
            f"the data of tensor '{tensor.name}' is in the file '{tensor.location}'",
            where=label,
            hint="give the path of the .onnx file, or a proto with its external data loaded",
        )
    _check_inside(tensor, base, label)
    tensor.base_dir = base
    path = base / str(tensor.location)
    if not is_file(path):
        raise FileError(
            f"the external data of tensor '{tensor.name}' is missing",
            where=str(path),
            hint="put the data file next to the .onnx file under the name that it was saved with",
        )
    need = (tensor.offset or 0) + tensor.nbytes
    if path.stat().st_size < need:
        raise FileError(
            f"the external data of tensor '{tensor.name}' is cut short",
            where=str(path),
            why=f"the tensor ends at byte {need}, the file at {path.stat().st_size}",
        )
