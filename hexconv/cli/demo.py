"""`hexconv demo`: convert the built-in acoustic model and show the result."""

from __future__ import annotations

import io
from pathlib import Path

import click

from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say


@click.command()
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    default=Path("build/demo"),
    show_default=True,
    help="Folder for the ONNX model, the samples and the DSP model.",
)
def command(output: Path) -> None:
    """Convert the reference encoder (speech 1x144x40 to fa_out 1x144x287) and show the result."""
    import numpy as np

    from hexconv.cli.convert import command as convert
    from hexconv.files import write_files
    from hexconv.models.encoder import reference_encoder, sample_speech

    model, samples = output / "reference_encoder.onnx", output / "samples"
    files = {model: reference_encoder().SerializeToString(deterministic=True)}
    for number, speech in enumerate(sample_speech(8)):
        buffer = io.BytesIO()
        np.save(buffer, speech)
        files[samples / f"{number}.npy"] = buffer.getvalue()
    write_files(files)
    arguments = [str(model), "--samples", str(samples), "-o", str(output)]
    click.echo(f"$ python -m hexconv convert {' '.join(arguments)}")
    convert.main(arguments, standalone_mode=False)
    stem = output / "reference_encoder.pb"
    say("\nnext:")
    click.echo(f"  python -m hexconv verify {model} --samples {samples}")
    click.echo(f"  python -m hexconv cost {stem}")
    click.echo(f"  python -m hexconv check {model} --all")
