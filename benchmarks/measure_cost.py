"""Measure packets of nodes on the emulated library, for benchmarks/fit_cost.py.

    python benchmarks/measure_cost.py OUT.jsonl --library-file libhexagon_nn_skel.so
        [--only moves ...] [--model build/encoder.pb ...] [--networks]

Runs the graphs of benchmarks/cost_cases, many in one, and whole models on random input; appends
one JSON line a node: [library, source, op, padding, inputs, outputs, parameters, bytes, packets].
With --pack, lines of earlier runs are merged into benchmarks/data: a node that is there with the
same library, sizes and parameters gets the median of the new lines, any other is added.
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

import hexconv
from hexconv.arrays import Array
from hexconv.cost.facts import Reader
from hexconv.device import Library
from hexconv.device.job import Counter
from hexconv.device.listing import parse_listing
from hexconv.device.profile import NODE_BASE, WARM_UP
from hexconv.device.session import Run
from hexconv.device.wiring import input_tensors, output_slots
from hexconv.errors import HexconvError
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
    "images",
    "rows",
    "lines",
    "deep",
    "products",
    "pools",
    "others",
    "floats",
)
TOGETHER = 16
ENDS = ("INPUT", "OUTPUT")
REPEATS = 3
NETWORK = "net:"


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
            library.version,
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
    out.flush()


def sweep(library: Library, family: str, out: TextIO) -> None:
    """All cases of a family, several in one graph; one by one where that fails."""
    items = list(getattr(cost_cases, family)())
    for start in range(0, len(items), TOGETHER):
        part = items[start : start + TOGETHER]
        try:
            _together(library, part, f"{family}#{start}", out)
        except HexconvError:
            for item in part:
                try:
                    _together(library, [item], f"{family}/{item[0]}", out)
                except HexconvError as error:
                    print(f"{family}/{item[0]}: {error}", file=sys.stderr)


def _together(library: Library, part: Iterable[cost_cases.Case], tag: str, out: TextIO) -> None:
    bench = cost_cases.Bench()
    for _, build in part:
        build(bench)
    measure(library, bench.graph(), bench.feeds, tag, out)


def model(library: Library, graph: Graph, name: str, out: TextIO) -> None:
    """A whole model on random input."""
    rng = np.random.default_rng(1)
    feeds = {i.name: rng.uniform(-1, 1, i.shape).astype("f4") for i in graph.inputs}
    measure(library, graph, input_tensors(graph, feeds), NETWORK + name, out)


def networks(library: Library, out: TextIO) -> None:
    """The networks of benchmarks/optimize.py, as exported and optimized, for this version."""
    sys.path.insert(0, str(DATA.parents[1]))
    from benchmarks.optimize import NETWORKS

    for name, network in NETWORKS.items():
        proto = network.build()
        samples = network.inputs(proto, 2, 1)
        for level in ("none", "default"):
            graph = hexconv.convert(
                proto, samples=samples, optimize=level, library=library.version
            ).graph
            model(library, graph, f"{name}/{level}", out)


def pack(files: Sequence[Path]) -> None:
    """Merge lines into benchmarks/data."""
    nodes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    graphs: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for file in files:
        for text in file.read_text(encoding="utf-8").splitlines():
            library, tag, op, padding, inputs, outputs, ints, _, packets = json.loads(text)
            if packets <= 0:
                continue
            role = " ".join(f"{k}={','.join(map(str, v))}" for k, v in sorted(ints.items()))
            row = (library, op, padding, _shapes(inputs), _shapes(outputs), role)
            if op not in ENDS:
                nodes[row].append(packets)
            if tag.startswith(NETWORK):
                name = tag.removeprefix(NETWORK)
                graphs[library, name].append([library, name, *row[1:], str(packets)])
    _merge_nodes({row: (median(found), len(found)) for row, found in nodes.items()})
    _merge_graphs(graphs)


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)


def _merge_nodes(new: dict[tuple[str, ...], tuple[float, int]]) -> None:
    """Put medians in the place of those of the same nodes."""
    head, rows = _read(DATA / "cost_nodes.csv")
    merged = {tuple(row[:-2]): row[-2:] for row in rows}
    for key, (packets, count) in new.items():
        merged[key] = [str(round(packets)), str(count)]
    _write(DATA / "cost_nodes.csv", head, [[*key, *end] for key, end in sorted(merged.items())])


def _merge_graphs(new: dict[tuple[str, str], list[list[str]]]) -> None:
    """Put whole graphs in the place of those of the same name."""
    head, rows = _read(DATA / "cost_graphs.csv")
    kept = [row for row in rows if (row[0], row[1]) not in new]
    added = [row for _, found in sorted(new.items()) for row in found]
    _write(DATA / "cost_graphs.csv", head, [*kept, *added])


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return head, rows


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


def main() -> None:
    """Measure, or merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--library-file", type=Path)
    parser.add_argument("--only", nargs="*", default=FAMILIES, choices=FAMILIES)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--pack", action="store_true")
    arguments = parser.parse_args()
    if arguments.pack:
        pack(arguments.files)
        return
    library = Library(arguments.library_file)
    with arguments.files[0].open("a", encoding="utf-8") as out:
        for family in arguments.only:
            sweep(library, family, out)
        for path in arguments.model:
            model(library, hexconv.load(path).graph, path.stem, out)
        if arguments.networks:
            networks(library, out)


if __name__ == "__main__":
    main()
