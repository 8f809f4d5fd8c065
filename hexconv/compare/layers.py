"""Run both sides on the same samples and compare every output and every shared tensor.

Each sample runs twice in the simulator. The first run is what the DSP does: its tensors carry
the error of everything before them. In the second, each shared tensor is compared, as is that of
the first run, and then replaced by the float model's, quantized into the range that it has in the
graph: the error measured there is that of one node alone (and of nodes between it and the shared
tensors before). So it is for the first `LAYER_SAMPLES` samples, whose millions of elements settle
the figures of a tensor; of all others only the outputs are compared, at a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.eight_bits import parts_of
from hexconv.compare.sites import Sites, find_sites
from hexconv.compare.tally import Measured, Tally, TensorTally
from hexconv.compare.user_metrics import kept
from hexconv.errors import ModelError
from hexconv.nnlib.graph import INPUT_OP, Graph, Node
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.session import FloatSession
from hexconv.settings import LAYER_SAMPLES
from hexconv.simulator.many import remembering
from hexconv.simulator.run import Simulator
from hexconv.threads import MOST_SIDE_BY_SIDE, cores, side_by_side

if TYPE_CHECKING:
    from hexconv.device import Library

Sample = Mapping[str, Array]


@dataclass(frozen=True)
class Lane:
    """What runs one sample at a time: the model as it is, and fed with the float model's values."""

    running: Simulator
    fed: Simulator

    def twin(self) -> Lane:
        """Another one, for another sample at the same time."""
        return Lane(self.running.twin(), self.fed.twin())


class Bench:
    """Both sides, opened once.

    Args:
        graph: the quantized side.
        reference: the float side, as it was lowered.
        library: "v60", "v65" or "v66".
        device: the emulated library, if its outputs are measured instead of the simulator's;
            own errors come from the simulator in either case.
        keeps: whether each sample is kept with both outputs, for metrics of the user's.
        threads: of the float side, for samples one after another. By default `measure` runs
            several at the same time, each on one thread, where that does not change a figure.
        layer_samples: of how many samples of a set every tensor is compared, not only the outputs.

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
        keeps: bool = False,
        threads: int | None = None,
        layer_samples: int = LAYER_SAMPLES,
    ) -> None:
        self.graph, self.reference, self.device = graph, reference, device
        self.library, self.keeps, self.layer_samples = library, keeps, layer_samples
        running = Simulator(graph, library)
        lane = Lane(running, Simulator(graph, library))
        alone = threads is not None or device is not None or remembering(graph)
        count = 1 if alone else min(MOST_SIDE_BY_SIDE, cores())
        self._lanes = [lane, *(lane.twin() for _ in range(count - 1))]
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        self._check_outputs()
        self.sites: Sites = find_sites(graph, running.prepared, shapes)
        self._parts = {item.name: parts_of(reference, item.name) for item in graph.outputs}
        self._threads = threads or (1 if count > 1 else 0)
        self._opening, self._sessions = Lock(), dict[bool, FloatSession]()

    def _session(self, *, every: bool) -> FloatSession:
        """The float side: of every shared tensor, or of the outputs, which is fused further."""
        with self._opening:
            if every not in self._sessions:
                tensors = [site.tensor for site in self.sites.all] if every else []
                self._sessions[every] = self._float(tensors)
            return self._sessions[every]

    def _float(self, tensors: Sequence[str]) -> FloatSession:
        inputs = {info.name for info in self.reference.inputs}
        wanted = [*tensors, *(item.name for item in self.graph.outputs)]
        fetched = list(dict.fromkeys(name for name in wanted if name not in inputs))
        return FloatSession(self.reference, fetched, threads=self._threads)

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

    def tally(self) -> Tally:
        """An empty one."""
        classes = self.reference.classes
        outputs = {item.name: item.name in classes for item in self.graph.outputs}
        return Tally(outputs, (site.tensor for site in self.sites.all), self._parts)

    def measure(
        self, samples: Iterable[Sample], progress: Callable[[int], None] | None = None
    ) -> Measured:
        """Run all samples.

        Args:
            samples: float32 arrays by input name.
            progress: called with the number of samples done.

        Raises:
            HexconvError: a sample does not fit, or a side cannot run or returns NaN.
        """
        lanes = [(lane, self.tally()) for lane in self._lanes]

        def run(lane: tuple[Lane, Tally], number: int, sample: Sample) -> None:
            self.add(sample, lane[1], number, lane[0])

        for done, _ in enumerate(side_by_side(run, lanes, samples), 1):
            if progress is not None:
                progress(done)
        (_, tally), *others = lanes
        for _, other in others:
            tally.merge(other)
        return tally.result()

    def add(self, sample: Sample, tally: Tally, number: int, lane: Lane | None = None) -> None:
        """Run one sample, and add what is measured.

        Args:
            sample: float32 arrays by input name.
            tally: changed in place.
            number: of the sample.
            lane: what it runs in, for calls at the same time.
        """
        lane = lane or self._lanes[0]
        tally.begin(number)
        every = number < self.layer_samples
        values = {**sample, **self._session(every=every).run(sample)}
        if every:
            returned, running = self._run(sample, lane)
            lane.fed.run_watched(sample, self._feeding(values, running, tally.tensors))
        else:
            returned = self._returned(sample, lane)
        for name in tally.outputs:
            tally.add_output(name, values[name], returned[name])
        if self.keeps:
            tally.kept[number] = kept(sample, values, returned)

    def _returned(self, sample: Sample, lane: Lane) -> Mapping[str, Array]:
        """Outputs of the running model."""
        if self.device is not None:
            return self.device.run(self.graph, sample)
        return lane.running.run(sample)

    def _run(
        self, sample: Sample, lane: Lane
    ) -> tuple[Mapping[str, Array], dict[str, list[Array]]]:
        """Outputs of the running model, and its raw tensors by ONNX name."""
        found: dict[str, list[Array]] = {}
        if self.device is not None:
            returned, taps = self.device.run(self.graph, sample, taps=True)
            for site in self.sites.all:
                if site.name in taps and site.op != INPUT_OP:
                    found[site.tensor] = taps[site.name]
            return returned, found

        def watch(node: Node, results: list[Array]) -> list[Array]:
            for site in self.sites.by_node.get(node.id, ()):
                found[site.tensor] = site.triple(results)
            return results

        return lane.running.run_watched(sample, watch), found

    def _feeding(
        self,
        values: Mapping[str, Array],
        running: dict[str, list[Array]],
        tensors: Mapping[str, TensorTally],
    ) -> Callable[[Node, list[Array]], list[Array]]:
        def watch(node: Node, results: list[Array]) -> list[Array]:
            for site in self.sites.by_node.get(node.id, ()):
                own, beside = site.triple(results), running.pop(site.tensor, None)
                fed = tensors[site.tensor].add(site.pack(values), beside, own)
                results[site.ref.port] = np.ascontiguousarray(fed)
            return results

        return watch
