"""`hexconv calibrate`: sample inputs through the float model, a range file out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._options import (
    cluster_option,
    given_samples,
    image_options,
    interface_options,
    opened_cluster,
    percentile_option,
)
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say, stages
from hexconv.errors import HexconvError, RangeError
from hexconv.names import counted
from hexconv.settings import OBSERVERS

if TYPE_CHECKING:
    from hexconv.asked_model import Source
    from hexconv.calibrate import Doubts, Ranges, Statistics
    from hexconv.cluster import Cluster, Failed
    from hexconv.onnx_graph import FloatGraph
    from hexconv.settings import Observer, Settings


@click.command()
@click.argument(
    "files", metavar="MODEL.onnx", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--samples",
    multiple=True,
    help="Sample inputs: .npy, .npz, raw .bin, a folder of them, or NAME=PATH for each input.",
)
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    help="Range file; default MODEL.ranges. One that ends in .npz can be merged with others.",
)
@click.option(
    "--merge",
    is_flag=True,
    help="Merge .npz files that were written with -o, given instead of MODEL.onnx.",
)
@click.option(
    "--observer",
    type=click.Choice(list(OBSERVERS)),
    default="minmax",
    show_default=True,
    help="minmax: the full range seen; mse: the least squared error; entropy: the least "
    "Kullback-Leibler divergence; percentile: without the outermost values.",
)
@percentile_option
@interface_options
@image_options
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print the ranges as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    files: tuple[Path, ...],
    samples: tuple[str, ...],
    output: Path | None,
    merge: bool,
    observer: Observer,
    percentile: float,
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    shapes: dict[str, tuple[int, ...]],
    cluster: str | None,
    as_json: bool,
    quiet: bool,
    **interface: Any,
) -> None:
    """Run samples through the float MODEL and write the range of every tensor.

    The file has a line `tensor@@min,max` for each tensor of the model as it was exported, so it
    can be used for conversions with and without optimizations.

    Parts of the samples can be calibrated apart, each with -o PART.ranges.npz, and merged
    (--merge PART.ranges.npz ... -o MODEL.ranges): the same ranges as those over all samples.
    """
    from hexconv.asked_model import source_of
    from hexconv.calibrate import Doubts, count_samples, read_samples
    from hexconv.calibrate.introduced import with_introduced
    from hexconv.cluster import require_complete
    from hexconv.files import check_file
    from hexconv.onnx_graph import load
    from hexconv.settings import Settings, calibrating, check_percentile

    target = output if output is not None else _target(files[0], merge)
    check_file(target)
    failed: list[Failed] = []
    streams: Ranges = {}
    doubts = Doubts()
    if merge:
        pictures = mean is not None or scale is not None or bgr
        if samples or shapes or cluster is not None or pictures or _is_given(interface):
            raise click.UsageError("--merge takes files of ranges, no samples and no cluster")
        statistics = _merged(files)
        _check_observer(observer, statistics)
        check_percentile(statistics.observer, percentile)
    else:
        check_percentile(observer, percentile)
        if len(files) > 1:
            raise click.UsageError("give one MODEL.onnx, or --merge for files of ranges")
        if not samples:
            raise click.UsageError("there are no --samples")
        with stages(shown=not quiet) as progress:
            given: Any = given_samples(samples, mean, scale, bgr)
            asked = source_of(files[0], shapes, Settings.of(interface))
            graph = load(asked.model, asked.shapes, recognize=False)
            lowered = _as_lowered(asked, interface["unroll"])
            graph, optional = with_introduced(graph, lowered)
            tick = calibrating(progress, count_samples(given, graph))
            stream = doubts.watch(read_samples(given, graph))
            with opened_cluster(cluster) as workers:
                statistics, failed = _measured(workers, graph, stream, observer, tick, optional)
            if statistics.samples and not failed and target.suffix != ".npz":
                settings = Settings(observer=observer, unroll=interface["unroll"])
                streams = _of_streams(lowered, statistics.ranges(percentile), given, settings)
    if statistics.samples:
        ranges = statistics.ranges(percentile) | streams
        _warn(doubts, ranges)
        _write(statistics, ranges, target, as_json, quiet)
    require_complete(
        failed, f"the ranges are those of the other {counted(statistics.samples, 'sample')}"
    )


def _warn(doubts: Doubts, ranges: Ranges) -> None:
    from hexconv.cli._convert_page import warn_texts

    text = doubts.warning({name: ranges[name] for name in doubts.inputs if name in ranges})
    warn_texts([text] if text else [])


def _is_given(interface: Mapping[str, Any]) -> bool:
    """Whether an option of the model's interface was given."""
    return any(value for name, value in interface.items() if name != "unroll")


def _check_observer(observer: Observer, statistics: Statistics) -> None:
    """Raise for an --observer that is not that of the files; the default is as if it was left out.

    Raises:
        RangeError: it is another one.
    """
    if observer not in ("minmax", statistics.observer):
        raise RangeError(
            f"the files are of the observer {statistics.observer}",
            why=f"--observer {observer} needs the samples again",
            hint="leave --observer out, or calibrate with it",
        )


def _target(first: Path, merged: bool) -> Path:
    """MODEL.ranges beside the model, or merged.ranges beside the parts."""
    return first.parent / ("merged.ranges" if merged else f"{first.stem}.ranges")


def _merged(files: tuple[Path, ...]) -> Statistics:
    from hexconv.calibrate import read_statistics

    merged = read_statistics(files[0])
    for path in files[1:]:
        try:
            merged.merge(read_statistics(path))
        except RangeError as error:
            where = f"{files[0]} and {path}"
            raise RangeError(error.what, where=where, why=error.why, hint=error.hint) from error
    return merged


def _measured(
    workers: Cluster | None,
    graph: FloatGraph,
    samples: Iterable[Mapping[str, Any]],
    observer: Observer,
    tick: Callable[[int], None],
    optional: frozenset[str],
) -> tuple[Statistics, list[Failed]]:
    from hexconv.calibrate import measure
    from hexconv.calibrate.distributed import measure_on

    if workers is None:
        return measure(graph, samples, observer, tick, optional), []
    return measure_on(workers, graph, samples, observer, tick, optional)


def _as_lowered(asked: Source, unroll: int) -> list[FloatGraph]:
    """The graphs that conversions lower, by level; none of a model that a level cannot convert."""
    from hexconv.pipeline import prepared
    from hexconv.settings import Settings, other_levels

    own, found = Settings(unroll=unroll), []
    for settings in (own, *other_levels(own)):
        with suppress(HexconvError):
            found.append(prepared(asked.model, asked.shapes, settings)[0])
    return found


def _of_streams(
    lowered: Sequence[FloatGraph], ranges: Ranges, samples: Any, settings: Settings
) -> Ranges:
    """Of streams with values far above usual rows: ranges of their channels, and of scaled ones."""
    from hexconv.calibrate.outlier_channels import stream_meters
    from hexconv.tensor_ranges import introduced_ranges

    if not lowered or not stream_meters(lowered[0], ranges):
        return {}
    return introduced_ranges(lowered[0], ranges, samples, settings)


def _write(
    statistics: Statistics, ranges: Ranges, target: Path, as_json: bool, quiet: bool
) -> None:
    from hexconv.calibrate import write_ranges, write_statistics

    if target.suffix == ".npz":
        write_statistics(target, statistics)
    else:
        write_ranges(target, ranges)
    if as_json:
        found = {
            "samples": {"count": statistics.samples},
            "files": [str(target)],
            "tensor_ranges": ranges,
        }
        emit("calibrate", found)
    elif not quiet:
        say(
            f"{target}: the ranges of {counted(len(ranges), 'tensor')} over "
            f"{counted(statistics.samples, 'sample')}"
        )
