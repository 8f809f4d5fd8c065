"""One process for hours: `python -m benchmarks.soak` (HEXCONV_LIBRARY set: on the library as well).

200 conversions, 2,000 simulations and 500 runs on the emulated library, of models that take turns.
Exits with 1 if memory grows by more than 5 % after the first tenth, or if the number of threads,
open files or child processes is another at the end.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import hexconv
from hexconv.device import Library
from hexconv.models.encoder import EncoderConfig, reference_encoder

CONVERSIONS, SIMULATIONS, RUNS = 200, 2000, 500
MOST_GROWTH = 0.05
CONFIGS = tuple(
    EncoderConfig(
        frames=frames, bands=8, channels=4, width=16, heads=2, feed_forward=32, blocks=1, labels=10
    )
    for frames in (6, 8, 12)
)

Work = Callable[[int], object]


@dataclass(frozen=True)
class State:
    """What a process holds: resident bytes, threads, open files, children."""

    memory: int
    threads: int
    files: int
    children: int

    @classmethod
    def now(cls) -> State:
        """Of this process, without what Python has yet to collect."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split(maxsplit=2)[1])
        status = Path("/proc/self/status").read_text()
        threads = int(status.split("Threads:")[1].split(maxsplit=1)[0])
        assert threads >= threading.active_count()
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        files = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), threads, files, len(children))

    def faults(self, before: State) -> list[str]:
        """What a process has more of than before."""
        grown = self.memory / before.memory - 1.0
        found = [f"memory {100 * grown:+.1f} %"] if grown > MOST_GROWTH else []
        for name in ("threads", "files", "children"):
            old, new = getattr(before, name), getattr(self, name)
            found += [f"{name} {old} -> {new}"] if new != old else []
        return found


def soak(work: Work, count: int) -> tuple[State, State]:
    """The states after the first tenth, and at the end."""
    first = max(count // 10, 3)
    for number in range(first):
        work(number)
    before = State.now()
    for number in range(first, count):
        work(number)
    return before, State.now()


def models() -> list[tuple[onnx.ModelProto, dict[str, np.ndarray]]]:
    """Each model with a sample."""
    random = np.random.default_rng(0)
    return [
        (
            reference_encoder(config),
            {"speech": random.uniform(-1, 1, (1, config.frames, config.bands)).astype(np.float32)},
        )
        for config in CONFIGS
    ]


def works(share: float, library: str) -> Iterator[tuple[str, Work, int]]:
    """What is repeated: its name, one turn of it, and how many."""
    pairs = models()
    made = [hexconv.convert(proto, samples=[feeds], name="m") for proto, feeds in pairs]

    def convert(turn: int) -> None:
        proto, feeds = pairs[turn % len(pairs)]
        with tempfile.TemporaryDirectory() as folder:
            hexconv.convert(proto, samples=[feeds], name="m").save(folder)
            hexconv.load(Path(folder) / "m.pb")

    def simulate(turn: int) -> object:
        return hexconv.simulate(made[turn % len(made)], pairs[turn % len(made)][1])

    yield "conversions", convert, int(CONVERSIONS * share)
    yield "simulations", simulate, int(SIMULATIONS * share)
    if library:
        device = Library(library)
        run = device.run
        yield "device runs", lambda n: run(made[n % 3], pairs[n % 3][1]), int(RUNS * share)


def main() -> int:
    """Run all; 1 if anything grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of turns")
    asked = parser.parse_args()
    failed = False
    for name, work, count in works(asked.share, os.environ.get("HEXCONV_LIBRARY", "")):
        before, after = soak(work, count)
        faults = after.faults(before)
        failed |= bool(faults)
        print(
            f"{count} {name}: {before.memory >> 20} -> {after.memory >> 20} MB, "
            f"{after.threads} threads, {after.files} files: {', '.join(faults) or 'constant'}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
