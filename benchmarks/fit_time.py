"""Fit the time model against a phone's published profile; prints op_tables/cost/soc.yml.

    python benchmarks/fit_time.py

benchmarks/data/published_profile.csv: the profile of an encoder, summed by executed op (nodes,
milliseconds), beside bytes and packets a node of the same network as hexconv emits it unoptimized,
whose node counts are the same almost one to one. Sizes of the published network are not known.
"""

from __future__ import annotations

import csv

import numpy as np
from measured_cost import DATA

from hexconv.cost.fitting import robust
from hexconv.cost.terms import reorders


def main() -> None:
    """Fit milliseconds = a nodes + b bytes streamed + c bytes reordered + d packets."""
    with (DATA / "published_profile.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    nodes = np.array([float(row["nodes"]) for row in rows])
    moved = nodes * [float(row["bytes_per_node"]) for row in rows]
    packets = nodes * [float(row["packets_per_node"]) for row in rows]
    spread = np.array([reorders(row["op"]) for row in rows])
    real = np.array([float(row["milliseconds"]) for row in rows])
    matrix = np.stack([nodes, moved * ~spread, moved * spread, packets], 1)
    found = robust(matrix, real, rounds=40)
    for name, value, scale in zip(
        ("microseconds a node", "ns a byte streamed", "ns a byte reordered", "ns a packet"),
        found,
        (1e3, 1e6, 1e6, 1e6),
        strict=True,
    ):
        print(f"{name}: {value * scale:.3f}")
    beyond = (real.sum() - packets.sum() * found[3]) / nodes.sum()
    print(f"microseconds a node beyond its packets, on average: {beyond * 1e3:.3f}")
    said = matrix @ found
    for row, one, two in zip(rows, real, said, strict=True):
        print(f"  {row['op']:36} {one:8.3f} said {two:8.3f}  x {one / two:.2f}")
    factor = np.exp(np.abs(np.log(real / said)))
    print(
        f"sum {real.sum():.1f} said {said.sum():.1f} ms; factor: median {np.median(factor):.2f}, "
        f"eight of ten within {np.quantile(factor, 0.8):.1f}"
    )


if __name__ == "__main__":
    main()
