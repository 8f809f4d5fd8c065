"""What the levels of accuracy give, beside ONNX Runtime's static int8 on the same samples.

    python -m benchmarks.accuracy [--library v60|v65|v66] [--cache FOLDER] [NETWORK...]

Ranges, weights, scales and biases come from the calibration samples; each figure is the SQNR in dB
of all held-out samples together. `packets` is the prediction for `default` and `high` over
`minmax`. ONNX Runtime: static QDQ, uint8 activations, int8 symmetric weights, by tensor (T) or by
channel (C), with the calibration methods that it has. It leaves LSTMs in float, and gives a Softmax
the range 0..1, whatever its probabilities are: at a model's end that bounds its figure (`softmax`
beside `logits`). Trained networks are downloaded as `benchmarks.wild` does, into the same folder.

Each figure is kept in the cache as it is measured: the same command goes on where it was killed,
as long as the code is the same.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

from benchmarks.accuracy import trained
from benchmarks.accuracy.cases import CASES, Task
from benchmarks.accuracy.measure import LEVELS, Figures, Row, code
from benchmarks.accuracy.peer import SETTINGS

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
    columns = ["network", *LEVELS, "packets", *SETTINGS, *over, "task: default, high, best"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    kept = given.cache / "accuracy" / code()
    for name in given.networks or cases:
        case = cases[name]()
        file = kept / f"{name.replace(', ', '-')}-{given.library}.json"
        print(line(name, Row(case, given.library, file).measure(), case.task), flush=True)


def line(name: str, figures: Figures, task: Task | None) -> str:
    """A row of the table."""
    sqnr = {label: row["sqnr"] for label, row in figures.items()}
    best = max(SETTINGS, key=lambda label: sqnr[label])
    packets = [figures[level]["packets"] / figures["minmax"]["packets"] - 1 for level in LEVELS[1:]]
    cells = [f"{sqnr[level]:.1f}" for level in LEVELS]
    cells.append(", ".join(f"{more:+.1%}" for more in packets))
    cells += [f"{sqnr[label]:.1f}" for label in SETTINGS]
    cells += [f"{sqnr[level] - sqnr[best]:+.1f}" for level in LEVELS[1:]]
    told = [f"{figures[label]['task']:.3g}" for label in (*LEVELS[1:], best)] if task else []
    cells.append(f"{task.name} {', '.join(told)}" if task else "")
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
