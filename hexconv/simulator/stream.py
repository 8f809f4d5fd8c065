"""Run a model of chunks over a sequence: each state that it returns goes into the next chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hexconv.argument_types import checks_types
from hexconv.arrays import Array
from hexconv.errors import ConfigError
from hexconv.names import did_you_mean, listed, state_output
from hexconv.nnlib.graph import Graph, HasGraph, graph_of
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.simulator.run import Simulator

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@checks_types()
def stream(
    model: HasGraph | Graph,
    feeds: Mapping[str, Array],
    axes: Mapping[str, int] | None = None,
    *,
    run: Run | None = None,
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> dict[str, Array]:
    """Run a model that was converted with `stateful=True` over a sequence.

    The inputs `NODE/h_in` and `NODE/c_in` start with zeros and are the outputs `NODE/h_out` and
    `NODE/c_out` of the chunk before. Frames after the last whole chunk are left out.

    Args:
        model: of one chunk.
        feeds: float32 by input name, without states: whole sequences.
        axes: the axis of time of each input and output that has one; those of the conversion where
            it is None.
        run: what computes a chunk: the simulator, or a device's: `lambda x: library.run(model, x)`.
        library: that is simulated.

    Returns:
        The outputs, those with an axis of time joined along it, of others the last; and the last
        states.

    Raises:
        ConfigError: an input is missing or shorter than one chunk, or there is no such axis.
    """
    graph = graph_of(model)
    known = dict(axes if axes is not None else getattr(model, "axes", {}))
    shapes = {item.name: item.shape for item in graph.inputs}
    own = own_inputs(graph)
    _check_axes(graph, known)
    _check(own, feeds, known)
    compute = run or Simulator(model, library).run
    state = {name: np.zeros(s, np.float32) for name, s in shapes.items() if name not in own}
    found: dict[str, list[Array]] = {}
    for number in range(_count(feeds, shapes, known)):
        now = {name: _chunk(feeds[name], known.get(name), shapes[name], number) for name in own}
        outputs = compute({**now, **state})
        for name, array in outputs.items():
            found.setdefault(name, []).append(array)
        state = {name: outputs[str(state_output(name))] for name in state}
    return {n: np.concatenate(a, known[n]) if n in known else a[-1] for n, a in found.items()}


def own_inputs(graph: Graph) -> list[str]:
    """The inputs of a model of chunks that are no states."""
    return [item.name for item in graph.inputs if state_output(item.name) is None]


def _check_axes(graph: Graph, axes: Mapping[str, int]) -> None:
    ranks = {item.name: len(item.shape) for item in (*graph.inputs, *graph.outputs)}
    for name, axis in axes.items():
        if name not in ranks:
            raise ConfigError(
                f"the model has no input or output '{name}'",
                hint=f"{did_you_mean(name, ranks)}there are {listed(list(ranks))}",
            )
        if not 0 <= axis < ranks[name]:
            raise ConfigError(
                f"'{name}' has no axis {axis}", hint=f"its axes are 0 to {ranks[name] - 1}"
            )


def _check(own: Sequence[str], feeds: Mapping[str, Array], axes: Mapping[str, int]) -> None:
    missing = [name for name in own if name not in feeds]
    if missing or not any(name in axes for name in own):
        raise ConfigError(
            f"there is no data for input '{missing[0]}'"
            if missing
            else "the axis of time is not known",
            hint='give it by the names of inputs and outputs: axes={"x": 1, "y": 1} '
            "(simulate: --stream x=1 --stream y=1)",
        )


def _count(
    feeds: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], axes: Mapping[str, int]
) -> int:
    """How many whole chunks the sequences have."""
    timed = [name for name in feeds if name in axes and name in shapes]
    for name in timed:
        _check_rank(name, feeds[name], shapes[name])
    count = int(min(feeds[name].shape[axes[name]] // shapes[name][axes[name]] for name in timed))
    if count == 0:
        name = min(timed, key=lambda name: feeds[name].shape[axes[name]])
        raise ConfigError(
            f"'{name}' has {feeds[name].shape[axes[name]]} frames, less than one chunk of "
            f"{shapes[name][axes[name]]}",
            hint="give a longer sequence, or pad it with zeros",
        )
    return count


def _check_rank(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise for a sequence with another number of axes than its chunks have."""
    if np.ndim(array) != len(shape):
        raise ConfigError(
            f"the sequence for '{name}' has shape {list(np.shape(array))}; a chunk has "
            f"{list(shape)}",
            hint="it differs from a chunk in the size of one axis",
        )


def _chunk(array: Array, axis: int | None, shape: tuple[int, ...], number: int) -> Array:
    if axis is None:
        return array
    start = number * shape[axis]
    return array.take(range(start, start + shape[axis]), axis)
