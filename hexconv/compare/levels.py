"""The DSP beside the float model at other levels of the inputs, and over the chunks of a stream."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hexconv.arrays import Array
from hexconv.calibrate import read_samples
from hexconv.compare.metrics import decibels
from hexconv.errors import ConfigError, DeviceError, GraphError
from hexconv.names import did_you_mean, listed
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.session import FloatSession
from hexconv.quantize import cover

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource
    from hexconv.device import Library
    from hexconv.model import Model

INPUT_LEVELS = (0.0, 1e-3, 0.1, 1.0, 10.0)
"""What each input is multiplied by."""
BROKEN = 8.0
"""Root mean square error, in 255ths of the output's range, from which on a row is marked."""

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True)
class LevelRow:
    """One output under one condition.

    Attributes:
        what: the level, or the step of a stream.
        output: its name.
        sqnr: signal to quantization noise, dB.
        steps: root mean square error, in 255ths of the range that calibration saw of the output,
            to which the float side is clipped.
        error: why the DSP returned nothing; empty if it did.
    """

    what: str
    output: str
    sqnr: float
    steps: float
    error: str = ""

    @property
    def broken(self) -> bool:
        """Whether the DSP's output is of no use."""
        return bool(self.error) or self.steps > BROKEN

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "broken": self.broken}


def at_levels(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource,
    *,
    levels: Sequence[float] = INPUT_LEVELS,
    count: int = 4,
    library: LibraryVersion = DEFAULT_LIBRARY,
    device: Library | None = None,
) -> list[LevelRow]:
    """Run each input at several levels, the others as they are, and all of them.

    Each input is also run with one number everywhere, half of either end of the samples: the mean
    of an input is then as large as the input, which it seldom is in samples.

    Inputs of integers or booleans are masks and counts, which have no level: they are left as they
    are, unless the model has no others.

    Args:
        model: converted from `source`.
        source: the ONNX model.
        samples: as for `convert`; the first `count` are taken.
        levels: what the inputs are multiplied by.
        count: number of samples.
        library: which the simulator follows.
        device: run this emulated library instead.

    Returns:
        A row for each input, level and output, then one for each input, constant and output.

    Raises:
        HexconvError: the samples do not fit, or the float side cannot run.
    """
    graph, session, run, feeds = _sides(model, source, samples, library, device)
    taken, rows = list(islice(feeds, min(count, sys.maxsize))), []
    names = [item.name for item in model.graph.inputs]
    names = [name for name in names if name not in graph.integers] or names
    groups = [[name] for name in names] + ([names] if len(names) > 1 else [])
    for group in groups:
        label = group[0] if len(group) == 1 else "all inputs"
        for level in levels:
            scaled = [_scaled(feed, group, level) for feed in taken]
            rows += _compared(model.graph, f"{label} x {level:g}", session, run, scaled)
    for name in names:
        for value in _constants([feed[name] for feed in taken]):
            feed = {**taken[0], name: np.full_like(taken[0][name], value)}
            rows += _compared(model.graph, f"{name} = {value:g} everywhere", session, run, [feed])
    return rows


def over_stream(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource,
    states: Mapping[str, str],
    *,
    library: LibraryVersion = DEFAULT_LIBRARY,
    device: Library | None = None,
) -> list[LevelRow]:
    """Run the samples as the chunks of one stream: each side is fed its own states.

    Args:
        model: converted from `source`.
        source: the ONNX model.
        samples: the chunks in order; their states are not used, the first step has zeros.
        states: {output: input that it becomes in the next step}.
        library: which the simulator follows.
        device: run this emulated library instead.

    Returns:
        A row for each step and output.

    Raises:
        ConfigError: there is no such output or input, or their shapes differ.
        HexconvError: the samples do not fit, or the float side cannot run.
    """
    _check_states(model.graph, states)
    _, session, run, feeds = _sides(model, source, samples, library, device)
    shapes = {item.name: item.shape for item in model.graph.inputs}
    ours = {name: np.zeros(shapes[name], np.float32) for name in states.values()}
    theirs, rows = dict(ours), []
    for number, feed in enumerate(feeds):
        wanted, got = session.run({**feed, **theirs}), run({**feed, **ours})
        for name in wanted:
            rows.append(_row(model.graph, f"step {number}", name, [wanted[name]], [got[name]]))
        theirs = {into: wanted[name] for name, into in states.items()}
        ours = {into: got[name] for name, into in states.items()}
    return rows


def drift(rows: Sequence[LevelRow]) -> dict[str, tuple[float, float, float]]:
    """Of each output of a stream, the error in steps at its first chunk, then, and at its end.

    The second figure is the mean over the first quarter of the chunks, the third over the last.
    """
    found = {}
    for name in dict.fromkeys(row.output for row in rows):
        steps = [row.steps for row in rows if row.output == name]
        quarter = max(len(steps) // 4, 1)
        found[name] = steps[0], float(np.mean(steps[:quarter])), float(np.mean(steps[-quarter:]))
    return found


def _check_states(graph: Graph, states: Mapping[str, str]) -> None:
    outputs = {item.name: item.shape for item in graph.outputs}
    inputs = {item.name: item.shape for item in graph.inputs}
    for name, into in states.items():
        for wanted, known, what in ((name, outputs, "output"), (into, inputs, "input")):
            if wanted not in known:
                raise ConfigError(
                    f"the model has no {what} '{wanted}'",
                    where="--stream",
                    hint=f"{did_you_mean(wanted, known)}there are {listed(list(known))}",
                )
        if tuple(outputs[name]) != tuple(inputs[into]):
            raise ConfigError(
                f"'{name}' of shape {outputs[name]} cannot become '{into}' of {inputs[into]}",
                where="--stream",
            )


def _sides(
    model: Model,
    source: str | Path | onnx.ModelProto,
    samples: SampleSource,
    library: LibraryVersion,
    device: Library | None,
) -> tuple[FloatGraph, FloatSession, Run, Iterator[Mapping[str, Array]]]:
    from hexconv.simulator import Simulator

    shapes = {item.name: item.shape for item in model.graph.inputs}
    graph = load(source, shapes, recognize=False)
    feeds = read_samples(samples, graph, model.graph.data_formats)
    if device is None:
        return graph, FloatSession(graph), Simulator(model, library).run, feeds
    return graph, FloatSession(graph), lambda feed: device.run(model, feed), feeds


def _scaled(feed: Mapping[str, Array], names: Sequence[str], level: float) -> dict[str, Array]:
    factor = np.float32(level)
    return {name: array * factor if name in names else array for name, array in feed.items()}


def _constants(arrays: Sequence[Array]) -> list[float]:
    """Half of the lowest and of the highest number, as float32 rounds it; none is 0."""
    if not any(array.size for array in arrays) or not np.issubdtype(arrays[0].dtype, np.floating):
        return []
    ends = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    return [end / 2 for end in dict.fromkeys(ends) if end]


def _compared(
    graph: Graph, what: str, session: FloatSession, run: Run, feeds: Iterable[Mapping[str, Array]]
) -> list[LevelRow]:
    wanted: dict[str, list[Array]] = {item.name: [] for item in graph.outputs}
    got: dict[str, list[Array]] = {name: [] for name in wanted}
    for feed in feeds:
        try:
            returned = run(feed)
        except (GraphError, DeviceError) as error:
            text = str(error).splitlines()[0]
            return [LevelRow(what, name, -200.0, 255.0, text) for name in wanted]
        expected = session.run(feed)
        for name in wanted:
            wanted[name].append(expected[name])
            got[name].append(returned[name])
    return [_row(graph, what, name, wanted[name], got[name]) for name in wanted]


def _row(
    graph: Graph, what: str, name: str, wanted: Sequence[Array], got: Sequence[Array]
) -> LevelRow:
    bounds = cover(*next(item.range for item in graph.outputs if item.name == name))
    signal = noise = held = 0.0
    for expected, returned in zip(wanted, got, strict=True):
        x = expected.astype(np.float64)
        y = returned.astype(np.float64).reshape(x.shape)
        signal += float((x**2).sum())
        noise += float(((x - y) ** 2).sum())
        held += float(((np.clip(x, bounds.min, bounds.max) - y) ** 2).mean())
    steps = float(np.sqrt(held / len(wanted))) / bounds.step
    return LevelRow(what, name, decibels(signal, noise), steps)
