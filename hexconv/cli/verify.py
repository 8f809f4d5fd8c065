"""`hexconv verify`: compare the DSP's outputs with the float model's, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._html import html_option, page_for, write_html
from hexconv.cli._json import emit, kept
from hexconv.cli._levels_page import Form, show_levels
from hexconv.cli._named import by_name
from hexconv.cli._options import (
    check_nothing_converts,
    cluster_option,
    conversion_options,
    given_samples,
    opened_cluster,
)
from hexconv.cli._terminal import say, stages
from hexconv.cli._thresholds import threshold_options
from hexconv.errors import DIFFERS, ClusterError
from hexconv.names import counted
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LIBRARIES, LibraryVersion
from hexconv.settings import LAYER_SAMPLES

if TYPE_CHECKING:
    from hexconv.compare import Report
    from hexconv.compare.device import NodeRow
    from hexconv.compare.user_metrics import Metric
    from hexconv.device import Library
    from hexconv.explain import Explanation
    from hexconv.model import Model
    from hexconv.settings import CommonSettings, Progress


def _sides(ctx: click.Context, param: click.Parameter, text: str | None) -> bool:
    """`simulate,device`, the only two backends."""
    if text is not None and sorted(text.split(",")) != ["device", "simulate"]:
        raise click.BadParameter(f"'{text}': only simulate,device can be compared")
    return text is not None


def _states(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if bad := [text for text, (name, _, into) in zip(texts, pairs, strict=True) if not into]:
        raise click.BadParameter(f"'{bad[0]}' is not OUTPUT=INPUT, as in state_out=state_in")
    return by_name((name, into) for name, _, into in pairs)


@click.command()
@click.argument("source", metavar="[MODEL.onnx]", type=click.Path(path_type=Path), required=False)
@conversion_options
@click.option("--test", "held_out", multiple=True, help="Held-out samples, given as --samples are.")
@click.option(
    "--model",
    "built",
    type=click.Path(path_type=Path),
    help="Verify this MODEL.pb instead of converting; --float names its ONNX model.",
)
@click.option("--float", "origin", type=click.Path(path_type=Path), help="See --model.")
@click.option(
    "--on",
    type=click.Choice(["simulate", "device"]),
    default="simulate",
    show_default=True,
    help="Which outputs to measure: the simulator's, or the real library's under an emulator.",
)
@click.option(
    "--compare",
    "sides",
    metavar="simulate,device",
    callback=_sides,
    help="Compare simulator and library node by node, on the first sample.",
)
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default=None,
    help="Which version the simulator follows: v60 SD835, v65 SD845, v66 SD855.  "
    "[default: v66, or that of --library-file]",
)
@click.option(
    "--library-file",
    type=click.Path(path_type=Path),
    envvar="HEXCONV_LIBRARY",
    help="libhexagon_nn_skel.so for the device (or set HEXCONV_LIBRARY).",
)
@cluster_option
@threshold_options
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Number of tensors in the table.",
)
@click.option(
    "--layer-samples",
    metavar="N",
    type=click.IntRange(min=0),
    default=LAYER_SAMPLES,
    show_default=True,
    help="Compare every tensor on the first N samples of each set; on the others only outputs.",
)
@click.option(
    "--levels",
    "at_levels",
    is_flag=True,
    help="Run each input at 0, 1e-3, 0.1, 1 and 10 times its level instead.",
)
@click.option(
    "--stream",
    "states",
    multiple=True,
    metavar="OUTPUT=INPUT",
    callback=_states,
    help="Run the samples as a stream instead: the output becomes the input of the next chunk.",
)
@click.option(
    "--explain",
    "explains",
    is_flag=True,
    help="Measure where the outputs' noise comes from, tensor by tensor and by cause, and try "
    "--accuracy high and other options: what each of them gains.",
)
@html_option
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of every tensor.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, of every tensor.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but failures and errors.")
def command(
    source: Path | None,
    built: Path | None,
    origin: Path | None,
    samples: tuple[str, ...],
    held_out: tuple[str, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    on: str,
    sides: bool,
    library: LibraryVersion | None,
    library_file: Path | None,
    cluster: str | None,
    floors: dict[str, float],
    ceilings: dict[str, float],
    metrics: list[Metric],
    rows: int,
    layer_samples: int,
    at_levels: bool,
    states: dict[str, str],
    explains: bool,
    as_html: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare MODEL.onnx with what the DSP returns, over all samples, layer by layer.

    With --levels, how right the outputs are where an input is silent, quiet or loud; with --stream,
    over the chunks of a stream that starts with a state of zero.

    The model is converted first, with --samples (or --ranges), unless --model gives it. The table
    starts with the tensor whose own node has the largest error, and ends with advice. Close
    elements are those with |x - y| <= 1e-4 + 1e-3 |x|.
    """
    from hexconv.files import check_file

    _check_usage(source, built, origin, samples, held_out, as_json and as_csv)
    if metrics and (sides or at_levels or states):
        raise click.UsageError("--metric has no use with --compare, --levels or --stream")
    if explains and (source is None or not samples or options["ranges"]):
        raise click.UsageError(
            "--explain converts with other options: it needs MODEL.onnx and --samples, not --ranges"
        )
    page_path = page_for(source, built)
    if as_html:
        check_file(page_path)
    given = given_samples(samples, mean, scale, bgr)
    held = given_samples(held_out, mean, scale, bgr)
    device = _device(library_file, library) if on == "device" or sides else None
    with stages(shown=not (quiet or as_json or as_csv)) as progress:
        settings = _settings(options, progress)
        if source is not None:
            target = library or (device.version if device else DEFAULT_LIBRARY)
            model = _converted(source, given, options, settings, target, progress)
        else:
            from hexconv.model import load

            assert built is not None
            model = load(built)
        floating = source if source is not None else origin
        assert floating is not None
        if sides:
            assert device is not None
            nodes = _node_rows(model, given if given is not None else held, device)
            _show_nodes(nodes, as_json, as_csv, quiet, rows)
            return
        if at_levels or states:
            from hexconv.asked_model import source_of
            from hexconv.settings import Settings

            version = library or DEFAULT_LIBRARY
            taken = held if held is not None else given
            shapes = {item.name: item.shape for item in model.graph.inputs}
            floating_model = source_of(floating, shapes, Settings.of(settings)).model
            form = _form(as_json, as_csv, quiet)
            show_levels(model, floating_model, taken, states, version, device, form)
            return
        from hexconv.compare import verify

        with opened_cluster(cluster) as workers:
            report = verify(
                model,
                floating,
                given,
                held_out=held,
                library=library,
                device=device,
                cluster=workers,
                metrics=metrics,
                layer_samples=layer_samples,
                **settings,
            )
        explanation = None
        if explains:
            assert source is not None
            explanation = _explained(model, source, given, held, options, settings)
    failures = report.failures(floors, ceilings)
    body = _machine(report, floors, ceilings, failures)
    body |= {} if explanation is None else {"explanation": explanation.as_dict()}
    emit("verify", body, shown=as_json)
    if as_html:
        write_html(page_path, *_reports(model, built))
        if not (quiet or as_json or as_csv):
            say(f"written: {page_path}")
    _show(report, explanation, as_json, as_csv, quiet, rows)
    if report.incomplete:
        raise ClusterError(
            "the figures are of the other samples alone", where="; ".join(report.incomplete)
        )
    for failure in failures:
        say(f"failed: {failure}", err=True)
    if failures:
        raise click.exceptions.Exit(DIFFERS)


def _check_usage(
    source: Path | None,
    built: Path | None,
    origin: Path | None,
    samples: tuple[str, ...],
    held_out: tuple[str, ...],
    both: bool,
) -> None:
    if source is None and built is None:
        raise click.UsageError("give a MODEL.onnx, or --model MODEL.pb with --float MODEL.onnx")
    if source is not None and (built is not None or origin is not None):
        raise click.UsageError("give either a MODEL.onnx, or --model with --float")
    if built is not None:
        check_nothing_converts("--model")
    if source is None and origin is None:
        raise click.UsageError("--model needs --float, the ONNX model that it comes from")
    if not samples and not held_out:
        raise click.UsageError("there is nothing to verify on: give --samples, --test, or both")
    if both:
        raise click.UsageError("give either --json or --csv")


def _device(path: Path | None, version: LibraryVersion | None) -> Library:
    from hexconv.device import Library

    device = Library(path)
    device.expect(version)
    return device


def _settings(options: Mapping[str, Any], progress: Progress) -> CommonSettings:
    kept = {k: v for k, v in options.items() if k not in ("shapes", "ranges")}
    return cast("CommonSettings", {"progress": progress, **kept})


def _converted(
    source: Path,
    samples: Any,
    options: Mapping[str, Any],
    settings: CommonSettings,
    target: LibraryVersion,
    progress: Progress,
) -> Model:
    from hexconv.cli._convert_page import warn
    from hexconv.conversion import convert

    progress("converting", 0, 0)
    shapes, ranges = options["shapes"], options["ranges"]
    model = convert(source, shapes, samples, ranges, library=target, **settings)
    warn(model)
    return model


def _node_rows(model: Model, samples: Any, device: Library) -> list[NodeRow]:
    from hexconv.calibrate import read_samples
    from hexconv.cli.simulate import ModelFeeds
    from hexconv.compare.device import compare_nodes

    first = next(read_samples(samples, ModelFeeds(model.graph.inputs), model.graph.data_formats))
    return compare_nodes(model, first, device)


def _form(as_json: bool, as_csv: bool, quiet: bool) -> Form:
    return "json" if as_json else "csv" if as_csv else "nothing" if quiet else "text"


def _show_nodes(nodes: list[NodeRow], as_json: bool, as_csv: bool, quiet: bool, most: int) -> None:
    from hexconv.cli._verify_page import node_csv, node_dicts
    from hexconv.compare.device import NodeVerdict

    differ = [row for row in nodes if row.verdict == NodeVerdict.DIFFERS]
    emit("compare", {"nodes": node_dicts(nodes)}, shown=as_json)
    if as_csv:
        click.echo(node_csv(nodes), nl=False)
    elif not (as_json or quiet):
        exact = sum(row.verdict == NodeVerdict.EXACT for row in nodes)
        for row in differ[:most]:
            say(row.sentence())
        unseen = len(nodes) - exact - len(differ)
        differs = counted(len(differ), "differs", "differ")
        say(f"{exact} of {counted(len(nodes), 'node')} exact, {differs}, {unseen} not seen")
    if differ:
        raise click.exceptions.Exit(DIFFERS)


def _reports(model: Model, built: Path | None) -> list[Mapping[str, Any]]:
    """What the page shows: the model's report and what was measured."""
    from hexconv.report.stored import report_of

    measured = kept()
    assert measured is not None
    return [model.report() if built is None else report_of(built, model), measured]


def _machine(
    report: Report, floors: dict[str, float], ceilings: dict[str, float], failures: list[str]
) -> dict[str, Any]:
    return {
        "name": report.model,
        "library": report.library,
        "accuracy": report.as_dict(),
        "thresholds": report.thresholds(floors, ceilings),
        "failures": failures,
    }


def _explained(
    model: Model,
    source: Path,
    samples: Any,
    held: Any,
    options: Mapping[str, Any],
    settings: CommonSettings,
) -> Explanation:
    from hexconv.explain import explain

    assert model.conversion is not None
    return explain(
        source,
        samples,
        held_out=held,
        shapes=options["shapes"],
        model=model,
        library=model.conversion.library,
        **settings,
    )


def _show(
    report: Report,
    explanation: Explanation | None,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
    rows: int,
) -> None:
    from hexconv.cli._explain_page import explain_page
    from hexconv.cli._verify_page import page

    if as_csv:
        click.echo(report.csv(), nl=False)
    elif not (as_json or quiet):
        page(report, rows)
        if explanation is not None:
            explain_page(explanation, rows)
