"""`python -m tests.fuzz.files`: damage files, read them, keep what is not handled.

python -m tests.fuzz.files --count 3000
python -m tests.fuzz.files onnx pb --seed 100000 --hours 1 --keep build/fuzz
python -m tests.fuzz.files onnx --seed 1234 --count 1 --keep build/fuzz
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.files.campaign import Case, Finding, campaign
from tests.fuzz.files.formats import FORMATS

WEIGHTS = {"onnx": 8, "onnx-bytes": 2, "pb": 6, "pb-bytes": 2, "npy": 2, "yaml": 2}
"""How often a format comes up; 1 for the others."""


def mixed(formats: list[str], first: int) -> Iterator[Case]:
    """Cases without end, the formats by their weights."""
    turn = [name for name in formats for _ in range(WEIGHTS.get(name, 1))]
    for seed in itertools.count(first):
        yield from (Case(name, seed * 100 + number) for number, name in enumerate(turn))


def main() -> int:
    """Run what is asked for; 1 if anything is found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("formats", nargs="*", help=f"of {', '.join(FORMATS)}; all without")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--count", type=int, help="cases; 3000 if no --hours either")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where the first files of each kind go")
    asked = parser.parse_args()
    count = asked.count if asked.count or asked.hours else 3000
    until = time.monotonic() + (asked.hours or 1e6) * 3600
    cases = itertools.islice(mixed(asked.formats or list(FORMATS), asked.seed), count)
    timed = itertools.takewhile(lambda case: time.monotonic() < until, cases)
    tried: Counter[str] = Counter()
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    start = time.monotonic()
    for case, finding in campaign(timed, asked.jobs):
        tried[case.form] += 1
        if finding is not None:
            found[finding.kind].append(finding)
            if len(found[finding.kind]) <= 3:
                print(f"{case}: {finding.kind}: {finding.text}", flush=True)
                _keep(finding, asked.keep)
        if sum(tried.values()) % 1000 == 0:
            took, faults = time.monotonic() - start, sum(map(len, found.values()))
            print(f"{sum(tried.values())} cases, {faults} faults, {took:.0f} s", file=sys.stderr)
    print(f"{sum(tried.values())} cases: {dict(tried)}; {time.monotonic() - start:.0f} s")
    for kind, findings in sorted(found.items(), key=lambda item: -len(item[1])):
        print(f"{len(findings):5} {kind}")
    return 1 if found else 0


def _keep(finding: Finding, place: Path | None) -> None:
    if place is None:
        return
    folder = place / str(finding.case)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in finding.files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
