"""The model that is converted: what the user gave, with the interface that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.settings import Settings

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Source:
    """What is converted: a model whose interface is the one that was asked for.

    Attributes:
        model: the file or proto that the user gave, or a proto with another interface.
        shapes: sizes of its inputs by name, where they were given.
        front: what computes its inputs from those of the user's model, where it was cut.
        axes: of a model of chunks, the axis of time of each input and output that has one.
    """

    model: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    front: onnx.ModelProto | None = None
    axes: Mapping[str, int] = field(default_factory=dict)


def source_of(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
    settings: Settings,
) -> Source:
    """The model with inputs bound, cut off and outputs chosen as the settings ask for.

    Raises:
        ConfigError: they do not fit the model.
    """
    if not (settings.constants or settings.inputs or settings.outputs or settings.stateful):
        return Source(source, shapes)
    from hexconv.onnx_graph.interface import change_interface

    changed = change_interface(
        source,
        shapes or {},
        constants=settings.constants,
        inputs=settings.inputs,
        outputs=settings.outputs,
        stateful=settings.stateful,
    )
    return Source(changed.model, changed.shapes, changed.front, changed.axes)
