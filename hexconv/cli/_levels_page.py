"""What `verify --levels` and `verify --stream` print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.errors import FloorError
from hexconv.nnlib.versions import LibraryVersion

if TYPE_CHECKING:
    import onnx

    from hexconv.compare.levels import LevelRow
    from hexconv.device import Library
    from hexconv.model import Model


def show_levels(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: Any,
    states: Mapping[str, str],
    library: LibraryVersion,
    device: Library | None,
    *,
    as_json: bool,
) -> None:
    """Measure and print; exit code 3 if an output is of no use somewhere.

    Args:
        model: converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; of a stream its chunks in order.
        states: {output: input} of a stream; empty for levels.
        library: which the simulator follows.
        device: run this emulated library instead.
        as_json: print JSON.
    """
    from hexconv.compare.levels import at_levels, drift, over_stream

    if states:
        rows = over_stream(model, source, samples, states, library=library, device=device)
    else:
        rows = at_levels(model, source, samples, library=library, device=device)
    broken = [row for row in rows if row.broken]
    kind = "stream" if states else "levels"
    emit(kind, {"library": library, "rows": [row.as_dict() for row in rows]}, shown=as_json)
    if states and not as_json:
        for name, (first, early, late) in drift(rows).items():
            click.echo(
                f"{name}: off by {first:.1f} steps at the first chunk, {early:.1f} over the first "
                f"quarter, {late:.1f} over the last (a step is 1/255 of the output's range)"
            )
    elif not as_json:
        _table(rows)
    for row in broken[:5]:
        click.echo(f"breaks: {row.output} at {row.what}: {row.error or _off(row)}", err=True)
    if broken:
        raise click.exceptions.Exit(FloorError.exit_code)


def _table(rows: list[LevelRow]) -> None:
    width = max(len(row.what) for row in rows)
    for row in rows:
        figure = row.error or f"{row.sqnr:6.1f} dB, {_off(row)}"
        click.echo(f"{row.what:<{width}}  {row.output}  {figure}")


def _off(row: LevelRow) -> str:
    return f"off by {row.steps:.1f} steps of the output's range"
