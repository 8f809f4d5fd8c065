"""Predicted heap against measured: `python -m benchmarks.memory --library-file FILE ...`.

The networks of benchmarks/optimize.py, and by name light models of the onnx package, as exported
and optimized, converted for each library. The table of docs/cost.md: heap in MB of prepare and of
execution as measured, and the error of the prediction for prepare. Exits with 1 if a prediction is
off by more than 10 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import onnx

import hexconv
from benchmarks.optimize import NETWORKS, Feeds
from hexconv.cost.memory import MemoryCost
from hexconv.device import Library
from hexconv.device.memory import DeviceMemory
from hexconv.nnlib.graph import Graph
from tests.networks import light

MOST_OFF = 0.10
TITLES = {
    "encoder": "reference encoder",
    "conformer": "two-layer Conformer",
    "bert": "BERT-like",
    "hifigan_v3": "HiFi-GAN V3",
    "mobilenet": "MobileNetV2 at 96x96",
}
LEVELS = {"none": ", as exported", "default": ""}


def loaded(name: str) -> tuple[onnx.ModelProto, Feeds]:
    """A network and one sample."""
    if name in NETWORKS:
        proto = NETWORKS[name].build()
        return proto, NETWORKS[name].inputs(proto, 1, 1)[0]
    proto = light.load(name)
    return proto, light.image(proto, 0)


def measured(library: Library, graph: Graph) -> tuple[DeviceMemory, MemoryCost]:
    """The memory of a graph: in the library, and predicted."""
    feeds = {item.name: np.zeros(item.shape, np.float32) for item in graph.inputs}
    return library.memory(graph, feeds), hexconv.cost.predict(graph, library.version).memory


def off(real: DeviceMemory, predicted: MemoryCost) -> tuple[float, float]:
    """Relative errors of the prediction, for prepare and for execution."""
    return predicted.prepare / real.prepare - 1, predicted.execute / real.execute - 1


def rows(
    names: list[str], libraries: list[Library]
) -> Iterator[tuple[str, list[tuple[DeviceMemory, MemoryCost]]]]:
    """Each network at two levels: its title, and its memory in each library."""
    for name in names:
        proto, sample = loaded(name)
        for level, words in LEVELS.items():
            settings: Mapping[str, str] = {"optimize": level}
            graphs = [
                hexconv.convert(proto, samples=[sample], library=library.version, **settings).graph
                for library in libraries
            ]
            pairs = zip(libraries, graphs, strict=True)
            yield TITLES.get(name, name) + words, [measured(*pair) for pair in pairs]


def cell(real: DeviceMemory, predicted: MemoryCost) -> str:
    """Megabytes, and the error for prepare."""
    error = 100 * off(real, predicted)[0]
    return f"{real.prepare / 1e6:.1f}, {real.execute / 1e6:.1f} ({error:+.1f} %)"


def main() -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library-file", action="append", required=True)
    parser.add_argument(
        "--network", action="append", choices=[*NETWORKS, *light.names()], help="five by default"
    )
    options = parser.parse_args()
    libraries = [Library(file) for file in options.library_file]
    print("| network |" + "".join(f" `{library.version}` |" for library in libraries))
    print("|---|" + "---|" * len(libraries))
    errors = []
    for title, found in rows(options.network or list(NETWORKS), libraries):
        print(f"| {title} |" + "".join(f" {cell(*pair)} |" for pair in found), flush=True)
        errors += [max(map(abs, off(*pair))) for pair in found]
    print(f"\nworst error {max(errors):.1%}")
    return 1 if max(errors) > MOST_OFF else 0


if __name__ == "__main__":
    sys.exit(main())
