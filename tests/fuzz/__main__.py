"""`python -m tests.fuzz`: run seeds, cut what fails down, and print it.

python -m tests.fuzz --count 1000
python -m tests.fuzz --seed 1000 --count 50000 --jobs 2 --folder build/fuzz
HEXCONV_LIBRARY=.../libhexagon_nn_skel.so python -m tests.fuzz --count 3000
python -m tests.fuzz --seed 1234 --count 1 --show
python -m tests.fuzz --form pairs --count 4000
python -m tests.fuzz --form wide --count 4000
python -m tests.fuzz --form streams --count 1000
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnx

from tests.fuzz.cases import Case
from tests.fuzz.trial import FORMS, tried


def shown(case: Case) -> str:
    """A case as a person reads it."""
    lines = [f"  inputs {dict(case.shapes)}, outputs {case.outputs}, {len(case.samples)} samples"]
    for step in case.steps:
        consts = {
            name: value.tolist() if value.size <= 6 else f"{value.shape}"
            for name, value in step.consts.items()
        }
        lines.append(f"  {step.outputs} = {step.op}{step.inputs} {dict(step.attrs)} {consts}")
    return "\n".join(lines)


def main() -> int:
    """Run the seeds asked for; 1 if any fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--form",
        choices=list(FORMS),
        default="graphs",
        help="pairs: graphs of two or three steps; wide: layers of up to 100 channels; "
        "streams: networks with norms and huge channels, every eighth with --accuracy high",
    )
    parser.add_argument(
        "--library",
        action="store_true",
        default=bool(os.environ.get("HEXCONV_LIBRARY")),
        help="the real library as well; so it is where HEXCONV_LIBRARY names one",
    )
    parser.add_argument("--no-cut", dest="cut", action="store_false", help="leave cases whole")
    parser.add_argument("--show", action="store_true", help="print each graph")
    parser.add_argument("--folder", type=Path, help="where failing models and samples go")
    asked = parser.parse_args()
    kinds: Counter[str] = Counter()
    start = time.monotonic()
    work = functools.partial(tried, library=asked.library, cut=asked.cut, form=asked.form)
    seeds = range(asked.seed, asked.seed + asked.count)
    with get_context("spawn").Pool(asked.jobs) as pool:
        runs = pool.imap_unordered(work, seeds) if asked.jobs > 1 else map(work, seeds)
        for done, (seed, found, case) in enumerate(runs, 1):
            if asked.show:
                print(shown(FORMS[asked.form](seed)))
            if found and case is not None:
                kinds.update({failure.kind for failure in found})
                print(f"seed {seed}: " + "; ".join(map(str, found[:3])))
                print(shown(case), flush=True)
                if asked.folder is not None:
                    _kept(case, asked.folder / str(seed))
            if done % 500 == 0:
                took = time.monotonic() - start
                print(f"{done} graphs, {took:.0f} s, {dict(kinds)}", file=sys.stderr, flush=True)
    print(f"{asked.count} graphs, {time.monotonic() - start:.0f} s: {dict(kinds) or 'all hold'}")
    return 1 if kinds else 0


def _kept(case: Case, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(case.model(), str(folder / "model.onnx"))
    for number, sample in enumerate(case.samples):
        np.savez(folder / f"{number}.npz", **sample)


if __name__ == "__main__":
    sys.exit(main())
