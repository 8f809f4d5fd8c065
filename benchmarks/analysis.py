"""What the analysis of ranges after prepare costs: its share of a conversion.

    python -m benchmarks.analysis [--json]

Each network is converted from its calibrated ranges, the shortest conversion that there is, and
from samples. The share is the time in `nnlib/ranges` once prepare is done. At most 5 % is wanted of
a network; of a graph of a few nodes nothing takes long.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx

import hexconv
from benchmarks.accuracy.cases import CASES
from hexconv.nnlib.ranges.consistency import PreparedRanges
from tests.fuzz.graphs import random_case

REPEATS = 3
SMALL = range(20)
"""Seeds of random graphs of 3 to 14 nodes."""


class Stopwatch:
    """Time spent in methods, whoever calls them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def on(self, owner: type, name: str) -> Iterator[None]:
        """Count the calls of a method."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, function)


def measured(proto: onnx.ModelProto, **given: Any) -> tuple[float, float]:
    """Seconds of the fastest conversion of a few, and of the analysis in it."""
    best = (float("inf"), 0.0)
    for _ in range(REPEATS):
        watch = Stopwatch()
        with watch.on(PreparedRanges, "check"), watch.on(PreparedRanges, "wronged_convolutions"):
            start = time.perf_counter()
            hexconv.convert(proto, **given)
            best = min(best, (time.perf_counter() - start, watch.seconds))
    return best


def rows() -> Iterator[tuple[str, str, float, float]]:
    """Name, how it was converted, seconds, and those of the analysis."""
    for name in ("encoder, logits", "hifigan_v3"):
        case = CASES[name]()
        ranges = hexconv.convert(case.proto, samples=case.calibration).ranges
        yield name, "ranges", *measured(case.proto, ranges=ranges)
        yield name, "samples", *measured(case.proto, samples=case.calibration)
    small = [random_case(seed) for seed in SMALL]
    found = [measured(case.model(), samples=case.samples) for case in small]
    total, own = (sum(times) for times in zip(*found, strict=True))
    yield f"{len(small)} random graphs", "samples", total, own


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hexconv.errors.HexconvWarning)
        found = list(rows())
    if as_json:
        keys = ("model", "from", "seconds", "analysis")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in found], indent=1))
        return
    print(
        "| model | converted from | convert, ms | analysis, ms | share |\n|---|---|---:|---:|---:|"
    )
    for name, given, total, own in found:
        print(f"| {name} | {given} | {1e3 * total:.0f} | {1e3 * own:.1f} | {own / total:.1%} |")


if __name__ == "__main__":
    main()
