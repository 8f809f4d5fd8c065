"""Cut a model in two: a DSP part that is converted, and a CPU part for ONNX Runtime.

The DSP part returns the cut tensors, the CPU part reads them, under their own names and in their
own shapes. Both are made of the file's own nodes, so the CPU part runs wherever the model did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from hexconv.argument_types import checks_types
from hexconv.asked_model import source_of
from hexconv.conversion_record import Parts
from hexconv.errors import ConfigError, ModelError
from hexconv.names import did_you_mean, listed
from hexconv.onnx_graph.subgraph import Pieces, opened, part
from hexconv.settings import Settings, SettingsDict
from hexconv.splitting.auto import fits, unsupported_nodes

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

AUTO = "auto"


@checks_types()
def split(
    source: str | Path | onnx.ModelProto,
    at: str | Sequence[str] = AUTO,
    shapes: Mapping[str, Sequence[int]] | None = None,
    **settings: Unpack[SettingsDict],
) -> Parts:
    """Cut a model at tensors, or before the first nodes that the DSP cannot run.

    Args:
        source: an .onnx file or proto.
        at: names of tensors; "auto" moves what the DSP cannot run, and all that depends on it,
            on the CPU.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        **settings: for "auto", how the DSP part will be converted: see
            `hexconv.settings.Settings`.

    Raises:
        ConfigError: an unknown tensor, a cut that leaves one side empty, or cuts that do not
            separate the model.
        HexconvError: the model cannot be read.
    """
    chosen = Settings.of(settings)
    asked = source_of(source, shapes, chosen)
    pieces = opened(asked.model, asked.shapes)
    if at == AUTO:
        return _automatic(pieces, chosen)
    names = [at] if isinstance(at, str) else list(dict.fromkeys(at))
    if not names:
        raise ConfigError("no tensor is named to cut at", hint="name one, or use --split auto")
    cuts = [_tensor(pieces, name) for name in names]
    return _parted(pieces, _behind_cuts(pieces, cuts), cuts)


def _automatic(pieces: Pieces, settings: Settings) -> Parts:
    """Cut off unsupported nodes until all are supported."""
    parts = Parts(pieces.proto(), None, (), pieces.label)
    cpu: set[ir.Node] = set()
    while more := unsupported_nodes(pieces, parts.dsp, settings) - cpu:
        while more:
            cpu = pieces.behind(cpu | more)
            unfit = [value for value in pieces.handed_over(cpu) if not fits(value)]
            more = {node for value in unfit if (node := value.producer()) is not None}
        parts = _parted(pieces, cpu, pieces.handed_over(cpu))
    return parts


def _parted(pieces: Pieces, cpu: set[ir.Node], cuts: Sequence[ir.Value]) -> Parts:
    """Both models.

    Raises:
        ConfigError: one of them would be empty, or the DSP cannot return a cut.
    """
    names = tuple(str(value.name) for value in cuts)
    own = [value for value in pieces.graph.outputs if value.producer() not in cpu]
    results = list(dict.fromkeys([*cuts, *own]))
    if not cpu:
        raise ConfigError(
            f"the cut at {listed(names)} leaves nothing for the CPU",
            why="no node reads it",
            hint="cut further up, or convert without --split",
        )
    dsp = pieces.before(results)
    if not any(node in pieces.varying for node in dsp):
        raise ConfigError(
            f"the cut at {listed(names)} leaves nothing for the DSP"
            if names
            else "nothing is left for the DSP",
            why="no node that depends on an input comes before it",
            hint="cut further down"
            if names and pieces.varying - cpu
            else "cut off the first nodes of the model, and convert the rest",
        )
    for value in cuts:
        _check_handed_over(value)
    rest = [value for value in pieces.graph.outputs if value.producer() in cpu]
    first = part(pieces, dsp, results, ())
    fed = {item.name for item in first.graph.input}
    return Parts(
        dsp=first,
        cpu=part(pieces, pieces.before(rest, stop=cuts), rest, cuts),
        cuts=names,
        source=pieces.label,
        only_cpu=tuple(str(v.name) for v in pieces.graph.inputs if v.name not in fed),
    )


def _behind_cuts(pieces: Pieces, cuts: Sequence[ir.Value]) -> set[ir.Node]:
    """The nodes that depend on a cut.

    Raises:
        ConfigError: a cut depends on another one, or a tensor bypasses the cuts.
    """
    cpu = pieces.behind({node for value in cuts for node in pieces.readers(value)})
    for value in cuts:
        if value.producer() in cpu:
            raise ConfigError(
                f"the cuts do not separate the model: '{value.name}' depends on another cut",
                why="the nodes between them would be needed on both sides",
                hint=f"leave '{value.name}' out, or the cut before it",
            )
    missing = [value for value in pieces.handed_over(cpu) if value not in cuts]
    if missing:
        beyond = pieces.behind({node for value in missing for node in pieces.readers(value)})
        better = [*(value for value in cuts if value.producer() not in beyond), *missing]
        names = [str(value.name) for value in missing]
        raise ConfigError(
            f"the cuts do not separate the model: {listed(names)} bypasses them",
            why="the CPU part needs what the DSP part computes, but does not return",
            hint=f"use --split {','.join(str(value.name) for value in better)}",
        )
    return cpu


def _tensor(pieces: Pieces, name: str) -> ir.Value:
    """The tensor of a name.

    Raises:
        ConfigError: there is none, or it is not a computed tensor.
    """
    value = pieces.values.get(name)
    if value is None:
        raise ConfigError(
            f"there is no tensor '{name}' to cut at",
            where=pieces.label,
            hint=f"{did_you_mean(name, pieces.values, 3)}name a tensor of the ONNX file, "
            "or use --split auto",
        )
    producer = value.producer()
    if producer is None or producer not in pieces.varying:
        what = "an input of the model" if value in pieces.graph.inputs else "a constant"
        raise ConfigError(
            f"the cut at '{name}' leaves nothing for the DSP",
            why=f"it is {what}",
            hint="cut at a tensor that a node computes",
        )
    return value


def _check_handed_over(value: ir.Value) -> None:
    dtype = value.dtype
    if dtype is not None and not dtype.is_floating_point():
        raise ConfigError(
            f"the cut '{value.name}' is of type {dtype.name.lower()}",
            why="the DSP returns floats",
            hint="cut before the node that makes it",
        )
    if value.shape is None:
        raise ModelError(
            f"the shape of the cut '{value.name}' is not known",
            why="ONNX's shape inference does not find it",
            hint="cut elsewhere, or run onnxsim on the model",
        )
