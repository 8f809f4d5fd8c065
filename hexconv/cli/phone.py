"""`hexconv phone`: run a model on a phone with MACE, compare it bit for bit, profile it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._html import html_option, page_beside, write_html
from hexconv.cli._json import emit, kept
from hexconv.cli._options import NumberRange
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say
from hexconv.errors import DIFFERS

if TYPE_CHECKING:
    from hexconv.arrays import FloatArray
    from hexconv.nnlib.versions import LibraryVersion
    from hexconv.phone.adb import Adb
    from hexconv.phone.plan import Build, Plan
    from hexconv.phone.run import Comparison

AnyCommand = Callable[..., Any]
PROMPT = (
    "give MACE's source folder, in which it was built, with --mace; or mace_run with --mace-run "
    "and the libraries beside it"
)


class Phone(click.Group):
    """`hexconv phone MODEL.pb` is `hexconv phone plan MODEL.pb`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of a command first where a model is."""
        if args and args[0].endswith(".pb"):
            named = len(args) > 1 and args[1] in self.commands
            args = [args[1], args[0], *args[2:]] if named else ["plan", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Phone)
def command() -> None:
    """Run MODEL.pb on a phone with MACE's mace_run, compare with the simulator, and profile.

    `hexconv phone MODEL.pb` prints the commands; nothing is needed for that. MACE has to be built
    for the phone by you (docs/phone.md).
    """


def build_options(function: AnyCommand) -> AnyCommand:
    """Which phone, and where MACE is."""
    options = [
        click.argument("model", type=click.Path(path_type=Path)),
        click.option(
            "--soc",
            default="auto",
            show_default=True,
            help="sd855, a number, its library (v60, v65, v66), or auto: the phone is asked.",
        ),
        click.option("--serial", default="", help="The phone, as adb devices lists it."),
        click.option(
            "--mace",
            type=click.Path(path_type=Path),
            envvar="MACE",
            help="MACE's source folder, in which it was built (or set MACE).",
        ),
        click.option(
            "--mace-run",
            type=click.Path(path_type=Path),
            help="mace_run, where it is not in that folder's build.",
        ),
        click.option(
            "--library-file",
            type=click.Path(path_type=Path),
            help="libhexagon_nn_skel.so, in place of MACE's for the SoC.",
        ),
        click.option(
            "--testsig",
            type=click.Path(path_type=Path),
            help="The phone's test signature, testsig-0x....so, to push beside the library.",
        ),
        click.option(
            "--abi",
            type=click.Choice(["arm64-v8a", "armeabi-v7a"]),
            default="arm64-v8a",
            show_default=True,
            help="What mace_run was built for.",
        ),
        click.option(
            "--without-cpu-ops", is_flag=True, help="mace_run was built without MACE's CPU ops."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def run_options(function: AnyCommand) -> AnyCommand:
    """What is fed, how often, how long."""
    options = [
        click.option(
            "--inputs",
            "--input",
            "inputs",
            multiple=True,
            metavar="[NAME=]FILE",
            help="A sample for the inputs: .npy, .npz, raw .bin, or NAME=FILE for each.",
        ),
        click.option(
            "--rounds",
            type=click.IntRange(0, 10_000),
            default=10,
            show_default=True,
            help="Executions behind the first.",
        ),
        click.option(
            "--timeout",
            type=NumberRange(1, 1e6),
            default=120.0,
            show_default=True,
            help="Seconds that mace_run may take.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the commands, run nothing."),
        click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass
class Asked:
    """What the options of every command say."""

    model: Path
    soc: str
    serial: str
    build: Build
    testsig: Path | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> Asked:
        """Take them out of a command's options."""
        from hexconv.phone.plan import Build

        build = Build(
            mace=options.pop("mace"),
            mace_run=options.pop("mace_run"),
            library=options.pop("library_file"),
            abi=options.pop("abi"),
            cpu_ops=not options.pop("without_cpu_ops"),
        )
        return cls(
            model=options.pop("model"),
            soc=options.pop("soc"),
            serial=options.pop("serial"),
            build=build,
            testsig=options.pop("testsig"),
        )

    def plan(self, library: LibraryVersion) -> Plan:
        """The plan for a library."""
        from hexconv.model import load
        from hexconv.phone.plan import make_plan

        extra = () if self.testsig is None else (self.testsig,)
        return make_plan(self.model, load(self.model).graph, library, self.build, extra)

    def without_phone(self) -> tuple[Plan, str]:
        """The plan for the SoC that was named, or for a usual one; a note on that."""
        from hexconv.nnlib.versions import DEFAULT_LIBRARY
        from hexconv.phone.socs import AUTO, by_name

        if self.soc == AUTO:
            note = f"for {DEFAULT_LIBRARY} (SD855, SD865); --soc says another phone"
            return self.plan(DEFAULT_LIBRARY), note
        soc = by_name(self.soc)
        return self.plan(soc.library), f"for {soc.library} ({soc.label})"

    def on_phone(self, tell: Callable[[str], None]) -> tuple[Adb, Plan]:
        """The phone, with everything pushed, and the plan for it."""
        from hexconv.phone import run
        from hexconv.phone.adb import Adb
        from hexconv.phone.socs import AUTO, by_name

        if self.soc != AUTO:
            run.check_local(self.plan(by_name(self.soc).library), PROMPT)
        adb = Adb.find().choose(self.serial)
        soc = run.soc_of(adb) if self.soc == AUTO else by_name(self.soc)
        plan = self.plan(soc.library)
        tell(f"{adb.serial}: {soc.label}, library {soc.library}")
        run.check_local(plan, PROMPT)
        run.check_phone(adb, plan)
        run.push(adb, plan, tell)
        return adb, plan


@command.command("plan")
@build_options
@click.option(
    "--rounds",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Executions behind the first.",
)
def plan_command(rounds: int, as_json: bool, **options: Any) -> None:
    """Print the commands that run MODEL.pb on a phone, to be pasted into a shell."""
    plan, note = (asked := Asked.of(options)).without_phone()
    if as_json:
        from hexconv.cli._phone_page import machine_plan

        emit(
            "phone-plan",
            {"library": plan.library, "plan": machine_plan(plan, asked.serial, rounds)},
        )
    else:
        _show_plan(plan, asked.serial, rounds, note, {})


@command.command()
@build_options
@run_options
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many samples of the inputs to run.",
)
def run(
    inputs: tuple[str, ...],
    rounds: int,
    timeout: float,
    samples: int,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run MODEL.pb on a phone and compare with the simulator bit for bit; 3 if a value differs."""
    from hexconv.cli._phone_page import machine_run, show_run
    from hexconv.phone.run import Reference, run_sample

    asked = Asked.of(options)
    if dry_run:
        _dry_run(asked, inputs, rounds)
        return
    feeds = list(_first(inputs, asked.without_phone()[0], samples))
    tell = _teller(shown=not (quiet or as_json))
    adb, plan = asked.on_phone(tell)
    reference = Reference(plan, 1 + rounds if asked.build.cpu_ops else 1)
    rows: list[list[Comparison]] = []
    release = ""
    for number, sample in enumerate(feeds, 1):
        tell(f"run sample {number} of {len(feeds)}")
        ran = run_sample(adb, plan, sample, rounds, timeout)
        rows.append(reference.compare(sample, ran.outputs))
        release = ran.release
    if as_json:
        emit("phone-run", {"library": plan.library, "phone": machine_run(release, rows)})
    elif not quiet:
        show_run(plan, release, rows)
    if any(row.differing for found in rows for row in found):
        raise click.exceptions.Exit(DIFFERS)


@command.command()
@build_options
@run_options
@click.option(
    "-o", "--output", type=OutputFile(), help="Keep the phone's log; hexconv profile reads it."
)
@click.option("--top", type=click.IntRange(1), default=25, show_default=True, help="Rows shown.")
@html_option
def profile(
    inputs: tuple[str, ...],
    rounds: int,
    timeout: float,
    output: Path | None,
    top: int,
    dry_run: bool,
    as_html: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Profile MODEL.pb on a phone, and lay its log beside the prediction.

    Without --inputs, repeatable random data.
    """
    from hexconv.cost.logs import parse_log
    from hexconv.files import check_file, write_files
    from hexconv.phone.run import profile_sample

    asked = Asked.of(options)
    if dry_run:
        _dry_run(asked, inputs, rounds, profiled=True)
        return
    if as_html:
        check_file(page_beside(asked.model))
    (sample,) = _first(inputs, asked.without_phone()[0], 1, synthetic=True)
    tell = _teller(shown=not (quiet or as_json))
    adb, plan = asked.on_phone(tell)
    tell(f"profile {rounds} executions")
    text = profile_sample(adb, plan, sample, rounds, timeout)
    if output is not None:
        write_files({output: text.encode()})
    log = parse_log(text, str(output or "mace_run's log"))
    _show_profile(plan, log, top, as_json=as_json, quiet=quiet)
    if as_html:
        path = _page(plan)
        if not (as_json or quiet):
            say(f"written: {path}")


def _dry_run(asked: Asked, inputs: tuple[str, ...], rounds: int, *, profiled: bool = False) -> None:
    plan, note = asked.without_phone()
    _show_plan(plan, asked.serial, rounds, note, _raw_files(inputs, plan), profiled=profiled)


def _raw_files(inputs: tuple[str, ...], plan: Plan) -> dict[str, Path]:
    """Raw files that can be pushed as they are, by input."""
    found = {}
    names = list(plan.input_files)
    for text in inputs:
        name, equals, file = text.partition("=")
        if not equals and len(names) == 1:
            name, file = names[0], text
        if name in names and Path(file).suffix not in (".npy", ".npz"):
            found[name] = Path(file)
    return found


def _first(
    inputs: tuple[str, ...], plan: Plan, count: int, *, synthetic: bool = False
) -> Iterator[Mapping[str, FloatArray]]:
    """The first samples of what was given."""
    from itertools import islice

    from hexconv.calibrate import read_samples
    from hexconv.cli.simulate import ModelFeeds
    from hexconv.device.feeds import synthetic_feeds

    if not inputs and synthetic:
        yield synthetic_feeds(plan.graph)
        return
    if not inputs:
        raise click.UsageError("there is no --inputs")
    source = inputs[0] if len(inputs) == 1 else list(inputs)
    feeds = read_samples(source, ModelFeeds(plan.graph.inputs), plan.graph.data_formats)
    yield from islice(feeds, min(count, sys.maxsize))


def _teller(*, shown: bool) -> Callable[[str], None]:
    def tell(text: str) -> None:
        if shown:
            say(text, err=True)

    return tell


def _show_plan(
    plan: Plan,
    serial: str,
    rounds: int,
    note: str,
    inputs: Mapping[str, Path],
    *,
    profiled: bool | None = None,
) -> None:
    """The commands as a shell script, with what has to be known as comments."""
    from hexconv.cli._phone_page import script

    click.echo(script(plan, serial, rounds, note, inputs, profiled=profiled))


def _page(plan: Plan) -> Path:
    """The page of the model's report and of what the phone measured."""
    from hexconv.report.stored import report_of

    measured = kept()
    assert measured is not None
    return write_html(page_beside(plan.model), report_of(plan.model), measured)


def _show_profile(plan: Plan, log: Any, top: int, *, as_json: bool, quiet: bool) -> None:
    from hexconv.cli._phone_page import machine_profile, page

    told = {"library": plan.library, "profile": machine_profile(plan, log)}
    emit("phone-profile", told, shown=as_json)
    if not (as_json or quiet):
        page(plan, log, top)
