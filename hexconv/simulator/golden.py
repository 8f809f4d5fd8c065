"""Golden vectors: the real library's recorded outputs, compared with the simulator's.

A golden folder has `manifest.json` with cases of single nodes (arrays in `<op>.npz`) and
`graphs/NAME.json` with `NAME.npz`. This reads both, and runs them through the same executor as
everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import FileError, HexconvError
from hexconv.nnlib.graph import INPUT_OP, Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.prepare import prepare, trace
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator.executor import Executor
from hexconv.simulator.run_op import run_op, single

ENDS = ("INPUT", "OUTPUT")
DTYPES = {1: "uint8", 2: "uint16", 4: "float32"}
WORST = float("inf")


@dataclass(frozen=True)
class GoldenCase:
    """One recorded execution of one node.

    `executed` lists what it became, in order; `given` is whether its outputs have to be declared.
    """

    name: str
    op: str
    library: LibraryVersion
    padding: str
    inputs: list[Array]
    outputs: list[Array]
    declared: list[Output]
    executed: list[str]

    def simulated(self) -> list[Array]:
        """The simulator's outputs; the declared outputs count for Split alone."""
        outputs = self.declared if self.op == "QuantizedSplit_8" else None
        return run_op(self.op, self.inputs, self.padding, self.library, outputs)

    def prepared(self) -> list[str]:
        """The ops that prepare makes of the node."""
        outputs = self.declared if self.op == "QuantizedSplit_8" else None
        graph = prepare(single(self.op, self.inputs, self.padding, outputs), self.library)
        return [node.op for node in graph.nodes if node.op not in ENDS]


@dataclass(frozen=True)
class Recorded:
    """One recorded graph.

    `runs` has (sources, outputs) pairs as `Executor` takes and returns them; `taps` the inner
    tensors of the first run, as (node id, port, values).
    """

    name: str
    library: LibraryVersion
    graph: Graph
    runs: list[tuple[list[Array], list[Array]]]
    taps: list[tuple[int, int, Array]]
    executed: list[str]


@dataclass(frozen=True)
class GoldenVerdict:
    """Distance of a simulated output from the recorded one, in LSB or, for floats, in value."""

    name: str
    group: str
    difference: float
    note: str = ""

    @property
    def exact(self) -> bool:
        """Bit for bit the same."""
        return self.difference == 0


def read_json(path: Path) -> Any:
    """A JSON file, or a clear error."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError("cannot read golden vectors", where=str(path), why=str(error)) from error


def cases(folder: Path) -> Iterator[GoldenCase]:
    """The single-node cases of a golden folder."""
    manifest = read_json(folder / "manifest.json")
    archives: dict[str, Mapping[str, Array]] = {}
    for row in manifest["cases"]:
        op = row["op"]
        if op not in archives:
            archives = {op: np.load(folder / f"{op}.npz")}
        yield _case(row, archives[op])


def _case(row: Mapping[str, Any], arrays: Mapping[str, Array]) -> GoldenCase:
    def value(item: Mapping[str, Any]) -> Array:
        array = arrays[item["key"]] if item["key"] in arrays else np.zeros(1, item["dtype"])
        return np.resize(array, item["shape"])

    return GoldenCase(
        row["case"],
        row["op"],
        row.get("library", "v60"),
        row["padding"],
        [value(item) for item in row["inputs"]],
        [value(item) for item in row["outputs"]],
        _outputs(row["out_defs"]),
        row["post"],
    )


def _outputs(rows: list[Mapping[str, Any]]) -> list[Output]:
    return [
        Output((b, h, w, d), DTYPES[row["elsize"]]) for row in rows for b, h, w, d in [row["shape"]]
    ]


def graphs(folder: Path) -> Iterator[Recorded]:
    """The whole graphs of a golden folder."""
    for path in sorted((folder / "graphs").glob("*.json")):
        yield recorded(path)


def recorded(path: Path) -> Recorded:
    """One whole graph."""
    row = read_json(path)
    with np.load(path.with_suffix(".npz")) as archive:
        arrays = dict(archive.items())
    consts = [
        Const(
            item["id"],
            f"const{item['id']}",
            np.zeros(item["shape"], item.get("dtype", "uint8"))
            if item["key"] is None
            else arrays[item["key"]].reshape(item["shape"]),
            item["key"] is None,
        )
        for item in row["consts"]
    ]
    nodes = [
        Node(
            item["id"],
            f"{item['op']}.{item['id']}",
            item["op"],
            tuple(Ref(*ref) for ref in item["inputs"]),
            tuple(_outputs(item["outputs"])),
            Padding(item["padding"]),
        )
        for item in row["nodes"]
    ]
    if "inputs" in row:
        nodes = _with_ends(row, nodes)
        runs = [([arrays[i["key"]] for i in row["inputs"]], _listed(row["outputs"], arrays))]
        taps = [(t["id"], t["idx"], arrays[t["key"]]) for t in row["intermediates"]]
    else:
        runs = [
            (_numbered(r["feeds"], arrays), _numbered(r["expected"], arrays)) for r in row["runs"]
        ]
        taps = [(*t["tensor"], arrays[t["key"]]) for t in row["taps"]]
    graph = Graph(row["name"], consts, nodes)
    return Recorded(row["name"], row.get("library", "v60"), graph, runs, taps, row["post"])


def _with_ends(row: Mapping[str, Any], nodes: list[Node]) -> list[Node]:
    fed = tuple(
        Output((b, h, w, d), item["dtype"])
        for item in row["inputs"]
        for b, h, w, d in [item["shape"]]
    )
    source = Node(row["inputs"][0]["ref"][0], "input", "INPUT", (), fed)
    results = tuple(Ref(*item["ref"]) for item in row["outputs"])
    sink = Node(max(node.id for node in nodes) + 1, "output", "OUTPUT", results, ())
    return [source, *nodes, sink]


def _listed(items: list[Mapping[str, Any]], arrays: Mapping[str, Array]) -> list[Array]:
    return [arrays[item["key"]].reshape(item["shape"]) for item in items]


def _numbered(keys: Mapping[str, str], arrays: Mapping[str, Array]) -> list[Array]:
    """Arrays by position; scalars as 1x1x1x1."""
    found = [arrays[keys[str(i)]] for i in range(len(keys))]
    return [a.reshape(1, 1, 1, 1) if a.size == 1 and a.ndim < 4 else a for a in found]


def difference(got: Array, wanted: Array) -> float:
    """The largest difference of two tensors; infinite for another shape, type or kind of number."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return WORST
    if got.tobytes() == wanted.tobytes():
        return 0.0
    if not np.array_equal(np.isfinite(got), np.isfinite(wanted)):
        return WORST
    apart = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    return float(np.nanmax(apart)) or float(np.finfo(np.float32).tiny)


def furthest(got: list[Array], wanted: list[Array]) -> float:
    """The largest difference over the outputs of a node."""
    if len(got) != len(wanted):
        return WORST
    return max((difference(a, b) for a, b in zip(got, wanted, strict=True)), default=0.0)


def check_case(case: GoldenCase) -> GoldenVerdict:
    """One case; an error counts as infinitely far, and becomes the note."""
    try:
        return GoldenVerdict(case.name, case.op, furthest(case.simulated(), case.outputs))
    except HexconvError as error:
        return GoldenVerdict(case.name, case.op, WORST, error.what)


def check_prepare(case: GoldenCase) -> GoldenVerdict:
    """Whether the node becomes what the library made of it."""
    made = case.prepared()
    same = made == case.executed
    return GoldenVerdict(
        case.name, "prepare", 0.0 if same else WORST, "" if same else ", ".join(made)
    )


def check_graph(item: Recorded) -> list[GoldenVerdict]:
    """Node types after prepare, the inner tensors, and the outputs of every run."""
    prepared = trace(item.graph, item.library)
    made = [node.op for node in prepared.graph.nodes if node.op not in ENDS]
    verdicts = [
        GoldenVerdict(
            f"{item.name}/prepare", "graphs: prepare", 0 if made == item.executed else WORST
        )
    ]
    refs = [prepared.tensor(Ref(node, port)) for node, port, _ in item.taps]
    try:
        executor = Executor(prepared.graph, item.library, keep=refs)
        for i, (sources, wanted) in enumerate(item.runs):
            got = executor.run(sources)
            verdicts.append(
                GoldenVerdict(f"{item.name}/run{i}", "graphs: outputs", furthest(got, wanted))
            )
            if i == 0:
                verdicts += _inside(item, executor, refs)
    except HexconvError as error:
        verdicts.append(GoldenVerdict(item.name, "graphs: outputs", WORST, error.render()))
    return verdicts


def _inside(item: Recorded, executor: Executor, refs: list[Ref]) -> Iterator[GoldenVerdict]:
    by_id = item.graph.node_by_id()
    for (node, port, wanted), ref in zip(item.taps, refs, strict=True):
        got = executor.value(ref)
        if got is not None and node in by_id:
            name = f"{item.name}/{node}:{port} {by_id[node].op}"
            yield GoldenVerdict(name, "graphs: inner tensors", difference(got, wanted))


def folders(path: Path) -> list[Path]:
    """Golden folders at or below a path."""
    found = [p.parent for p in sorted({*path.glob("manifest.json"), *path.glob("*/manifest.json")})]
    if not found:
        raise FileError(
            "no golden vectors: no manifest.json here or one level below", where=str(path)
        )
    return found


def check(path: Path) -> Iterator[GoldenVerdict]:
    """Everything in the golden folders at or below a path."""
    for folder in folders(path):
        for case in cases(folder):
            yield check_case(case)
            yield check_prepare(case)
        for item in graphs(folder):
            yield from check_graph(item)


__all__ = [
    "INPUT_OP",
    "GoldenCase",
    "GoldenVerdict",
    "Recorded",
    "cases",
    "check",
    "graphs",
    "recorded",
]
