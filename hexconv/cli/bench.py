"""`hexconv bench`: a model's time in ONNX Runtime, from Python and from C++."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._terminal import say
from hexconv.errors import ModelError

if TYPE_CHECKING:
    from hexconv.cpp.bench import BenchOutcome, Feed

DEFAULT_FRAMES = 100
"""Of the held-out mel: 1.2 seconds, so that an emulated machine finishes within a minute too."""

PLATFORMS = ("linux", "aarch64", "android")


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help="ONNX; default: the sample voice.")
@click.option(
    "--input",
    "feed",
    type=click.Path(path_type=Path),
    help="A .npy or raw .bin; default: a held-out mel.",
)
@click.option("--cpp", is_flag=True, help="Build and run the C++ runner as well.")
@click.option(
    "-l", "--level", type=click.Choice(["O0", "O1", "O2", "O3"]), default="O2", show_default=True
)
@click.option("-p", "--platform", type=click.Choice(PLATFORMS), default="linux", show_default=True)
@click.option(
    "-g",
    "--graph",
    type=click.Choice(["disable", "basic", "extended", "all"]),
    default="all",
    show_default=True,
    help="ONNX Runtime's graph optimization.",
)
@click.option("-n", "--runs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=0), default=0, help="0: the runtime decides.")
@click.option("--build-dir", type=click.Path(path_type=Path), default=Path("build/cpp"))
@click.option("--dry-run", is_flag=True, help="Print the commands, run none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    model: Path | None,
    feed: Path | None,
    cpp: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Time a model in ONNX Runtime: in Python and, with --cpp, in C++ on three platforms.

    With --cpp both outputs are compared.
    """
    if dry_run and not cpp:
        raise click.UsageError("--dry-run needs --cpp")
    silent = quiet or as_json
    if not silent:
        _parameters(model, feed, cpp, settings)
    with tempfile.TemporaryDirectory(prefix="hexconv-bench-") as scratch:
        folder = Path(scratch)
        if dry_run:
            given = (model or folder / "voice.onnx", feed or folder / "mel.npy")
            _print_commands(*given, folder, settings)
            return
        outcome = _run(*_given(model, feed, folder), folder, cpp, settings, silent)
    if as_json:
        emit("bench", {"bench": outcome.as_dict()})
    elif not quiet:
        _print(outcome)
    if outcome.close is not None and outcome.close < 1:
        raise ModelError(f"Python and C++ agree in only {outcome.close:.2%} of the values")


def _given(model: Path | None, feed: Path | None, folder: Path) -> tuple[Path, Path]:
    """The model and the input, or the sample voice and a held-out mel, as files."""
    import numpy as np
    import onnx

    from hexconv.models import voice

    if model is None:
        model = folder / "voice.onnx"
        onnx.save(voice.onnx_model(), model)
    if feed is None:
        feed = folder / "mel.npy"
        np.save(feed, next(iter(voice.mels().values()))[:, :, :DEFAULT_FRAMES])
    return model, feed


def _job(model: Path, feed: Path, scratch: Path, settings: dict[str, Any], *, dry: bool) -> Any:
    from hexconv.cpp import bench
    from hexconv.cpp.platforms import Job

    build = (settings["build_dir"] / f"{settings['platform']}-{settings['level']}").resolve()
    found = bench.prepare(settings["platform"], build, dry=dry)
    origin = found.pop("origin")
    choices = {k: v for k, v in settings.items() if k != "build_dir"}
    job = Job(
        model=str(model),
        feed=str(feed),
        output=str(scratch / "output.npy"),
        folder=str(build),
        **choices,
        **found,
    )
    return job, origin


def _print_commands(model: Path, feed: Path, scratch: Path, settings: dict[str, Any]) -> None:
    from hexconv.cpp.platforms import build_commands, run_commands

    job, _ = _job(model, feed, scratch, settings, dry=True)
    for line in [*build_commands(job), *run_commands(job)]:
        click.echo(" ".join(part if "$" in part else shlex.quote(part) for part in line))


def _run(
    model: Path, feed: Path, scratch: Path, cpp: bool, settings: dict[str, Any], silent: bool
) -> BenchOutcome:
    import numpy as np

    from hexconv.cpp import bench

    values: Feed = bench.read_feed(feed, model)
    if feed.parent != scratch:
        feed = scratch / "input.npy"
        np.save(feed, values)
    names = ("graph", "runs", "warmup", "threads")
    python = bench.run_python(model, values, *(settings[name] for name in names))
    tell = (lambda line: None) if silent else say
    tell(f"python cost time: {python[0].milliseconds:.3f} ms (mean of {settings['runs']})")
    tell(f"output tensor shape: {'x'.join(map(str, python[0].shape))}")
    if not cpp:
        return bench.BenchOutcome(python[0])
    job, origin = _job(model, feed, scratch, settings, dry=False)
    tell(f"onnxruntime for {job.platform}: {origin}")
    return bench.compare(python, bench.run_cpp(job, tell))


def _parameters(model: Path | None, feed: Path | None, cpp: bool, settings: dict[str, Any]) -> None:
    say(f"model: {model or 'the sample voice of hexconv'}")
    say(f"input: {feed or 'a held-out mel'}")
    if cpp:
        say(f"platform: {settings['platform']}")
        say(f"compiler optimization: -{settings['level']}")
    say(f"graph optimization: {settings['graph']}")
    say(f"runs: {settings['runs']} after {settings['warmup']} to warm up")


def _print(outcome: BenchOutcome) -> None:
    if outcome.cpp is None or outcome.largest_difference is None or outcome.close is None:
        return
    python, cpp = outcome.python.milliseconds, outcome.cpp.milliseconds
    say(f"python {python:.3f} ms, c++ {cpp:.3f} ms: c++ / python = {cpp / python:.2f}")
    say(
        f"max abs difference: {outcome.largest_difference:.2e}, "
        f"close (rtol 1e-3, atol 1e-4): {outcome.close:.2%}"
    )
