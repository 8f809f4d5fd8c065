"""Measure packets of nodes on the emulated library, for benchmarks/fit_cost.py.

    python benchmarks/measure_cost.py OUT.jsonl --library-file libhexagon_nn_skel.so
        [--only moves ...] [--model build/encoder.pb ...]

Runs the graphs of benchmarks/cost_cases.py, many in one, and whole models on random input; appends
one JSON line a node: [source, op, padding, inputs, outputs, parameters, bytes, packets]. With
--pack, lines of earlier runs are merged (median of equal nodes) into benchmarks/data: rows of the
library `v60` of the ops measured are replaced (of all ops where there are whole models among the
lines), those of `open`, which came from measurements on nnlib's source with one vector thread, are
kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TextIO

import cost_cases
import numpy as np

from hexconv.arrays import Array
from hexconv.cost.facts import Reader
from hexconv.device import Library
from hexconv.device.job import Counter
from hexconv.device.listing import parse_listing
from hexconv.device.profile import NODE_BASE, WARM_UP
from hexconv.device.session import Run
from hexconv.device.wiring import input_tensors, output_slots
from hexconv.errors import DeviceError
from hexconv.model import load
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.prepare import prepare

DATA = Path(__file__).resolve().parent / "data"
FAMILIES = (
    "unary",
    "binary",
    "reductions",
    "moves",
    "joins",
    "convolutions",
    "products",
    "pools",
    "others",
    "floats",
)
TOGETHER = 16
ENDS = ("INPUT", "OUTPUT")
REPEATS = 3


def measure(library: Library, graph: Graph, feeds: Sequence[Array], tag: str, out: TextIO) -> None:
    """Count a graph's nodes and append their lines; report wrong predictions of prepare."""
    runs = [Run(feeds, Counter.PACKETS)] * (WARM_UP + REPEATS)
    output = library.session.execute(graph, runs, output_slots(graph), list_nodes=True)
    least: dict[int, int] = {}
    for report in output.counts[WARM_UP:]:
        for row in report:
            least[row.node] = min(row.count, least.get(row.node, row.count))
    listed, prepared = parse_listing(output.after), prepare(graph)
    if [node.op for node in listed] != [node.op for node in prepared.nodes]:
        print(f"{tag}: the library prepares other nodes than hexconv predicts", file=sys.stderr)
        return
    reader = Reader(prepared)
    for node, said in zip(listed, prepared.nodes, strict=True):
        facts = reader.facts(said)
        packets = least.get(node.id + (1 << 32 if node.made_by_prepare else NODE_BASE), 0)
        line = [
            tag,
            facts.op,
            facts.padding.name,
            facts.inputs,
            facts.outputs,
            facts.ints,
            facts.moved,
            packets,
        ]
        out.write(json.dumps(line, separators=(",", ":")) + "\n")


def sweep(library: Library, family: str, out: TextIO) -> None:
    """All cases of a family, several in one graph; one by one where that fails."""
    items = list(getattr(cost_cases, family)())
    for start in range(0, len(items), TOGETHER):
        part = items[start : start + TOGETHER]
        try:
            _together(library, part, f"{family}#{start}", out)
        except DeviceError:
            for item in part:
                try:
                    _together(library, [item], f"{family}/{item[0]}", out)
                except DeviceError as error:
                    print(f"{family}/{item[0]}: {error}", file=sys.stderr)


def _together(library: Library, part: Iterable[cost_cases.Case], tag: str, out: TextIO) -> None:
    bench = cost_cases.Bench()
    for _, build in part:
        build(bench)
    measure(library, bench.graph(), bench.feeds, tag, out)


def pack(files: Sequence[Path]) -> None:
    """Merge lines into benchmarks/data."""
    nodes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    graphs: list[list[str]] = []
    for file in files:
        for text in file.read_text(encoding="utf-8").splitlines():
            tag, op, padding, inputs, outputs, ints, _, packets = json.loads(text)
            if packets <= 0:
                continue
            role = " ".join(f"{k}={','.join(map(str, v))}" for k, v in sorted(ints.items()))
            row = ("v60", op, padding, _shapes(inputs), _shapes(outputs), role)
            nodes[row].append(packets)
            if tag.startswith("net:"):
                graphs.append(["v60", tag[4:], *row[1:], str(packets)])
    rows = [[*row, str(round(median(v))), str(len(v))] for row, v in sorted(nodes.items())]
    measured = {row[1] for row in rows if row[1] not in ENDS}
    _replace(DATA / "cost_nodes.csv", rows, None if graphs else measured)
    if graphs:
        _replace(DATA / "cost_graphs.csv", graphs, None)


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)


def _replace(path: Path, rows: list[list[str]], ops: set[str] | None) -> None:
    """Keep the head, the rows of `open`, and those of ops other than `ops` (None: all)."""
    with path.open(encoding="utf-8") as file:
        old = list(csv.reader(file))
    kept = [row for row in old[1:] if row[0] == "open" or (ops is not None and row[1] not in ops)]
    new = [row for row in rows if ops is None or row[1] in ops]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([old[0], *kept, *new])


def main() -> None:
    """Measure, or merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--library-file", type=Path)
    parser.add_argument("--only", nargs="*", default=FAMILIES, choices=FAMILIES)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--pack", action="store_true")
    arguments = parser.parse_args()
    if arguments.pack:
        pack(arguments.files)
        return
    library = Library(arguments.library_file)
    rng = np.random.default_rng(1)
    with arguments.files[0].open("a", encoding="utf-8") as out:
        for family in arguments.only:
            sweep(library, family, out)
        for path in arguments.model:
            graph = load(path).graph
            feeds = {i.name: rng.uniform(-1, 1, i.shape).astype("f4") for i in graph.inputs}
            measure(library, graph, input_tensors(graph, feeds), f"net:{path.stem}", out)


if __name__ == "__main__":
    main()
