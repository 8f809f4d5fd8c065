"""`hexconv export`: write hexconv's own models as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexconv.cli._json import emit
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say, table
from hexconv.errors import ModelError

if TYPE_CHECKING:
    from hexconv.models.exporting import Comparison


@click.group()
def command() -> None:
    """Write a model as ONNX, and verify that the file computes the same."""


@command.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Official HiFi-GAN JSON, or the YAML of ParallelWaveGAN or ESPnet.",
)
@click.option("--variant", type=click.Choice(["v1", "v2", "v3", "voice"]), help="A known config.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="g_XXXXXXXX of a training.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the weights without a checkpoint.",
)
@click.option(
    "--length", type=click.IntRange(1, 1_000_000), help="Mel frames; without it, any number."
)
@click.option("--conv2d", is_flag=True, help="2-D convolutions: (1,80,T,1) to (1,1,256T,1).")
@click.option("--opset", default=17, show_default=True, type=int)
@click.option("--input-name", default="inputs", show_default=True)
@click.option("--output-name", default="output", show_default=True)
@click.option("-o", "--output", type=OutputFile(), default=Path("hifigan.onnx"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def hifigan(
    config: Path | None,
    variant: str | None,
    checkpoint: Path | None,
    seed: int,
    length: int | None,
    conv2d: bool,
    opset: int,
    input_name: str,
    output_name: str,
    output: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a HiFi-GAN generator as ONNX and compare the file with torch.

    --variant voice writes the small trained sample voice that ships with hexconv.
    """
    from hexconv.models import config as configs
    from hexconv.models import exporting, layers, voice
    from hexconv.models import hifigan as torch_model
    from hexconv.models.onnx_writer import VocoderForm

    if (config is None) == (variant is None):
        raise click.UsageError("give either --config or --variant")
    if variant == "voice" and checkpoint:
        raise click.UsageError("--variant voice has its own weights")
    form = VocoderForm(length, conv2d, opset, input_name, output_name)
    if config:
        known = configs.read(config)
    else:
        known = voice.CONFIG if variant == "voice" else configs.VARIANTS[str(variant)]
    if checkpoint:
        weights, origin = torch_model.read_checkpoint(checkpoint), checkpoint.name
        layers.check(known, weights, where=str(checkpoint))
    elif variant == "voice":
        weights, origin = voice.weights(), voice.ORIGIN
    else:
        weights, origin = layers.seeded(known, seed), f"random, seed {seed}"
        if not quiet:
            say(
                f"WARNING: no checkpoint given. The weights are RANDOM (seed {seed}): the file "
                "makes noise, not speech, and is meaningless as a measure of quality.",
                err=True,
                style="yellow",
            )
    rows = exporting.write(known, weights, form, output, origin)
    if as_json:
        facts = {
            "files": [str(output)],
            "weights": origin,
            "parameters": layers.parameter_count(known),
        }
        emit("export", facts | {"torch_comparison": [row.as_dict() for row in rows]})
    elif not quiet:
        say(
            f"{output}: {layers.parameter_count(known):,} weights ({origin}), "
            f"opset {opset}, {'2-D' if conv2d else '1-D'} convolutions"
        )
        _print(rows)
    worst = min(row.close for row in rows)
    if worst < 1:
        raise ModelError(
            f"the file is not faithful: only {worst:.2%} of the samples are close to torch's",
            where=str(output),
        )


def _print(rows: list[Comparison]) -> None:
    say("torch against ONNX Runtime (close: rtol 1e-3, atol 1e-4):")
    cells = [
        (
            row.frames,
            "x".join(map(str, row.shape)),
            f"{row.largest:.2e}",
            f"{row.close:.2%}",
            f"{row.torch_seconds:.3f}",
            f"{row.onnx_seconds:.3f}",
        )
        for row in rows
    ]
    table(("frames", "output shape", "largest difference", "close", "torch s", "onnx s"), cells)
