"""`hexconv vocode`: run a recording or a mel through one generator, on several backends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say, table
from hexconv.errors import FileError
from hexconv.names import counted

if TYPE_CHECKING:
    from hexconv.models.fidelity import Fidelity
    from hexconv.models.vocode import Result, Utterance
    from hexconv.models.vocoder import Vocoder

FIGURES = {
    "snr": "SNR dB",
    "mel_l1": "mel L1",
    "lsd": "LSD dB",
    "mcd": "MCD dB",
    "stoi": "STOI",
    "pesq": "PESQ",
}


@click.command()
@click.option("--wav", type=click.Path(path_type=Path), help="A recording, of any sample rate.")
@click.option(
    "--mel", type=click.Path(path_type=Path), help="A log-mel .npy or raw .bin, (1,80,frames)."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The generator as ONNX; default: the sample voice that ships with hexconv.",
)
@click.option("--config", type=click.Path(path_type=Path), help="HiFi-GAN JSON of a foreign ONNX.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Weights for torch.")
@click.option("--dsp", type=click.Path(path_type=Path), help="The same generator as MACE .pb.")
@click.option("--ranges", type=click.Path(path_type=Path), help="Range file for the conversion.")
@click.option("--samples", type=click.Path(path_type=Path), help="Folder of .npy or .bin mels.")
@click.option("--backend", default="onnx", show_default=True, help="torch,onnx,simulate,device")
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    help="Mel frames at a time.  [default: all; of a long mel what fits memory]",
)
@click.option(
    "--library-file",
    type=click.Path(path_type=Path),
    help="libhexagon_nn_skel.so for the device (or set HEXCONV_LIBRARY).",
)
@click.option("-o", "--output", type=OutputFolder(), default=Path("vocoded"))
@click.option("--no-picture", is_flag=True, help="Draw no spectrograms.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    wav: Path | None,
    mel: Path | None,
    output: Path,
    backend: str,
    no_picture: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Synthesize a recording (--wav) or a mel (--mel) with a HiFi-GAN generator.

    Writes one wav per backend, times each, and compares each with the float output.
    """
    from hexconv.models import vocode

    hear = vocode.from_wav if wav else vocode.from_mel
    source = wav or mel
    if source is None or (wav and mel):
        raise click.UsageError("give either --wav or --mel")
    names = [name.strip() for name in backend.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise click.UsageError(f"--backend {backend!r} names no backends, or one twice")
    vocoder = _vocoder(**options)
    said = hear(source, vocoder.config)
    if not quiet:
        for warning in said.warnings:
            say(f"warning: {warning}", err=True)
    results = vocode.vocode(vocoder, said, names, output, draw=not no_picture)
    if as_json:
        emit("vocode", {"vocode": [result.as_dict() for result in results]})
    elif not quiet:
        _print(results, said, output)


def _vocoder(
    model: Path | None,
    config: Path | None,
    checkpoint: Path | None,
    samples: Path | None,
    **settings: Any,
) -> Vocoder:
    from hexconv.models import config as configs
    from hexconv.models import spectra, vocoder

    if model is None:
        if config or checkpoint:
            raise click.UsageError("--config and --checkpoint go with --model")
        made = vocoder.small_voice(**settings)
    else:
        weights = None
        if checkpoint:
            from hexconv.models import hifigan

            weights = hifigan.read_checkpoint(checkpoint)
        known = configs.read(config) if config else None
        made = vocoder.from_onnx(model, known, weights=weights, **settings)
    if samples is None:
        return made
    files = sorted(file for file in samples.glob("*.*") if file.suffix in spectra.SUFFIXES)
    if not files:
        raise FileError("there are no .npy or .bin mels to calibrate on", where=str(samples))
    return replace(made, samples=tuple(spectra.read(file, made.config) for file in files))


def _print(results: list[Result], said: Utterance, folder: Path) -> None:
    say(f"{said.name}: {counted(said.mel.shape[2], 'mel frame')}")
    cells: list[tuple[str, ...]] = []
    for result in results:
        timing = (f"{result.spoken.seconds:.3f}", f"{result.spoken.real_time_factor:.3f}")
        first = (result.spoken.backend, *timing)
        compared = (("float", result.against_float), ("recording", result.against_recording))
        rows = [(name, *_cells(figures)) for name, figures in compared if figures]
        for row in rows or [("",) * (1 + len(FIGURES))]:
            cells.append((*first, *row))
            first = ("", "", "")
    table(("backend", "seconds", "RTF", "against", *FIGURES.values()), cells)
    say(f"written to {folder}/")


def _cells(figures: Fidelity) -> list[str]:
    values = figures.as_dict()
    return ["-" if values[key] is None else f"{values[key]:.3f}" for key in FIGURES]
