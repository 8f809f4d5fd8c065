"""Write docs/agreement.md: simulator against library on every recorded op and graph.

    python -m benchmarks.agreement --library-file V60.so --library-file V65.so ... [--random 40]

Each version of the library is compared with the simulator of that version. Takes the cases of
tests/golden (only their inputs), its whole graphs, and random graphs
of the ops that converters emit. Exits with 1 if anything differs without a known cause.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import pages
from hexconv.compare.agreement import Trial, agree, page
from hexconv.device import Library
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Output
from hexconv.nnlib.versions import release
from hexconv.simulator.golden import recorded
from hexconv.simulator.run_op import single
from tests.nnlib.random_graphs import Generator

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
COMMAND = "python -m benchmarks.agreement"
NORM, NORM_BG = "QuantizedInstanceNorm_8", "QuantizedInstanceNormBG_8"
LINES = ((1, 1, 33, 128), (1, 3, 11, 128))


def op_trials() -> Iterator[Trial]:
    """Every recorded case of one op."""
    for path in sorted(GOLDEN.glob("[A-Z]*.json")):
        with np.load(path.with_suffix(".npz")) as archive:
            arrays = dict(archive.items())
        for case in json.loads(path.read_text("utf-8")):
            yield op_trial(case, arrays)


def op_trial(case: dict, arrays: dict[str, np.ndarray]) -> Trial:
    """One case: constants stay constants, the rest become inputs."""
    inputs = [arrays[part["key"]].reshape(part["shape"]) for part in case["inputs"]]
    consts = [part["const"] for part in case["inputs"]]
    outputs = [
        Output(tuple(given["shape"]), result["dtype"])
        for given, result in zip(case["out_defs"], case["outputs"], strict=True)
        if case["op"] != OUTPUT_OP
    ]
    graph = single(case["op"], inputs, case["padding"], outputs, consts)
    fed = [array for array, const in zip(inputs, consts, strict=True) if not const]
    results = [arrays[part["key"]].reshape(part["shape"]) for part in case["outputs"]]
    sources = inputs if case["op"] == INPUT_OP else fed
    return Trial(case["case"], case["op"], graph, sources, results)


def norm_trials() -> Iterator[Trial]:
    """Instance norms of one line, and of three, of which the values are close together or apart."""
    ends = [np.full((1, 1, 1, 1), end, np.float32) for end in (-900.0, 450.0)]
    unit = [np.full((1, 1, 1, 1), end, np.float32) for end in (0.0, 2.0)]
    epsilon = np.full((1, 1, 1, 1), 1e-5, np.float32)
    for shape, spread in product(LINES, (20, 60, 255)):
        draw = np.random.default_rng(spread)
        outputs = [Output(shape, "uint8"), *(Output((1, 1, 1, 1), "float32") for _ in range(2))]
        first = draw.integers(0, 255 - spread, endpoint=True)
        data = (first + draw.integers(0, spread, shape, endpoint=True)).astype(np.uint8)
        gamma, beta = (draw.integers(0, 256, (1, 1, 1, shape[3]), np.uint8) for _ in range(2))
        size = "x".join(map(str, shape))
        for op, more in ((NORM, []), (NORM_BG, [epsilon, gamma, *unit, beta, *unit])):
            inputs = [data, *ends, *more]
            consts = [False] + [True] * (len(inputs) - 1)
            graph = single(op, inputs, "NN_PAD_NA", outputs, consts)
            yield Trial(f"{op}/{size}, {spread} levels", f"{op}, {size}", graph, [data])


def graph_trials() -> Iterator[Trial]:
    """Every run of every recorded whole graph."""
    for path in sorted((GOLDEN / "graphs").glob("*.json")):
        item = recorded(path)
        for number, (sources, _) in enumerate(item.runs):
            yield Trial(f"{item.name}/{number}", "whole graphs", item.graph, sources)


def random_trials(count: int) -> Iterator[Trial]:
    """Random graphs, by seed."""
    known = json.loads((GOLDEN / "random_graphs.json").read_text("utf-8"))
    for seed in range(count):
        graph, feeds = Generator(seed).graph()
        cause = known.get(str(seed), {}).get("skip", "")
        yield Trial(f"random graph {seed}", "random graphs", graph, feeds, cause=cause)


def main() -> int:
    """Run everything, two processes at a time; write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "agreement.md")
    parser.add_argument("--library-file", action="append", help="default: HEXCONV_LIBRARY's")
    parser.add_argument("--random", type=int, default=40, help="number of random graphs")
    parser.add_argument("--only", default="", help="ops whose name contains this")
    given = parser.parse_args()
    libraries = [Library(file) for file in given.library_file or [None]]
    trials = [*op_trials(), *norm_trials(), *graph_trials(), *random_trials(given.random)]
    trials = [trial for trial in trials if given.only in trial.group]
    found = {}
    with ThreadPoolExecutor(2) as pool:
        for library in libraries:
            found[library.version] = list(pool.map(partial(agree, library), trials))
    number = libraries[0].ops()[0]
    pages.write(given.output, page(found, release(number), COMMAND))
    everything = [item for items in found.values() for item in items]
    differing = [item for item in everything if not item.exact]
    unknown = [item for item in differing if not item.cause]
    print(
        f"{len(everything)} trials, {len(differing)} not exact, {len(unknown)} of these without a"
        f" known cause: {given.output}",
        file=sys.stderr,
    )
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
