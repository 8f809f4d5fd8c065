"""What the levels of accuracy give, beside ONNX Runtime's static int8 on the same samples.

    python -m benchmarks.accuracy [--library v60|v65|v66] [--cache FOLDER] [NETWORK...]

Ranges, weights, scales and biases come from the calibration samples; each figure is the SQNR in dB
of all held-out samples together. `packets` is `default` and `high` over `minmax`: predicted, or
counted where HEXCONV_LIBRARY names a library of that version. ONNX Runtime: static QDQ, uint8
activations, int8 symmetric weights, by tensor (T) or by channel (C), with the calibration methods
that it has. It leaves LSTMs in float, and gives a Softmax the range 0..1, whatever its
probabilities are: at a model's end that bounds its figure (`softmax` beside `logits`). Beside it
are AIMET, NNCF and SmoothQuant where they are installed (`benchmarks.accuracy.peers`); NNCF leaves
parts in float and is not counted as the best. Trained networks are downloaded as `benchmarks.wild`
does, into the same folder.

Each figure is kept in the cache as it is measured: the same command goes on where it was killed,
as long as the code is the same.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from benchmarks.accuracy import trained
from benchmarks.accuracy.cases import CASES, Task
from benchmarks.accuracy.measure import LEVELS, Figures, Row, code
from benchmarks.accuracy.peers import PART_FLOAT, ROUNDING
from hexconv.device import Library

CACHE = Path("build/wild")


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all by default")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--library", default="v60", choices=["v60", "v65", "v66"])
    given = parser.parse_args()
    cases = {**CASES, **trained.cases(given.cache)}
    unknown = [name for name in given.networks if name not in cases]
    if unknown:
        parser.error(f"there is no network {unknown[0]!r}; there are {'; '.join(cases)}")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    over = [f"{level} over best" for level in LEVELS[1:]]
    peers, told = (*ROUNDING, *PART_FLOAT), "task: default, high, best"
    columns = ["network", *LEVELS, "packets", *peers, *over, told]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    kept = given.cache / "accuracy" / code()
    device = library_of(given.library)
    for name in given.networks or cases:
        case = cases[name]()
        counted = "counted" if device else "predicted"
        file = kept / f"{name.replace(', ', '-')}-{given.library}-{counted}.json"
        print(line(name, Row(case, given.library, device, file).measure(), case.task), flush=True)


def library_of(version: str) -> Library | None:
    """What counts packets, if it is at hand and of that version."""
    if not os.environ.get("HEXCONV_LIBRARY"):
        return None
    library = Library()
    return library if library.version == version else None


def line(name: str, figures: Figures, task: Task | None) -> str:
    """A row of the table."""
    sqnr = {label: row["sqnr"] for label, row in figures.items() if "sqnr" in row}
    best = max((label for label in ROUNDING if label in sqnr), key=lambda label: sqnr[label])
    packets = [figures[level]["packets"] / figures["minmax"]["packets"] - 1 for level in LEVELS[1:]]
    cells = [f"{sqnr[level]:.1f}" for level in LEVELS]
    cells.append(", ".join(f"{more:+.1%}" for more in packets))
    cells += [
        f"{sqnr[label]:.1f}" if label in sqnr else "fails" for label in (*ROUNDING, *PART_FLOAT)
    ]
    cells += [f"{sqnr[level] - sqnr[best]:+.1f}" for level in LEVELS[1:]]
    told = [f"{figures[label]['task']:.3g}" for label in (*LEVELS[1:], best)] if task else []
    cells.append(f"{task.name} {', '.join(told)}" if task else "")
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
