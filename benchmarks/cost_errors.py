"""Errors of the laws of cost, on what their fit has seen and on what it has not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from measured_cost import Laws, Measured, off, predicted, third

from hexconv.cost.table import ANY, LIBRARIES, MeasuredLibrary
from hexconv.cost.variants import kernel, variant

OPTIMIZED = "/default"
CONVOLUTIONS: Mapping[str, Callable[[Measured], bool]] = {
    "of one row": lambda node: _is(node, "Supernode") and node.facts.out[1] == 1,
    "of several rows": lambda node: _is(node, "Supernode") and node.facts.out[1] > 1,
    "of up to 4 channels": lambda node: _is(node, "InputSupernode"),
    "depthwise": lambda node: _is(node, "DepthwiseSupernode"),
}
"""Kinds of convolution, as executed."""


def _is(node: Measured, op: str) -> bool:
    return node.facts.op.startswith(op)


def report(
    laws: Laws, nodes: Sequence[Measured], graphs: dict[tuple[str, str], list[Measured]]
) -> None:
    """Errors on what was held out."""
    for library in LIBRARIES:
        errors = [off(laws, node) for node in nodes if node.library == library and node.held_out]
        print(
            f"{library}: {len(errors)} nodes held out: median error {100 * np.median(errors):.1f} "
            f"%, nine of ten within {100 * np.quantile(errors, 0.9):.0f} %"
        )
        rows = []
        for (which, name), members in graphs.items():
            if which != library:
                continue
            real = sum(node.packets for node in members)
            said = sum(predicted(laws, node) or 0 for node in members)
            rows.append((name, third(name), said / real - 1, real))
        for held in (True, False):
            some = [abs(row[2]) for row in rows if row[1] is held]
            if some:
                print(
                    f"  {len(some)} graphs {'held out' if held else 'seen'}: median error "
                    f"{100 * np.median(some):.1f} %, worst {100 * max(some):.1f} %"
                )
        for name, held, error, real in rows:
            if not name.startswith(("d32:", "flat:")) or abs(error) > 0.08:
                print(f"    {name:44} {real:>12,.0f} {100 * error:+6.1f} %{'  held out' * held}")


def table(
    laws: Laws, nodes: Sequence[Measured], graphs: dict[tuple[str, str], list[Measured]]
) -> None:
    """Errors by version, as a table in Markdown."""
    columns = [_errors(laws, library, nodes, graphs) for library in LIBRARIES]
    print("| |" + "".join(f" `{library}` |" for library in LIBRARIES))
    print("|---|" + "---|" * len(LIBRARIES))
    for label in columns[0]:
        print(f"| {label} |" + "".join(f" {column[label]} |" for column in columns))
    print("\n| convolutions |" + "".join(f" `{library}` |" for library in LIBRARIES[:-1]))
    print("|---|" + "---|" * (len(LIBRARIES) - 1))
    for kind in CONVOLUTIONS:
        cells = [_of_kind(laws, library, kind, nodes) for library in LIBRARIES[:-1]]
        print(f"| {kind} |" + "".join(f" {cell} |" for cell in cells))
    print()
    for name in sorted({name for _, name in graphs if name.endswith(OPTIMIZED)}):
        mark = " (held out)" if third(name) else ""
        cells = [_of_graph(laws, graphs.get((library, name), [])) for library in LIBRARIES[:-1]]
        print(f"| {name.removesuffix(OPTIMIZED)}{mark} |" + "".join(f" {c} |" for c in cells))


def _of_kind(laws: Laws, library: MeasuredLibrary, kind: str, nodes: Sequence[Measured]) -> str:
    """Nodes held out of a kind of convolution: how many, median error, nine of ten."""
    of_kind = CONVOLUTIONS[kind]
    errors = [
        off(laws, node)
        for node in nodes
        if node.library == library and node.held_out and of_kind(node)
    ]
    median, ninth = 100 * np.median(errors), 100 * np.quantile(errors, 0.9)
    return f"{len(errors)}: {median:.1f} %, {ninth:.0f} %"


def _of_graph(laws: Laws, members: Sequence[Measured]) -> str:
    """Packets measured, and the error of those predicted."""
    real = sum(node.packets for node in members)
    said = sum(predicted(laws, node) or 0 for node in members)
    return f"{real:,.0f} ({100 * (said / real - 1):+.1f} %)" if members else ""


def _errors(
    laws: Laws,
    library: MeasuredLibrary,
    nodes: Sequence[Measured],
    graphs: dict[tuple[str, str], list[Measured]],
) -> dict[str, str]:
    """The figures of one version, by what they are."""
    errors = [off(laws, node) for node in nodes if node.library == library and node.held_out]
    totals: dict[bool, list[float]] = {True: [], False: []}
    for (which, name), members in graphs.items():
        if which == library:
            said = sum(predicted(laws, node) or 0 for node in members)
            totals[third(name)].append(abs(said / sum(node.packets for node in members) - 1))
    held, seen = totals[True], totals[False]
    return {
        "nodes held out": f"{len(errors)}",
        "median error": f"{100 * np.median(errors):.1f} %",
        "nine of ten within": f"{100 * np.quantile(errors, 0.9):.0f} %",
        "whole graphs held out: number, median error": (
            f"{len(held)}, {100 * np.median(held):.1f} %"
        ),
        "worst of them": f"{100 * max(held):.1f} %",
        "graphs that the fit has seen: median, worst": (
            f"{100 * np.median(seen):.1f} %, {100 * max(seen):.1f} %"
        ),
    }


def list_worst(laws: Laws, nodes: Sequence[Measured]) -> None:
    """Every variant with its errors; for poor ones the nodes that are furthest off."""
    groups: dict[tuple[str, str, str], list[tuple[float, Measured]]] = defaultdict(list)
    for node in nodes:
        key = node.code, kernel(node.facts.op), variant(node.facts)
        groups[key].append((off(laws, node), node))
    medians = {key: np.median([error for error, _ in members]) for key, members in groups.items()}
    for key in sorted(groups, key=lambda key: -medians[key]):
        library, op, kind = key
        terms = laws.get((op, kind or ANY, library), {})
        print(f"{'/'.join(key)}: {len(groups[key])} nodes, median {medians[key]:.3f} {terms}")
        for error, node in sorted(groups[key], key=lambda pair: -pair[0])[:5]:
            if medians[key] > 0.08 and error > 0.12:
                said = predicted(laws, node) or 0
                print(f"      {error:.2f} {' | '.join(node.row[2:])} {node.packets:.0f} {said:.0f}")
