"""Trained networks from packages and repositories: converted, executed, compared.

    python -m benchmarks.wild [--only TEXT]... [--cluster ADDRESS] [--write] [--json]

Needs espeak-ng, Pillow, scikit-learn and the extra `audio`. Each network runs in its own process;
one that fails or takes too long is a row with the reason. HEXCONV_LIBRARY: runs each in the real
library as well. `--cluster` distributes the networks over workers, each started in a clone of this
project: with the packages, the library and a cache folder of its own machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.wild import manifest, report
from benchmarks.wild.files import Cache
from benchmarks.wild.rows import Row, rows_here, rows_on
from hexconv.errors import HexconvError

CACHE = Path("build/wild")


def main() -> int:
    """Run, print, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--only", action="append", default=[], help="networks whose name has this")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds for each network")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--cluster", default="", help="tcp://SCHEDULER:8786, or local:N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help="write docs/wild.md from all rows")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    _, models = manifest.read()
    if given.row:
        return one(given.row, given.cache)
    chosen = list(manifest.chosen(models, given.only))
    if not chosen:
        parser.error(f"there is no network like {' or '.join(given.only)}")
    rows = []
    try:
        for row in _rows([model.name for model in chosen], given):
            rows.append(row)
            if not given.json:
                print(report.line(row), flush=True)
    except HexconvError as error:
        sys.exit(str(error))
    if given.json:
        print(json.dumps(rows, indent=1))
    if given.write:
        kept = [json.loads(file.read_text("utf-8")) for file in (given.cache / "rows").glob("*")]
        report.write(models, {row["name"]: row for row in kept})
    known = {model.name: model for model in models}
    others = [row["name"] for row in rows if report.has_other_samples(row, known[row["name"]])]
    if others:
        told = f"samples differ from those of the floors: {', '.join(others)}"
        print(told, file=sys.stderr)
    failed = [row for row in rows if report.below_floor(row, models) or report.disagrees(row)]
    return 1 if failed else 0


def one(name: str, cache: Path) -> int:
    """The row of one network, in this process."""
    from benchmarks.wild.draw import material
    from benchmarks.wild.measure import Bench

    ready = material(Cache(cache))
    Bench(ready.models[name], ready, cache / "rows" / f"{name}.json").run()
    return 0


def _rows(names: Sequence[str], given: argparse.Namespace) -> Iterator[Row]:
    if given.cluster:
        return rows_on(given.cluster, names, cache=given.cache, timeout=given.timeout)
    return rows_here(names, cache=given.cache, timeout=given.timeout, jobs=given.jobs)


if __name__ == "__main__":
    sys.exit(main())
