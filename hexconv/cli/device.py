"""`hexconv device`: the DSP library that phones run, under an emulator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._options import NumberRange
from hexconv.cli._output import OutputFile, OutputFolder
from hexconv.cli._terminal import say, stages, table
from hexconv.errors import DIFFERS, ConfigError
from hexconv.names import counted
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.arrays import Array
    from hexconv.compare.device import NodeVerdict
    from hexconv.device import Library
    from hexconv.device.profile import Profile
    from hexconv.nnlib.graph import Graph
    from hexconv.settings import Progress

AnyCommand = Callable[..., Any]
TOP_ROWS = 20

library_option = click.option(
    "--library-file",
    type=click.Path(path_type=Path),
    envvar="HEXCONV_LIBRARY",
    help="libhexagon_nn_skel.so for v60, v65 or v66 (or set HEXCONV_LIBRARY).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="NAME=FILE for each input (.npy or raw .bin), or a .npz or a folder.",
)
model_argument = click.argument("model", type=click.Path(path_type=Path))


def run_options(function: AnyCommand) -> AnyCommand:
    """The library and its limits."""
    seconds = click.option(
        "--timeout", type=NumberRange(0.1, 1e6), default=600.0, show_default=True, help="s"
    )
    memory = click.option(
        "--memory",
        type=NumberRange(0.25, 4.0),
        default=4.0,
        show_default=True,
        help="GiB of the emulated address space.",
    )
    return library_option(seconds(memory(function)))


def opened(
    library_file: Path | None, timeout: float, memory: float, progress: Progress | None = None
) -> Library:
    """The library with these limits."""
    from hexconv.device import Library, Limits

    return Library(library_file, Limits(seconds=timeout, memory=int(memory * (1 << 30))), progress)


def graph_in(path: Path) -> Graph:
    """The nnlib graph of a .pb model."""
    import hexconv

    graph: Graph = hexconv.load(path).graph
    return graph


@click.group()
def command() -> None:
    """Run models in the real Hexagon NN library, without a phone.

    The library is a libhexagon_nn_skel.so of MACE's third_party/nnlib: v60 (SD820, SD835, SD660),
    v65 (SD845, SD670, SD710) or v66 (SD855, SD865). hexconv ships none.
    """


@command.command()
@library_option
@json_option
@quiet_option
def setup(library_file: Path | None, as_json: bool, quiet: bool) -> None:
    """Show what is installed and what is missing; build the runner; run a self-test."""
    from rich.cells import set_cell_size

    from hexconv.compare.selftest import checks

    found = []
    for check in checks(library_file):
        found.append(check)
        if not (as_json or quiet):
            state = set_cell_size(translated("ok" if check.ok else "MISSING"), 9)
            say(state + translated(f"{check.name}: {check.found}"))
            if check.hint:
                say(" " * 9 + "hint: " + check.hint)
    if as_json:
        emit("device-setup", {"checks": [asdict(check) for check in found]})
    if not all(check.ok for check in found):
        sys.exit(1)


@command.command()
@run_options
@json_option
@quiet_option
def ops(as_json: bool, quiet: bool, **limits: Any) -> None:
    """Compare the library's op list with hexconv's catalogue: names, ids, numbers of inputs.

    Exit code 3 if an op disagrees.
    """
    from hexconv.device.catalogue import compare_ops

    report = compare_ops(opened(**limits).session)
    known = sum(row.catalogue_id is not None for row in report.rows)
    if as_json:
        rows = [asdict(row) for row in report.rows]
        versions = {"version": report.version, "mace_version": report.mace_version}
        head = {**versions, "library": report.library}
        emit("device-ops", {**head, "device_ops": rows})
    elif not quiet:
        title = f"library {report.version} for {report.library}"
        counts = f"{counted(len(report.rows), 'op')}, {known} catalogued"
        say(f"{title}, {counts}; in MACE's log it is {report.mace_version}")
        for row in report.disagreements:
            say(f"{row.name}: {'; '.join(row.problems)}")
        say(counted(len(report.disagreements), "disagreement"))
    if report.disagreements:
        sys.exit(DIFFERS)


@command.command()
@model_argument
@input_option
@click.option("-o", "--output", type=OutputFolder(), help="Folder for NAME.npy files.")
@click.option("--nodes", is_flag=True, help="Show the graph before and after prepare.")
@run_options
@json_option
@quiet_option
def run(
    model: Path,
    inputs: tuple[str, ...],
    output: Path | None,
    nodes: bool,
    as_json: bool,
    quiet: bool,
    **limits: Any,
) -> None:
    """Execute MODEL.pb in the library on every sample and write its outputs as .npy files.

    A sample has the model's shape; with one more axis in front, or N instead of a leading 1,
    it is N samples, as for `hexconv simulate`.
    """
    from hexconv.files import check_folder

    if inputs or not nodes:
        check_folder(output or Path())
    graph = graph_in(model)
    said: dict[str, Any] = {}
    with stages(shown=not (as_json or quiet)) as progress:
        library = opened(progress=progress, **limits)
        if nodes:
            said["before"], said["after"] = library.nodes(graph)
        if inputs or not nodes:
            said["results"] = _written(_outputs(library, graph, inputs), output or Path())
    if as_json:
        emit("device-run", said)
    elif not quiet:
        _show_run(said)


def _outputs(library: Library, graph: Graph, inputs: tuple[str, ...]) -> dict[str, Array]:
    """The outputs of every sample, as `simulate` has them."""
    from hexconv.cli.simulate import samples_of, stacked

    if not inputs:
        name = graph.inputs[0].name
        raise ConfigError(f"there is no data for input '{name}'", hint=f"--input {name}=FILE.npy")
    results = library.run_batch(graph, samples_of(inputs, graph))
    return {item.name: stacked([row[item.name] for row in results]) for item in graph.outputs}


def _first(inputs: tuple[str, ...], graph: Graph) -> Mapping[str, Array]:
    """The first sample of `--input`; data that are random, but repeatable, without it."""
    from hexconv.cli.simulate import samples_of
    from hexconv.device.feeds import synthetic_feeds

    if not inputs:
        return synthetic_feeds(graph)
    samples = samples_of(inputs, graph)
    first = next(samples)
    if next(samples, None) is not None:
        say("note: of several samples the first one is taken", err=True)
    return first


def _written(outputs: Mapping[str, Array], folder: Path) -> list[dict[str, Any]]:
    """Write the outputs; return a description of them to print."""
    from hexconv.device.output import write_outputs

    return [
        {
            "name": name,
            "shape": list(outputs[name].shape),
            "min": float(outputs[name].min()),
            "max": float(outputs[name].max()),
            "mean": float(outputs[name].mean()),
            "file": str(file),
        }
        for name, file in write_outputs(outputs, folder).items()
    ]


def _show_run(said: Mapping[str, Any]) -> None:
    for when in ("before", "after"):
        if when in said:
            say(f"{counted(len(said[when]), 'node')} {when} prepare")
            table(("node", "op"), said[when])
    for row in said.get("results", ()):
        shape = "x".join(map(str, row["shape"]))
        say(f"{row['name']} {shape} [{row['min']:.6g}, {row['max']:.6g}] -> {row['file']}")


@command.command()
@model_argument
@click.option("--compare", type=click.Path(path_type=Path), help="Another .pb to compare with.")
@input_option
@click.option("--csv", "csv_file", type=OutputFile(), help="Write one row per node.")
@click.option("--all", "all_rows", is_flag=True, help="All nodes, in the order of execution.")
@run_options
@json_option
@quiet_option
def profile(
    model: Path,
    compare: Path | None,
    inputs: tuple[str, ...],
    csv_file: Path | None,
    all_rows: bool,
    as_json: bool,
    quiet: bool,
    **limits: Any,
) -> None:
    """Count the packets that each node of MODEL.pb executes, in the steady state.

    Packets of all threads without waits, not cycles. Without --input, repeatable random data.
    """
    counted_models = []
    with stages(shown=not (as_json or quiet)) as progress:
        library = opened(progress=progress, **limits)
        for path in filter(None, (model, compare)):
            graph = graph_in(path)
            counted_models.append(library.profile(graph, _first(inputs, graph)))
    one, other = [*counted_models, None][:2]
    assert one is not None
    if csv_file:
        _write_csv(csv_file, one)
    if as_json:
        both = {"measured": one, "measured_compare": other}
        emit("device-profile", {k: _as_dict(p) for k, p in both.items() if p})
    elif not quiet:
        layers = {node.name: node.onnx_node for node in graph_in(model).nodes}
        _show_profile(one, layers, all_rows)
        if other:
            _show_comparison(one, other)


def _as_dict(found: Profile) -> dict[str, Any]:
    return {"packets": found.packets, **asdict(found)}


def _write_csv(path: Path, found: Profile) -> None:
    from hexconv.device.output import profile_csv
    from hexconv.files import write_files

    write_files({path: profile_csv(found).encode()})


def _show_profile(found: Profile, layers: Mapping[str, str], all_rows: bool) -> None:
    nodes = list(found.nodes)
    if not all_rows:
        nodes = sorted(nodes, key=lambda node: -node.packets)[:TOP_ROWS]
    rows = [
        (
            layers.get(n.name) or n.name,
            n.op,
            n.packets,
            n.main_packets,
            n.instructions,
            n.hvx_instructions,
        )
        for n in nodes
    ]
    heads = ("layer", "executed as", "packets", "main\nthread", "instructions", "HVX")
    table(heads, rows, drop=("instructions", "main\nthread"))
    say(f"{counted(len(found.nodes), 'node')}, {found.packets:,} packets")
    needed = found.memory
    say(
        f"heap: {needed.prepare:,} bytes to prepare, {needed.execute:,} to execute; "
        f"VTCM: {needed.vtcm:,}"
    )


def _show_comparison(one: Profile, other: Profile) -> None:
    mine, theirs = one.by_op(), other.by_op()
    rows = []
    for op in sorted({*mine, *theirs}):
        (nodes, packets), (nodes2, packets2) = mine.get(op, (0, 0)), theirs.get(op, (0, 0))
        rows.append((op, nodes, packets, nodes2, packets2, packets2 - packets))
    rows.sort(key=lambda row: -abs(row[5]))
    heads = ("executed as", "nodes", "packets", "other\nnodes", "other\npackets", "difference")
    table(heads, rows)
    ratio = other.packets / one.packets if one.packets else float("nan")
    say(f"{one.packets:,} against {other.packets:,} packets: ratio {ratio:.3f}")


@command.command()
@model_argument
@input_option
@run_options
@json_option
@quiet_option
def compare(
    model: Path,
    inputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **limits: Any,
) -> None:
    """Compare the simulator with the library node by node; exit code 3 if any node differs."""
    from hexconv.cli._verify_page import node_dicts
    from hexconv.compare.device import NodeVerdict, compare_nodes

    graph = graph_in(model)
    with stages(shown=not (as_json or quiet)) as progress:
        library = opened(progress=progress, **limits)
        rows = compare_nodes(graph, _first(inputs, graph), library)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in NodeVerdict}
    if as_json:
        emit("compare", {"nodes": node_dicts(rows)})
    elif not quiet:
        for row in rows:
            if row.verdict != NodeVerdict.EXACT:
                say(row.sentence())
        say(_verdicts(counts))
    if counts[NodeVerdict.DIFFERS]:
        sys.exit(DIFFERS)


def _verdicts(counts: Mapping[NodeVerdict, int]) -> str:
    """`178 exact, 0 differ, 1 not seen`."""
    from hexconv.compare.device import NodeVerdict

    differ = counted(counts[NodeVerdict.DIFFERS], "differs", "differ")
    return f"{counts[NodeVerdict.EXACT]} exact, {differ}, {counts[NodeVerdict.UNSEEN]} not seen"
