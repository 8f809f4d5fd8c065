"""What `verify --levels` and `verify --stream` print."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hexconv.cli._json import emit
from hexconv.cli._terminal import say, table
from hexconv.errors import DIFFERS
from hexconv.nnlib.versions import LibraryVersion

if TYPE_CHECKING:
    import onnx

    from hexconv.compare.levels import LevelRow
    from hexconv.device import Library
    from hexconv.model import Model

Form = Literal["text", "json", "csv", "nothing"]


def show_levels(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: Any,
    states: Mapping[str, str],
    library: LibraryVersion,
    device: Library | None,
    form: Form,
) -> None:
    """Measure and print; exit code 3 if an output is of no use somewhere.

    Args:
        model: converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; of a stream its chunks in order.
        states: {output: input} of a stream; empty for levels.
        library: which the simulator follows.
        device: run this emulated library instead.
        form: of what is printed.
    """
    from hexconv.compare.levels import at_levels, drift, over_stream

    if states:
        rows = over_stream(model, source, samples, states, library=library, device=device)
    else:
        rows = at_levels(model, source, samples, library=library, device=device)
    broken = [row for row in rows if row.broken]
    kind = "stream" if states else "levels"
    version = library if device is None else device.version
    emit(kind, {"library": version, "rows": [row.as_dict() for row in rows]}, shown=form == "json")
    if form == "csv":
        click.echo(_csv(rows), nl=False)
    elif form == "text" and states:
        for name, (first, early, late) in drift(rows).items():
            say(
                f"{name}: off by {first:.1f} steps at the first chunk, {early:.1f} over the first "
                f"quarter, {late:.1f} over the last (a step is 1/255 of the output's range)"
            )
    elif form == "text":
        _table(rows)
    for row in broken[:5]:
        say(f"breaks: {row.output} at {row.what}: {row.error or _off(row)}", err=True)
    if broken:
        raise click.exceptions.Exit(DIFFERS)


def _csv(rows: list[LevelRow]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, [*rows[0].as_dict()], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)
    return text.getvalue()


def _table(rows: list[LevelRow]) -> None:
    cells = [(row.what, row.output, row.error or f"{row.sqnr:.1f} dB, {_off(row)}") for row in rows]
    table(["level", "output", "against float"], cells, prose=True)


def _off(row: LevelRow) -> str:
    return f"off by {row.steps:.1f} steps of the output's range"
