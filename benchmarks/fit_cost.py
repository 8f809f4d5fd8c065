"""Fit op_tables/cost from measured packets, and report how well it predicts unseen nodes.

    python benchmarks/fit_cost.py [--check | --table] [--only OP]

Reads benchmarks/data/cost_nodes.csv (one row a distinct node) and cost_graphs.csv (whole graphs).
A third of the nodes, and of the graphs with all their nodes, is held out by a hash. For each
variant of each op the quantities that its packets depend on are chosen one by one from those of
hexconv.cost.features, the same for v60 and the open library, others for v65 and for v66, as long as
each makes the mean relative error clearly smaller; coefficients are not negative and minimize the
relative error, robustly. `--check` fits and reports; `--table` reports the errors of the laws that
are written, without fitting, as docs/cost.md has them (seconds). Otherwise writes
op_tables/cost/packets.yml, and what was held out to tests/golden/cost.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml
from cost_errors import list_worst, report, table
from measured_cost import DATA, Laws, Measured, off, read, third

from hexconv.cost.features import FEATURES
from hexconv.cost.fitting import Floats, robust
from hexconv.cost.table import ANY
from hexconv.cost.variants import kernel, variant

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "op_tables" / "cost" / "packets.yml"
GOLDEN = HERE.parent / "tests" / "golden" / "cost"
MOST_TERMS = 7
GAIN = 0.95  # a further quantity has to lower the mean error to this part of it
DENSE = "Supernode_8x8p32to8_d32"
FEW = 3  # a law needs as many nodes

CONV = (
    "padded_macs",
    "shallow_macs",
    "shallow_windows",
    "depthwise_macs",
    "depthwise_rows",
    "weight_blocks",
    "copied_in",
    "activation_sums",
    "conv_items",
    "conv_calls",
    "conv_slices",
    "conv_copied",
    "conv_macs",
    "conv_macs_strided",
    "conv_vectors",
)
RING = (
    "ring_items",
    "ring_copied",
    "ring_calls",
    "ring_pairs",
    "ring_singles",
    "ring_pair_macs",
    "ring_single_macs",
)
PRODUCT = (
    "product_macs",
    "plain_macs",
    "vector_macs",
    "pair_macs",
    "row_tiles",
    "matrix_b",
    "matrix_b_padded",
    "matrix_a_padded",
    "ragged_columns",
    "ragged_tiles",
)
TURN = ("turn_calls", "turn_runs", "turn_blocks", "turn_vectors", "turn_ragged", "turn_unaligned")
POOL = ("window", "window_lines")
COUNTS = ("inputs", "outputs")


def pool(op: str, libraries: Sequence[str]) -> list[str]:
    """The quantities that an op's packets may depend on in some libraries."""
    special = {*CONV, *RING, *PRODUCT, *TURN, *POOL, *COUNTS}
    allowed = [name for name in FEATURES if name not in special]
    if op in ("Transpose_8", "Transpose_f"):
        return ["one", *TURN, "elements_out", "plane_vectors_out"]
    if op == DENSE and "v65" in libraries:
        return ["one", "batches", "weight_blocks", *RING]
    if op in ("SpaceToBatchND_8", "BatchToSpaceND_8"):
        allowed += TURN
    if "upernode" in op:
        allowed += CONV
    if "MatMul" in op or op.startswith("SuperFC"):
        allowed += PRODUCT
    if "Pool" in op:
        allowed += POOL
    if "Concat" in op or "Split" in op:
        allowed += COUNTS
    return allowed


TOGETHER = (("v60", "open"), ("v65",), ("v66",))
"""Libraries whose laws are made of the same quantities."""


class Sample:
    """The training nodes of one variant, for each of some libraries."""

    def __init__(self, op: str, nodes: Sequence[Measured], libraries: Sequence[str]) -> None:
        self.packets: dict[str, Floats] = {}
        self.columns: dict[str, dict[str, Floats]] = {}
        for library in libraries:
            mine = [node for node in nodes if node.code == library]
            if len(mine) >= FEW:
                self.packets[library] = np.array([node.packets for node in mine])
                self.columns[library] = {
                    name: np.array([FEATURES[name](node.facts) for node in mine], float)
                    for name in pool(op, libraries)
                }

    def fit(self, names: Sequence[str]) -> tuple[float, dict[str, Floats]]:
        """Mean relative error over the libraries, and the coefficients for each."""
        errors, found = [], {}
        for library, packets in self.packets.items():
            matrix = np.stack([self.columns[library][name] for name in names], 1)
            found[library] = robust(matrix, packets)
            said = matrix @ found[library]
            errors.append(float(np.mean(np.abs(said - packets) / np.maximum(said, packets))))
        return float(np.mean(errors)), found

    def chosen(self) -> tuple[list[str], dict[str, Floats]]:
        """The quantities, chosen one by one, and their coefficients."""
        names = ["one"]
        best, found = self.fit(names)
        most = min(MOST_TERMS, max(map(len, self.packets.values())) // 3)
        candidates = self._distinct()
        while len(names) <= most:
            trials = [(*self.fit([*names, name]), name) for name in candidates if name not in names]
            if not trials:
                break
            error, coefficients, name = min(trials, key=lambda trial: trial[0])
            if error > best * GAIN - 0.0005:
                break
            best, found = error, coefficients
            names.append(name)
        return names, found

    def _distinct(self) -> list[str]:
        """Quantities that vary, without those that are always like an earlier one."""
        seen: set[bytes] = set()
        kept = []
        for name in next(iter(self.columns.values())):
            column = np.concatenate([columns[name] for columns in self.columns.values()])
            if np.ptp(column) > 0 and column.tobytes() not in seen:
                seen.add(column.tobytes())
                kept.append(name)
        return kept


def fit_all(nodes: Iterable[Measured]) -> Laws:
    """Coefficients by (op, variant, library)."""
    groups: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for node in nodes:
        kind = variant(node.facts)
        groups[kernel(node.facts.op), kind or ANY].append(node)
        if kind:
            groups[kernel(node.facts.op), ANY].append(node)
    laws: Laws = {}
    jobs = [(*key, groups[key], names) for key, names in product(sorted(groups), TOGETHER)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for found in processes.map(_fitted, jobs):
            laws.update(found)
    return laws


def _fitted(job: tuple[str, str, list[Measured], Sequence[str]]) -> Laws:
    """The laws of one variant in libraries that share their quantities."""
    op, kind, members, libraries = job
    sample = Sample(op, members, libraries)
    if not sample.packets:
        return {}
    names, found = sample.chosen()
    return {
        (op, kind, library): {
            name: float(f"{value:.6g}")
            for name, value in zip(names, values, strict=True)
            if value > 0
        }
        for library, values in found.items()
    }


# ---- writing


def written() -> Laws:
    """The laws of op_tables/cost/packets.yml."""
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {
        (op, kind, library): row["terms"]
        for op, kinds in entries.items()
        for kind, rows in kinds.items()
        for library, row in rows.items()
    }


def write(laws: Laws, nodes: Sequence[Measured]) -> None:
    """op_tables/cost/packets.yml."""
    entries: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (op, kind, library), terms in sorted(laws.items()):
        mine = [
            node
            for node in nodes
            if node.code == library
            and kernel(node.facts.op) == op
            and kind in (ANY, variant(node.facts))
        ]
        errors = [off(laws, node) for node in mine if node.held_out] or [
            off(laws, node) for node in mine
        ]
        law = ", ".join(f"{name}: {value:g}" for name, value in terms.items())
        entries[op][kind].append(
            f"    {library}: {{terms: {{{law}}}, error: {np.median(errors):.3f}, "
            f"worst: {np.quantile(errors, 0.9):.3f}, nodes: {len(mine)}}}"
        )
    lines = ["# Packets per node. Written by benchmarks/fit_cost.py; do not edit."]
    for op, kinds in entries.items():
        lines.append(f"{op}:")
        for kind, rows in kinds.items():
            lines += [f"  {kind!r}:" if kind[0].isdigit() else f"  {kind}:", *rows]
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_golden(nodes: Sequence[Measured], graphs: dict[tuple[str, str], list[Measured]]) -> None:
    """What was held out, for the tests, and the whole graphs, equal nodes counted."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    source = (DATA / "cost_nodes.csv").read_text(encoding="utf-8").splitlines()
    held = {node.row for node in nodes if node.held_out}
    kept = [source[0]] + [
        line
        for line, row in zip(source[1:], csv.reader(source[1:]), strict=True)
        if tuple(row[:6]) in held
    ]
    (GOLDEN / "held_out.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    with (GOLDEN / "graphs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["library", "graph", *source[0].split(",")[1:6], "packets", "count"])
        for (library, name), members in graphs.items():
            if name.startswith(("d32:", "flat:")):
                continue
            sums: dict[tuple[str, ...], list[float]] = defaultdict(list)
            for node in members:
                sums[node.row[1:6]].append(node.packets)
            for row, packets in sums.items():
                writer.writerow([library, name, *row, round(sum(packets)), len(packets)])


def main() -> None:
    """Fit, report, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report")
    parser.add_argument("--table", action="store_true", help="errors of the written laws")
    parser.add_argument("--only", default="", help="only ops with this in their name; as --check")
    parser.add_argument("--worst", action="store_true", help="list the ops with the largest errors")
    arguments = parser.parse_args()
    nodes = [node for node, _ in read(DATA / "cost_nodes.csv") if arguments.only in node.facts.op]
    graphs: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for node, name in read(DATA / "cost_graphs.csv", skip=1):
        graphs[node.library, name].append(node)
    if arguments.table:
        table(written(), nodes, graphs)
        return
    unseen = {
        (node.library, node.row)
        for (_, name), members in graphs.items()
        if third(name)
        for node in members
    }
    training = [
        node for node in nodes if not node.held_out and (node.library, node.row) not in unseen
    ]
    laws = fit_all(training)
    if arguments.worst or arguments.only:
        list_worst(laws, nodes)
    if not arguments.only:
        report(laws, nodes, graphs)
        if not arguments.check:
            write(laws, nodes)
            write_golden(nodes, graphs)


if __name__ == "__main__":
    main()
