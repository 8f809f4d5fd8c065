"""Trained networks from packages and repositories: converted, executed, compared.

    python -m benchmarks.wild [--cache FOLDER] [--only TEXT]... [--write] [--json]

Needs espeak-ng, Pillow, scikit-learn and the extra `audio`. Each network runs in its own process;
one that fails or takes too long is a row with the reason. HEXCONV_LIBRARY: runs each in the real
library as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.wild import manifest, report
from benchmarks.wild.files import Cache

CACHE = Path("build/wild")


def main() -> int:
    """Run, print, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--only", action="append", default=[], help="networks whose name has this")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds for each network")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
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
    with ThreadPoolExecutor(given.jobs) as pool:
        run = partial(in_process, cache=given.cache, timeout=given.timeout)
        rows = []
        for row in pool.map(run, chosen):
            rows.append(row)
            if not given.json:
                print(report.line(row), flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
    if given.write:
        kept = [json.loads(file.read_text("utf-8")) for file in (given.cache / "rows").glob("*")]
        report.write(models, {row["name"]: row for row in kept})
    failed = [row for row in rows if report.below_floor(row, models) or report.disagrees(row)]
    return 1 if failed else 0


def in_process(model: manifest.Model, *, cache: Path, timeout: float) -> dict[str, object]:
    """The row of one network, whatever happens to its process."""
    file = cache / "rows" / f"{model.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.wild", "--cache", str(cache), "--row", model.name]
    ended = ""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip().splitlines()
            ended = f"exit code {done.returncode}: {text[-1] if text else ''}"
    except subprocess.TimeoutExpired:
        ended = f"stopped after {timeout:.0f} s"
    row = json.loads(file.read_text("utf-8")) if file.exists() else {"name": model.name}
    if ended:
        stage = row.get("stage", "start")
        row["errors"] = {**row.get("errors", {}), stage: ended}
        file.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def one(name: str, cache: Path) -> int:
    """The row of one network, in this process."""
    from benchmarks.wild.draw import material
    from benchmarks.wild.measure import Bench

    ready = material(Cache(cache))
    Bench(ready.models[name], ready, cache / "rows" / f"{name}.json").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
