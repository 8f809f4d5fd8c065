"""`hexconv convert`: convert an ONNX model to a Hexagon model that MACE loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._html import HTML, html_option, page_beside, page_of
from hexconv.cli._json import emit
from hexconv.cli._options import (
    check_accuracy_samples,
    conversion_options,
    given_samples,
    stateful_option,
    tensor_names,
)
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say, stages
from hexconv.errors import HexconvError
from hexconv.nnlib.versions import LIBRARIES, LibraryVersion

if TYPE_CHECKING:
    from hexconv.arrays import FloatArray
    from hexconv.compare.accuracy import Accuracy
    from hexconv.model import Model
    from hexconv.settings import Progress


@click.command()
@click.argument("source", metavar="[MODEL.onnx]", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    default=Path("build"),
    show_default=True,
    help="Folder for NAME.pb, .data, .yml, .ranges and .report.json.",
)
@conversion_options
@click.option("--name", default="", help="Name of the model; default the file's.")
@click.option(
    "--to",
    "target",
    type=click.Choice(["mace", "qdq"]),
    default="mace",
    show_default=True,
    help="mace: a Hexagon model; qdq: NAME.qdq.onnx for ONNX Runtime's QNN execution provider and "
    "other int8 runtimes.",
)
@click.option(
    "--split",
    "cuts",
    multiple=True,
    type=tensor_names,
    metavar="TENSOR,...",
    help="Cut the model at these tensors: the part after them becomes NAME.cpu.onnx. "
    "auto: before the first nodes that the DSP cannot run.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A MACE deployment YAML: names the model, shapes, ranges. A MODEL beside it replaces "
    "the YAML's model and checksum.",
)
@click.option(
    "--preset",
    help="Settings and comments of a YAML that ships with hexconv, for a model of any names "
    "and shapes: hexconv preset list.",
)
@click.option(
    "--no-accuracy",
    is_flag=True,
    help="Leave out the simulation of the result that is compared with the float model.",
)
@click.option(
    "--accuracy-samples",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Number of samples.",
)
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default="v66",
    show_default=True,
    help="The library to optimize for and to simulate accuracy: v60 SD835, v65 SD845, v66 SD855.",
)
@click.option(
    "--mace-layout",
    is_flag=True,
    help="Write into OUTPUT/NAME/model with absolute paths in the YAML, as MACE's tools look.",
)
@click.option(
    "--save-inputs",
    is_flag=True,
    help="Write the first sample as the raw float32 files that MACE's tools read.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Write nothing, exit with 3, if there are warnings, or an output is 6 dB or more below "
    "what 8 bits allow, or on the samples below 15 dB, or its largest class another one in a "
    "fifth of the rows.",
)
@stateful_option
@click.option("--explain", is_flag=True, help="Show what each rewrite saved (converts again).")
@html_option
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but warnings.")
def command(
    source: Path | None,
    output: Path,
    shapes: dict[str, tuple[int, ...]],
    samples: tuple[str, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    ranges: Path | None,
    input_ranges: dict[str, tuple[float, float]],
    config: Path | None,
    preset: str | None,
    target: str,
    cuts: tuple[list[str], ...],
    no_accuracy: bool,
    accuracy_samples: int,
    library: LibraryVersion,
    mace_layout: bool,
    save_inputs: bool,
    as_html: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Convert MODEL.onnx, or the model that a MACE deployment YAML describes.

    Ranges come from --samples, from a --ranges file, or, with a warning, from random data.
    """
    from hexconv.cli._convert_page import page, say_full_precision, warn
    from hexconv.cli._qdq import QdqRequest, write_qdq
    from hexconv.files import check_file
    from hexconv.settings import EXTRA_PACKETS

    if target == "qdq" and (config or preset or cuts or mace_layout or save_inputs or as_html):
        raise click.UsageError(
            "--to qdq takes a MODEL.onnx, without --config, --preset, --split, --mace-layout, "
            "--save-inputs or --html"
        )
    if target == "qdq" and settings["output_slices"]:
        raise click.UsageError("--output-slices is for the DSP: --to qdq has outputs of 8 bits")
    if target == "qdq" and settings["extra_packets"] != EXTRA_PACKETS:
        raise click.UsageError("--extra-packets is for the DSP: --to qdq counts none")
    if config is not None and preset is not None:
        raise click.UsageError("give either --config or --preset")
    if source is None and config is None:
        raise click.UsageError("give a MODEL.onnx, or a deployment YAML with --config")
    if preset is not None and source is None:
        raise click.UsageError("give the MODEL.onnx that the preset is for")
    if shapes and config is not None:
        raise click.UsageError("shapes come from the YAML: change input_shapes there")
    if cuts and (config is not None or preset is not None):
        raise click.UsageError("--split cuts a MODEL.onnx: give its shapes with --shape")
    if save_inputs and config is None and not samples:
        raise click.UsageError("--save-inputs writes a sample: give --samples")
    check_accuracy_samples(no_accuracy)
    at = [name for names in cuts for name in names]
    given = given_samples(samples, mean, scale, bgr)
    if target == "qdq":
        assert source is not None
        count = 0 if no_accuracy else accuracy_samples
        chosen = {"input_ranges": input_ranges, "library": library, **settings}
        request = QdqRequest(source, output, shapes, given, ranges, chosen, count, library)
        write_qdq(request, as_json=as_json, quiet=quiet)
        return
    with stages(shown=not quiet) as progress:
        model = _convert(
            source,
            config,
            preset,
            at,
            shapes,
            given,
            ranges,
            {
                "input_ranges": input_ranges,
                "progress": progress,
                "library": library,
                **settings,
            },
        )
        if as_html:
            check_file(page_beside(output / f"{model.name}.pb"))
        first = _first_sample(model, given) if save_inputs else None
        found, more = (
            ({}, [])
            if no_accuracy
            else _measured(model, given, accuracy_samples, library, progress)
        )
        warn(model, more)
        report = {**model.report(), **_found(model, given, found, library, more)}
        pages = {HTML: page_of(report)} if as_html else {}
        files = model.save(output, mace_layout=mace_layout, inputs=first, report=report, more=pages)
    emit("convert", {**report, "files": [str(path) for path in files]}, shown=as_json)
    if not (as_json or quiet):
        page(model, files, found, library, report["cost"])
        if source is not None:
            say_full_precision(model)
        if source is not None and not (config or preset or settings["name"]):
            _say_name(source, model.name)


def _say_name(source: Path, name: str) -> None:
    """What became of a file's name that is no name for MACE."""
    if name != source.stem:
        reason = f"MACE makes a C++ name of '{source.stem}'"
        say(f"note: the model is named {name}: {reason}; --name gives another", err=True)


def _convert(
    source: Path | None,
    config: Path | None,
    preset: str | None,
    cuts: list[str],
    shapes: dict[str, tuple[int, ...]],
    samples: Any,
    ranges: Path | None,
    settings: dict[str, Any],
) -> Model:
    from hexconv.conversion import convert
    from hexconv.from_deployment import convert_deployment
    from hexconv.mace.deployment_file import preset as preset_file

    if config is None and preset is None:
        assert source is not None
        if cuts:
            from hexconv.splitting.convert import convert_split

            at = cuts[0] if len(cuts) == 1 else cuts
            return convert_split(source, at, shapes, samples, ranges, **settings)
        return convert(source, shapes, samples, ranges, **settings)
    path = config if config is not None else preset_file(str(preset))
    return convert_deployment(
        path,
        source,
        samples=samples,
        ranges=ranges,
        preset=preset is not None,
        shapes=shapes,
        **settings,
    )


def _measured(
    model: Model, samples: Any, count: int, library: LibraryVersion, progress: Progress
) -> tuple[dict[str, Accuracy], list[str]]:
    """The accuracy and warnings about it: what cannot be measured is written all the same."""
    from hexconv.compare.low_accuracy import low_accuracy

    try:
        found = _accuracy(model, samples, count, library, progress)
    except HexconvError as error:
        return {}, [f"the result was not compared: {error.render(cli=True)}"]
    return found, low_accuracy(found, own_samples=_samples_of(model, samples) is not None)


def _found(
    model: Model,
    samples: Any,
    found: dict[str, Accuracy],
    library: LibraryVersion,
    warnings: list[str],
) -> dict[str, Any]:
    """What a report has of the measurement."""
    from hexconv.compare.accuracy import section

    random = _samples_of(model, samples) is None
    return {"accuracy": section(found, library, random=random), "warnings": warnings}


def _accuracy(
    model: Model, samples: Any, count: int, library: LibraryVersion, progress: Progress
) -> dict[str, Accuracy]:
    from hexconv.compare.accuracy import accuracy

    return accuracy(
        model,
        _float_side(model),
        _samples_of(model, samples),
        count=count,
        library=library,
        progress=progress,
    )


def _float_side(model: Model) -> Any:
    """The ONNX model that the DSP's is compared with."""
    return model.float_model if model.parts is None else model.parts.dsp


def _samples_of(model: Model, samples: Any) -> Any:
    """What the user gave, or the YAML names; of a model that was cut, what its DSP part reads."""
    if samples is None and model.deployment is not None:
        samples = model.deployment.samples or None
    if model.axes and samples is not None:
        from hexconv.calibrate.chunks import in_chunks

        return in_chunks(samples, _float_side(model), None, model.axes)
    if model.parts is None:
        return samples
    from hexconv.splitting.convert import samples_of

    return samples_of(model.parts, samples, model.graph.data_formats)


def _first_sample(model: Model, samples: Any) -> dict[str, FloatArray]:
    from hexconv.calibrate import read_samples
    from hexconv.cli.simulate import ModelFeeds

    source = _samples_of(model, samples)
    if source is None:
        raise click.UsageError("--save-inputs writes a sample: give --samples")
    feeds = ModelFeeds(model.graph.inputs, model.idle_inputs)
    return next(read_samples(source, feeds, model.graph.data_formats))
