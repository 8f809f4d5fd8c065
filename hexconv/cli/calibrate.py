"""`hexconv calibrate`: sample inputs through the float model, a range file out."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hexconv.cli._options import shape_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--samples",
    multiple=True,
    required=True,
    help="Sample inputs: .npy, .npz, raw .bin, a folder of them, or NAME=PATH for each input.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Range file; default MODEL.ranges."
)
@click.option(
    "--observer",
    type=click.Choice(["minmax", "percentile"]),
    default="minmax",
    show_default=True,
    help="minmax: the full range seen; percentile: without the outermost values.",
)
@click.option(
    "--percentile",
    type=click.FloatRange(50, 100, min_open=True),
    default=99.99,
    show_default=True,
    help="Share of a tensor's values below its maximum, in %.",
)
@shape_option
@click.option("--json", "as_json", is_flag=True, help="Print the ranges as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    model: Path,
    samples: tuple[str, ...],
    output: Path | None,
    observer: str,
    percentile: float,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run samples through the float MODEL and write the range of every tensor.

    The file has a line `tensor@@min,max` for each tensor of the model as it was exported, so it
    can be used for conversions with and without optimizations.
    """
    from hexconv.calibrate import observe, read_samples, write_ranges
    from hexconv.onnx_graph import load

    graph = load(model, dict(shapes), recognize=False)
    stream = read_samples(samples[0] if len(samples) == 1 else list(samples), graph)
    done = 0
    with _progress(shown=not quiet) as count:

        def progress(number: int) -> None:
            nonlocal done
            done = number
            count(number)

        ranges = observe(
            graph,
            stream,
            "percentile" if observer == "percentile" else "minmax",
            percentile,
            progress,
        )
    target = output if output is not None else model.with_suffix(".ranges")
    write_ranges(target, ranges)
    if as_json:
        click.echo(json_format.dumps({"samples": done, "file": str(target), "ranges": ranges}))
    elif not quiet:
        click.echo(f"{target}: the ranges of {len(ranges)} tensors over {done} samples")


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int], None]]:
    """A counter on stderr, without a total because samples are streamed."""
    from rich.console import Console

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda number: None
        return
    with console.status("calibrating") as status:
        yield lambda number: status.update(f"calibrating: {number} samples")
