"""What `hexconv phone` prints: the commands as a script, and a profile beside its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.cli._cost_page import span
from hexconv.cli._terminal import say, table
from hexconv.cost import predict
from hexconv.cost.align import Pair, node_dicts, pair_prediction, unlike
from hexconv.cost.logs import Log
from hexconv.names import counted
from hexconv.phone.plan import VARIABLE, Plan, pull_lines, push_lines, run_line
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.phone.run import Comparison

SOCS = {"v60": "sd835", "v65": "sd845", "v66": "sd855"}
"""Of each library, the SoC whose times are predicted."""

TRUST = """\
# A phone from a shop loads only signed libraries into its DSP. One of these is needed:
#   SD855 and later: mace_run built with config.SetHexagonToUnsignedPD() (mace/tools/mace_run.cc);
#   any phone: its test signature, testsig-0x....so, pushed beside the library (--testsig FILE);
#   a phone with root, whose vendor allows it."""


def script(
    plan: Plan,
    serial: str,
    rounds: int,
    note: str,
    inputs: Mapping[str, Path],
    *,
    profiled: bool | None,
) -> str:
    """The commands of a run, of a profile, or of both (None), for a shell."""
    lines = [f"# {plan.model} on a phone, {note}.", TRUST]
    if any(str(path).startswith(VARIABLE) for path in plan.files.values()):
        lines += ["", "# MACE's source folder, in which it was built for the phone:"]
        lines += ["MACE=${MACE:?set MACE to that folder}"]
    missing = [item for item in plan.graph.inputs if item.name not in inputs]
    for item in missing:
        file = Path(plan.input_files[item.name]).name
        how = " with channels last" if item.nhwc else ""
        lines += [
            "",
            f"# {file}: the input '{item.name}', raw little-endian float32, "
            f"{'x'.join(map(str, item.shape))} ({item.data_format});",
            f"# in Python: array.astype('<f4').tofile('{file}'){how}",
        ]
    lines += ["", *push_lines(plan, serial, inputs)]
    if profiled is not True:
        lines += ["", run_line(plan, serial, rounds), *pull_lines(plan, serial)]
        lines += [
            f"# {Path(plan.output_files[item.name]).name}: raw float32, "
            f"{'x'.join(map(str, item.shape))}"
            for item in plan.graph.outputs
        ]
    if profiled is not False:
        log = f"{plan.graph.name}.log"
        lines += ["", "# the DSP's own profile:"]
        lines += [f"{run_line(plan, serial, rounds, profiled=True)} > {log}"]
        lines += [f"python -m hexconv profile {log} --against {plan.model}"]
    return "\n".join(translated(line) if line.startswith("#") else line for line in lines)


def machine_profile(plan: Plan, log: Log) -> dict[str, Any]:
    """A profile beside its prediction, as plain data."""
    pairs = _pairs(plan, log)
    return {
        "unit": log.unit,
        "total": log.total,
        "predicted": predict(plan.graph).milliseconds(SOCS[plan.library]),
        "nodes": node_dicts(pairs),
        "notes": [*log.notes, *filter(None, [unlike(pairs)])],
    }


def page(plan: Plan, log: Log, top: int) -> None:
    """The most expensive nodes, measured and predicted, and the sums."""
    pairs = _pairs(plan, log)
    for note in (*log.notes, *filter(None, [unlike(pairs)])):
        say(f"note: {note}", err=True)
    rows = sorted(pairs, key=lambda pair: -(pair.after or 0.0))
    cells = [[p.op, p.name, _time(p.before), _time(p.after)] for p in rows[:top]]
    table(["op", "name", "predicted ms", "ms"], cells)
    if len(rows) > top:
        say(f"... and {counted(len(rows) - top, 'more row')} (--top)")
    soc = SOCS[plan.library]
    predicted = span(predict(plan.graph, plan.library).time(soc))
    say(f"{log.total:.3f} ms on the DSP; {predicted} ms predicted for {soc.upper()}")


def _pairs(plan: Plan, log: Log) -> list[Pair]:
    return pair_prediction(predict(plan.graph), SOCS[plan.library], log)


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def machine_plan(plan: Plan, serial: str, rounds: int) -> dict[str, Any]:
    """A plan for programs."""
    return {
        "folder": str(plan.folder),
        "files": {name: str(path) for name, path in plan.files.items()},
        "inputs": plan.input_files,
        "outputs": plan.output_files,
        "environment": plan.environment(profiled=True),
        "arguments": plan.arguments(rounds),
        "push": push_lines(plan, serial, {}),
        "run": run_line(plan, serial, rounds),
        "profile": run_line(plan, serial, rounds, profiled=True),
        "pull": pull_lines(plan, serial),
    }


def machine_run(release: str, rows: list[list[Comparison]]) -> dict[str, Any]:
    """The outcome of a run for programs."""
    return {
        "release": release,
        "exact": not any(row.differing for found in rows for row in found),
        "samples": [[asdict(row) for row in found] for found in rows],
    }


def show_run(plan: Plan, release: str, rows: list[list[Comparison]]) -> None:
    """The outcome of a run, a line for each output of each sample."""
    say(f"library {plan.library}{f', release {release}' if release else ''}")
    for number, found in enumerate(rows, 1):
        label = f"sample {number}: " if len(rows) > 1 else ""
        for row in found:
            say(f"{label}{row.sentence()}")
