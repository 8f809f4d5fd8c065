"""Predicted heap against measured: `python -m benchmarks.memory --library-file FILE ...`.

The networks of benchmarks/optimize.py and the light models of the onnx package (prepared only, as
they are large), as exported and optimized. Exits with 1 if a prediction is off by more than 10 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import onnx

import hexconv
from benchmarks.optimize import NETWORKS
from hexconv.device import Library
from hexconv.nnlib.graph import Graph

MOST_OFF = 0.10


def graphs() -> Iterator[tuple[str, Graph]]:
    """Each network at two levels, by name."""
    from tests.networks import light

    for name, network in NETWORKS.items():
        proto = network.build()
        yield from _levels(name, proto, network.inputs(proto, 1, 1))
    for name in light.names():
        proto = light.load(name)
        yield from _levels(name, proto, [light.image(proto, 0)])


def _levels(
    name: str, proto: onnx.ModelProto, samples: list[dict[str, np.ndarray]]
) -> Iterator[tuple[str, Graph]]:
    for level in ("none", "default"):
        graph = hexconv.convert(proto, samples=samples, optimize=level).graph
        yield f"{name}/{level}", graph


def main() -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library-file", action="append", required=True)
    options = parser.parse_args()
    libraries = [Library(file) for file in options.library_file]
    worst = 0.0
    for name, graph in graphs():
        feeds = {i.name: np.zeros(i.shape, np.float32) for i in graph.inputs}
        for library in libraries:
            real = library.memory(graph, feeds)
            said = hexconv.cost.predict(graph, library.version).memory
            off = [said.prepare / real.prepare - 1, said.execute / real.execute - 1]
            worst = max(worst, *map(abs, off))
            print(
                f"{name:28} {library.version} prepare {real.prepare:>12,} {off[0]:+6.1%} "
                f"execute {real.execute:>12,} {off[1]:+6.1%} vtcm {real.vtcm} {said.vtcm}",
                flush=True,
            )
    print(f"worst {worst:.1%}")
    return 1 if worst > MOST_OFF else 0


if __name__ == "__main__":
    sys.exit(main())
