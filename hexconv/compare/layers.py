"""Run both sides on the same samples and compare every output and every shared tensor.

Each sample runs twice in the simulator. The first run is what the DSP does: its tensors carry
the error of everything before them. In the second, each shared tensor is compared and then
replaced by the float model's, quantized into the range that it has in the graph: the error
measured there is that of one node alone (and of nodes between it and the shared tensors before).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.quantized import Scale, values_of
from hexconv.compare.sites import PORTS, CompareSite, Sites, find_sites
from hexconv.compare.tally import Measured, Tally, TensorTally
from hexconv.errors import ModelError
from hexconv.nnlib.graph import INPUT_OP, Graph, Node
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.session import FloatSession
from hexconv.simulator.run import Simulator

if TYPE_CHECKING:
    from hexconv.device import Library

Sample = Mapping[str, Array]


class Bench:
    """Both sides, opened once.

    Args:
        graph: the quantized side.
        reference: the float side, as it was lowered.
        library: "v60", "v65" or "v66".
        device: the emulated library, if its outputs are measured instead of the simulator's;
            own errors come from the simulator in either case.
        threads: of the float side; 0 leaves that to ONNX Runtime.

    Raises:
        ModelError: the float model lacks an output, or has other shapes.
        GraphError: the library would not accept the graph.
    """

    def __init__(
        self,
        graph: Graph,
        reference: FloatGraph,
        library: LibraryVersion = DEFAULT_LIBRARY,
        device: Library | None = None,
        *,
        threads: int = 0,
    ) -> None:
        self.graph, self.reference, self.device = graph, reference, device
        self.library = library
        self._running, self._fed = Simulator(graph, library), Simulator(graph, library)
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        self._check_outputs()
        self.sites: Sites = find_sites(graph, self._running.prepared, shapes)
        inputs = {info.name for info in reference.inputs}
        wanted = [site.tensor for site in self.sites.all] + [item.name for item in graph.outputs]
        self._session = FloatSession(
            reference,
            list(dict.fromkeys(name for name in wanted if name not in inputs)),
            threads=threads,
        )

    def _check_outputs(self) -> None:
        there = {info.name: info.shape for info in self.reference.outputs}
        for item in self.graph.outputs:
            if there.get(item.name) != item.shape:
                listed = ", ".join(f"'{name}' {list(shape)}" for name, shape in there.items())
                raise ModelError(
                    f"the float model has no output '{item.name}' of shape {list(item.shape)}",
                    where=self.reference.source,
                    why=f"its outputs are {listed}",
                    hint="give the ONNX file that this model was converted from",
                )

    def tally(self, first: int = 0) -> Tally:
        """An empty one, for samples from number `first` on."""
        classes = self.reference.classes
        outputs = {item.name: item.name in classes for item in self.graph.outputs}
        return Tally(outputs, (site.tensor for site in self.sites.all), first)

    def measure(
        self, samples: Iterable[Sample], progress: Callable[[int], None] | None = None
    ) -> Measured:
        """Run all samples, one after another.

        Args:
            samples: float32 arrays by input name.
            progress: called with the number of samples done.

        Raises:
            HexconvError: a sample does not fit, or a side cannot run or returns NaN.
        """
        tally = self.tally()
        for done, sample in enumerate(samples, 1):
            self.add(sample, tally)
            if progress is not None:
                progress(done)
        return tally.result()

    def add(self, sample: Sample, tally: Tally) -> None:
        """Run one sample, and add what is measured."""
        values = {**sample, **self._session.run(sample)}
        sums = tally.tensors
        if self.device is None:
            returned = self._running.run_watched(sample, self._comparing(values, sums))
        else:
            returned, taps = self.device.run(self.graph, sample, taps=True)
            for site in self.sites.all:
                if site.name in taps and site.op != INPUT_OP:
                    found = values_of(taps[site.name])
                    sums[site.tensor].accumulated.add(site.pack(values), found)
        for name, total in tally.outputs.items():
            total.add(values[name], returned[name])
        self._fed.run_watched(sample, self._feeding(values, sums))

    def _comparing(
        self, values: Mapping[str, Array], sums: Mapping[str, TensorTally]
    ) -> Callable[[Node, list[Array]], list[Array]]:
        def watch(node: Node, results: list[Array]) -> list[Array]:
            for site in self.sites.by_node.get(node.id, ()):
                found = values_of(_triple(site, results))
                sums[site.tensor].accumulated.add(site.pack(values), found)
            return results

        return watch

    def _feeding(
        self, values: Mapping[str, Array], sums: Mapping[str, TensorTally]
    ) -> Callable[[Node, list[Array]], list[Array]]:
        def watch(node: Node, results: list[Array]) -> list[Array]:
            for site in self.sites.by_node.get(node.id, ()):
                data_min_max, expected = _triple(site, results), site.pack(values)
                item, scale = sums[site.tensor], Scale.of(data_min_max)
                item.own.add(expected, values_of(data_min_max))
                fed = expected if scale is None else scale.codes(expected)
                if scale is not None and scale.dtype == "uint8":
                    item.fit.add(expected, fed, scale)
                results[site.ref.port] = np.ascontiguousarray(fed)
            return results

        return watch


def _triple(site: CompareSite, results: list[Array]) -> list[Array]:
    """Data, min and max; of the nodes with several data outputs (Split) min and max come last."""
    port = site.ref.port
    if site.op == INPUT_OP or len(results) < PORTS:
        return results[port : port + PORTS]
    return [results[port], *results[-2:]]
