"""`hexconv simulate`: compute the DSP's outputs without a DSP."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._named import by_name
from hexconv.cli._options import cluster_option, opened_cluster
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say, stages, table
from hexconv.errors import DIFFERS
from hexconv.names import counted
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LIBRARIES, LibraryVersion

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hexconv.cluster import Cluster, Failed
    from hexconv.model import Model
    from hexconv.nnlib.graph import Graph
    from hexconv.settings import Progress
    from hexconv.simulator.golden import GoldenVerdict


def _axes(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, int]:
    """{name: axis} of NAME=AXIS."""
    return by_name(map(_axis, given))


def _axis(text: str) -> tuple[str, int]:
    name, equals, axis = text.rpartition("=")
    if not (equals and name and axis.isdecimal()):
        raise click.BadParameter(f"'{text}' is not of the form x=1")
    return name, int(axis)


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    help="NAME=FILE for each input (.npy or raw .bin), or a .npz or a folder: one sample or many.",
)
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    help="Folder for the outputs: NAME.npy each, samples along the first axis.",
)
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default=DEFAULT_LIBRARY,
    show_default=True,
    help="The library of the phone: v60 SD835, v65 SD845, v66 SD855.",
)
@click.option(
    "--golden",
    type=click.Path(path_type=Path),
    help="Check the simulator on recorded outputs of the real library instead.",
)
@click.option(
    "--stream",
    "axes",
    multiple=True,
    metavar="NAME=AXIS",
    callback=_axes,
    help="Run a whole sequence in chunks: the axis of time of an input or output. A model made "
    "with --stateful gets each state that it returns back.",
)
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; use the exit code.")
def command(
    model: Path | None,
    inputs: tuple[str, ...],
    output: Path | None,
    library: LibraryVersion,
    golden: Path | None,
    axes: dict[str, int],
    cluster: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run MODEL.pb bit-exactly as the DSP does, on every sample given.

    A sample has the model's shape; with one more axis in front, or N instead of a leading 1,
    it is N samples. With --golden the exit code is 3 if an output differs.
    """
    if golden is not None:
        if model is not None or inputs or cluster is not None:
            raise click.UsageError("--golden takes no model, no inputs and no cluster")
        _check(golden, as_json, quiet)
    elif model is None:
        raise click.UsageError("a MODEL.pb to simulate is missing")
    elif not inputs:
        raise click.UsageError("there is no --input")
    elif axes:
        if cluster is not None:
            raise click.UsageError("a sequence runs in one process: --stream takes no cluster")
        _stream(model, inputs, output, library, axes, as_json, quiet)
    else:
        _simulate(model, inputs, output, library, cluster, as_json, quiet)


def _simulate(
    path: Path,
    inputs: tuple[str, ...],
    output: Path | None,
    library: LibraryVersion,
    cluster: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from hexconv.cluster import require_complete
    from hexconv.model import load

    model = load(path)
    samples = samples_of(inputs, model.graph)
    total = 0 if quiet or as_json else _total(inputs, model.graph)
    with opened_cluster(cluster) as workers, stages(shown=not (quiet or as_json)) as progress:
        tick = partial(_tick, progress, total)
        results, failed = _results(model, samples, library, workers, tick)
    if results:
        names = [item.name for item in model.graph.outputs]
        outputs = {name: stacked([result[name] for result in results]) for name in names}
        _write(outputs, output, library, as_json, quiet)
    others = counted(len(results), "sample")
    require_complete(failed, f"the outputs are those of the other {others}")


def _stream(
    path: Path,
    inputs: tuple[str, ...],
    output: Path | None,
    library: LibraryVersion,
    axes: dict[str, int],
    as_json: bool,
    quiet: bool,
) -> None:
    """One sequence, chunk by chunk."""
    from hexconv.device.feeds import read_feeds
    from hexconv.model import load
    from hexconv.simulator.stream import own_inputs, stream

    model = load(path)
    feeds = read_feeds(model.graph, inputs, own_inputs(model.graph))
    _write(stream(model, feeds, axes, library=library), output, library, as_json, quiet)


def _write(
    results: dict[str, Any],
    output: Path | None,
    library: LibraryVersion,
    as_json: bool,
    quiet: bool,
) -> None:
    from hexconv.files import write_files

    if output is not None:
        write_files({output / f"{file_name(n)}.npy": _npy(a) for n, a in results.items()})
    if not quiet:
        _show(results, output, library, as_json)


def _results(
    model: Model,
    samples: Iterator[dict[str, Any]],
    library: LibraryVersion,
    cluster: Cluster | None,
    tick: Callable[[int], None],
) -> tuple[list[dict[str, Any]], list[Failed]]:
    """The outputs of every sample in order, and the shards that failed."""
    from hexconv.simulator import Simulator

    results: dict[int, list[dict[str, Any]]] = {}
    failed: list[Failed] = []
    if cluster is None:
        simulator = Simulator(model, library)
        for number, sample in enumerate(samples):
            results[number] = [simulator.run(sample)]
            tick(number + 1)
    else:
        from hexconv.cluster import Done
        from hexconv.simulator.many import simulate_on

        for outcome in simulate_on(cluster, model, samples, library, tick):
            if isinstance(outcome, Done):
                results[outcome.span.first] = outcome.result
            else:
                failed.append(outcome)
    ordered = [result for first in sorted(results) for result in results[first]]
    return ordered, sorted(failed, key=lambda item: item.span)


def samples_of(inputs: tuple[str, ...], graph: Graph) -> Iterator[dict[str, Any]]:
    """The samples that `--input` names, of `NAME=FILE` or of a file or folder."""
    from hexconv.calibrate.samples import read_samples

    yield from read_samples(_source(inputs), ModelFeeds(graph.inputs), graph.data_formats)


def _total(inputs: tuple[str, ...], graph: Graph) -> int:
    from hexconv.calibrate import count_samples

    return count_samples(_source(inputs), ModelFeeds(graph.inputs))


def _source(inputs: tuple[str, ...]) -> str | list[str]:
    return inputs[0] if len(inputs) == 1 else list(inputs)


def _tick(progress: Progress, total: int, done: int) -> None:
    progress("simulate", done, total)


@dataclass(frozen=True)
class ModelFeeds:
    """The interface that `read_samples` needs: the graph's inputs."""

    inputs: Any
    dropped_inputs: tuple[str, ...] = ()
    open_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def takes(self, _: str, dtype: npt.DTypeLike) -> bool:
        """Any numbers: which of its inputs the ONNX file has as integers is lost."""
        from hexconv.arrays import are_numbers

        return are_numbers(dtype)


def stacked(arrays: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """One sample as it is; several along the first axis, in place of a leading 1."""
    import numpy as np

    if len(arrays) == 1:
        return arrays[0]
    leading_one = arrays[0].ndim > 0 and arrays[0].shape[0] == 1
    return np.concatenate(arrays) if leading_one else np.stack(arrays)


def file_name(tensor: str) -> str:
    """A tensor's name as a file name."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in tensor) or "_"


def _npy(array: npt.NDArray[np.float32]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _show(
    results: dict[str, Any], output: Path | None, library: LibraryVersion, as_json: bool
) -> None:
    rows: dict[str, dict[str, Any]] = {
        name: {
            "shape": list(array.shape),
            "min": float(array.min()),
            "max": float(array.max()),
            "mean": float(array.mean()),
            "file": str(output / f"{file_name(name)}.npy") if output is not None else None,
        }
        for name, array in results.items()
    }
    if as_json:
        described = [{"name": name, **row} for name, row in rows.items()]
        emit("simulate", {"library": library, "results": described})
        return
    for name, row in rows.items():
        shape = "x".join(map(str, row["shape"]))
        say(f"{name} {shape}: {row['min']:.6g} .. {row['max']:.6g}, mean {row['mean']:.6g}")
    if output is not None:
        say(f"written: {output}")


def _check(folder: Path, as_json: bool, quiet: bool) -> None:
    from hexconv.simulator.golden import check

    verdicts = []
    with stages(shown=not (quiet or as_json)) as progress:
        for number, verdict in enumerate(check(folder), 1):
            verdicts.append(verdict)
            progress("check", number, 0)
    wrong = [verdict for verdict in verdicts if not verdict.exact]
    if as_json:
        emit("golden", {"groups": _summary(verdicts)})
    elif not quiet:
        _table(verdicts, wrong)
    if wrong:
        raise click.exceptions.Exit(DIFFERS)


def _summary(verdicts: list[GoldenVerdict]) -> dict[str, Any]:
    groups: dict[str, list[GoldenVerdict]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict.group, []).append(verdict)
    return {
        group: {
            "cases": len(members),
            "exact": sum(member.exact for member in members),
            "largest_difference": max(member.difference for member in members),
        }
        for group, members in sorted(groups.items())
    }


def _table(verdicts: list[GoldenVerdict], wrong: list[GoldenVerdict]) -> None:
    rows = [
        (group, row["cases"], row["exact"], f"{row['largest_difference']:g}")
        for group, row in _summary(verdicts).items()
    ]
    table(["op", "cases", "exact", "largest difference"], rows)
    for verdict in wrong:
        say(f"{verdict.name}: {verdict.difference:g} {verdict.note}")
    say(f"{len(verdicts) - len(wrong)} of {len(verdicts)} exact")
