"""What `hexconv phone` prints: the commands as a script, and a profile beside its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hexconv.cli._terminal import table
from hexconv.cost import predict
from hexconv.cost.align import Pair, pair_prediction, unlike
from hexconv.cost.logs import Log
from hexconv.phone.plan import VARIABLE, Plan, pull_lines, push_lines, run_line

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
        lines += [
            "",
            f"# {file}: the input '{item.name}', raw little-endian float32, "
            f"{'x'.join(map(str, item.shape))} ({item.data_format});",
            f"# in Python: array.astype('<f4').tofile('{file}')"
            + (" with channels last" if item.nhwc else ""),
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
    return "\n".join(lines)


def machine_profile(plan: Plan, log: Log) -> dict[str, Any]:
    """A profile beside its prediction, as plain data."""
    pairs = _pairs(plan, log)
    return {
        "schema_version": 1,
        "library": plan.library,
        "milliseconds": log.total,
        "predicted": predict(plan.graph).milliseconds(SOCS[plan.library]),
        "nodes": [vars(pair) for pair in pairs],
        "notes": [*log.notes, *filter(None, [unlike(pairs)])],
    }


def page(plan: Plan, log: Log, top: int) -> None:
    """The most expensive nodes, measured and predicted, and the sums."""
    pairs = _pairs(plan, log)
    for note in (*log.notes, *filter(None, [unlike(pairs)])):
        click.echo(f"note: {note}", err=True)
    rows = sorted(pairs, key=lambda pair: -(pair.after or 0.0))
    cells = [[p.op, p.name, _time(p.before), _time(p.after)] for p in rows[:top]]
    table(["op", "name", "predicted ms", "ms"], cells)
    if len(rows) > top:
        click.echo(f"... and {len(rows) - top} rows more (--top)")
    soc = SOCS[plan.library]
    predicted = predict(plan.graph).milliseconds(soc)
    click.echo(f"{log.total:.3f} ms on the DSP; {predicted:.3f} ms predicted for {soc.upper()}")


def _pairs(plan: Plan, log: Log) -> list[Pair]:
    return pair_prediction(predict(plan.graph), SOCS[plan.library], log)


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
