"""Where the ranges of a model's tensors come from: a range file, samples, random data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hexconv import calibrate
from hexconv.calibrate.flat_softmax import worth_packets
from hexconv.calibrate.softmax_rows import softmax_nodes
from hexconv.decompose.steps import shared_over_steps
from hexconv.errors import NotFiniteError, RangeError
from hexconv.names import listed
from hexconv.onnx_graph import FloatGraph
from hexconv.quantize import Bounds
from hexconv.settings import Observer, Settings, calibrating

Samples = (
    calibrate.Images
    | str
    | Path
    | Sequence[str]
    | Mapping[str, str | Path]
    | Iterable[Mapping[str, Any]]
)
Ranges = str | Path | Mapping[str, Bounds]

SYNTHETIC_WARNING = (
    "NO SAMPLES: ranges were measured on random data in the declared input range. "
    "The model will run, but its accuracy is meaningless. Give --samples or --ranges."
)

RANDOM_DATA = "random data: there are no samples"
OWN_DATA = (
    "give --samples, or --input-range with numbers that the model is defined for; "
    "if there are none, see the model in float"
)


class Observed(NamedTuple):
    """What was observed.

    Attributes:
        ranges: (min, max) of every computed value.
        warnings: about where they come from.
        other: the ranges of the other observer, where samples were watched.
    """

    ranges: dict[str, Bounds]
    warnings: list[str]
    other: dict[str, Bounds] | None = None


def observed_ranges(
    graph: FloatGraph,
    samples: Samples | None,
    ranges: Ranges | None,
    settings: Settings,
    digest: calibrate.SampleDigest | None = None,
    others: Sequence[FloatGraph] = (),
    spread: calibrate.Spread | None = None,
) -> Observed:
    """(min, max) of every computed value, and warnings about where they come from.

    Args:
        graph: that is lowered.
        samples: by any of the ways that `convert` takes.
        ranges: that are given; what they lack is measured.
        settings: of the conversion.
        digest: sees the samples that are observed.
        others: the same model with other rewrites, whose values are observed as well.
        spread: sees the samples as well: then the ranges of the other observer are found too.
    """
    found = _observed(graph, samples, ranges, settings, digest, others, spread)
    shared = None if found.other is None else shared_over_steps(graph, found.other)
    return Observed(shared_over_steps(graph, found.ranges), found.warnings, shared)


def unreached_clamps(
    graph: FloatGraph, samples: Samples | None, ranges: Ranges | None, settings: Settings
) -> frozenset[str]:
    """The graph's clamps that samples (random data, if there are none) do not reach.

    Of given ranges: those whose tensors are not wider, or not among them.
    """
    if ranges is not None:
        seen: Mapping[str, Bounds] = _read(ranges)
    else:
        source = _drawn(graph, samples, settings)
        seen = _observe(graph, source, replace(settings, observer="minmax"), samples)
    return frozenset(
        name
        for name, clamp in graph.clamps.items()
        if (not clamp.reached(seen[clamp.source]) if clamp.source in seen else ranges is not None)
    )


def _observed(
    graph: FloatGraph,
    samples: Samples | None,
    ranges: Ranges | None,
    settings: Settings,
    digest: calibrate.SampleDigest | None,
    others: Sequence[FloatGraph],
    spread: calibrate.Spread | None,
) -> Observed:
    warnings: list[str] = []
    if ranges is not None:
        given = _read(ranges)
        known = completed(graph, {**graph.ranges, **given}, samples, settings, warnings)
        return Observed(known, warnings)
    if samples is not None:
        doubts = calibrate.Doubts()
        source = doubts.watch(calibrate.read_samples(samples, graph, settings.data_formats))
        watched = digest.watch(source) if digest else source
        watched = spread.watch(watched) if spread else watched
        observers: list[Observer] = [settings.first_observer]
        observers += [settings.other_observer] if spread else []
        found = _observe_by(observers, graph, watched, settings, samples, others)
        doubtful = doubts.warning({info.name: found[0][info.name] for info in graph.inputs})
        known, *other = ({**measured, **_declared(graph, measured)} for measured in found)
        return Observed(known, [doubtful] if doubtful else warnings, *other)
    measured = _observe(graph, _random(graph, settings), settings, others=others)
    known = {**measured, **graph.ranges, **_clamped(graph, measured)}
    declared = graph.ranges.keys() | {clamp.source for clamp in graph.clamps.values()}
    missing = [name for name in graph.computed_values() if name not in declared]
    if any(info.name not in graph.ranges for info in graph.inputs):
        warnings.append(SYNTHETIC_WARNING)
    elif missing:
        warnings.append(
            f"{len(missing)} tensors have no range in the quantized model (such as "
            f"'{missing[0]}'): measured on random data. --samples measures them on yours."
        )
    return Observed(known, warnings)


def _read(ranges: Ranges) -> dict[str, Bounds]:
    return dict(calibrate.read_ranges(ranges) if isinstance(ranges, (str, Path)) else ranges)


def _clamped(graph: FloatGraph, measured: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges of what a quantizer clamps: at least what it keeps."""
    found: dict[str, Bounds] = {}
    for clamp in graph.clamps.values():
        bounds = (found.get(clamp.source), measured.get(clamp.source), clamp.bounds)
        known = [item for item in bounds if item is not None]
        found[clamp.source] = min(low for low, _ in known), max(high for _, high in known)
    return found


def _declared(graph: FloatGraph, measured: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges that a quantized model declares; of more than 8 bits the part that is used."""
    found = dict(graph.ranges)
    for name in graph.wide & measured.keys():
        (low, high), (least, most) = found[name], measured[name]
        if max(low, least) < min(high, most):
            found[name] = max(low, least), min(high, most)
    return {**found, **_clamped(graph, measured)}


def introduced_ranges(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    samples: Samples | None,
    settings: Settings,
    *,
    counted: bool = False,
) -> dict[str, Bounds]:
    """(min, max) of the values that rewriting by the ranges observed will introduce.

    Without samples, on the random data that the ranges were observed on. `counted`: as those were,
    for the ranges of another observer too.
    """
    large = {name: b for name, b in observed.items() if calibrate.is_channel(name)}
    if samples is not None and equalizes(settings) and not large:
        drawn = calibrate.read_samples(samples, graph, settings.data_formats)
        large = calibrate.large_channels(graph, observed, drawn)
    copy = calibrate.rewritten_copy(
        graph,
        {**observed, **large},
        equalized=equalizes(settings),
        written_out=_possibly_written_out(graph, observed, settings),
    )
    if copy is None:
        return large
    observers = [settings.first_observer] + ([settings.other_observer] if counted else [])
    source = _drawn(graph, samples, settings)
    new = set(copy.computed_values()) - set(graph.computed_values())
    measured, *_ = _observe_by(observers, copy, source, settings, samples, (), new)
    return {**large, **{name: bounds for name, bounds in measured.items() if name in new}}


def _possibly_written_out(
    graph: FloatGraph, observed: Mapping[str, Bounds], settings: Settings
) -> list[str]:
    """Outputs of Softmax nodes that may be written out, for packets."""
    if settings.accuracy == "high" and settings.extra_packets:
        return [str(node.outputs[0].name) for node in softmax_nodes(graph)]
    return worth_packets(graph, observed, measured=False) if equalizes(settings) else []


def equalizes(settings: Settings) -> bool:
    """Whether channels of unlike sizes are scaled."""
    return settings.accuracy != "minmax" and settings.optimize != "none"


def completed(
    graph: FloatGraph,
    given: dict[str, Bounds],
    samples: Samples | None,
    settings: Settings,
    warnings: list[str],
) -> dict[str, Bounds]:
    """Given ranges, completed for tensors that hexconv itself introduced.

    Those of tensors that rewriting removed are kept: the range file that is written can be used
    for every level of optimization, like the one that was read.

    Raises:
        RangeError: a tensor of the model has none, or a bound is not a range.
    """
    for name, (low, high) in given.items():
        if not low <= high:
            raise RangeError(f"the range {low},{high} of '{name}' is not a range")
    names = graph.computed_values()
    missing = [name for name in names if name not in given]
    own = [name for name in missing if name in graph.original]
    if own:
        raise RangeError(
            f"{len(own)} tensors have no range: {listed(own)}",
            hint="write the file with `python -m hexconv calibrate`, or give --samples",
        )
    if not missing:
        return given
    if samples is None:
        warnings.append(
            f"{len(missing)} tensors that hexconv introduced (such as '{missing[0]}') are not in "
            "the range file: measured on random data. `hexconv calibrate` measures them on yours."
        )
        inputs = {info.name: given[info.name] for info in graph.inputs}
        source: Iterable[Mapping[str, Any]] = _synthetic(graph, _spread(inputs))
    else:
        source = calibrate.read_samples(samples, graph, settings.data_formats)
    measured = _observe(graph, source, settings, samples)
    return {**measured, **given}


def _observe(
    graph: FloatGraph,
    samples: Iterable[Mapping[str, Any]],
    settings: Settings,
    source: Samples | None = None,
    others: Sequence[FloatGraph] = (),
) -> dict[str, Bounds]:
    """The ranges of the settings' observer."""
    return _observe_by([settings.first_observer], graph, samples, settings, source, others)[0]


def _observe_by(
    observers: Sequence[Observer],
    graph: FloatGraph,
    samples: Iterable[Mapping[str, Any]],
    settings: Settings,
    source: Samples | None,
    others: Sequence[FloatGraph],
    only: Collection[str] | None = None,
) -> list[dict[str, Bounds]]:
    """The ranges of observers, on the same runs; of all values, or of some of them only."""
    progress, tick = settings.progress, None
    if progress is not None:
        total = 0 if source is None else calibrate.count_samples(source, graph)
        tick = calibrating(progress, total)
    joined = calibrate.with_values_of(graph, others) if others else graph
    names = joined.computed_values()
    optional = set(names) - set(graph.computed_values())
    counting: Observer = next((item for item in observers if item != "minmax"), "minmax")
    with _told_of_random_data(source is None):
        statistics = calibrate.measure(joined, samples, counting, tick, optional, only)
    return [
        _finite(joined, names, statistics.ranges(settings.percentile, observer))
        for observer in observers
    ]


def _finite(
    graph: FloatGraph, names: Sequence[str], found: Mapping[str, Bounds]
) -> dict[str, Bounds]:
    """The ranges of values, in their order.

    Raises:
        RangeError: one is NaN or infinite.
    """
    ranges = {name: found[name] for name in names if name in found}
    for name, bounds in ranges.items():
        if not np.isfinite(bounds).all():
            raise _not_finite(graph, name, ranges)
    return ranges


@contextmanager
def _told_of_random_data(drawn: bool) -> Iterator[None]:
    """Let an error of data say that they were random, if they were `drawn`."""
    try:
        yield
    except NotFiniteError as error:
        if not drawn:
            raise
        raise NotFiniteError(error.what, where=RANDOM_DATA, why=error.why, hint=OWN_DATA) from None


def _not_finite(graph: FloatGraph, name: str, ranges: Mapping[str, Bounds]) -> NotFiniteError:
    """The error of a function that is not defined on all of its input, such as a square root."""
    node = graph.values()[name].producer()
    read = [] if node is None else [str(value.name) for value in node.inputs if value is not None]
    told = [
        f"'{item}' is from {ranges[item][0]:.3g} to {ranges[item][1]:.3g}"
        for item in read
        if item in ranges
    ]
    return NotFiniteError(
        f"tensor '{name}' becomes NaN or infinite",
        where="" if node is None else f"node '{node.name}' ({node.op_type})",
        why=", ".join(told),
        hint="check the scale of the samples, and the model in float",
    )


def _drawn(
    graph: FloatGraph, samples: Samples | None, settings: Settings
) -> Iterable[Mapping[str, Any]]:
    """The samples; random inputs where there are none."""
    if samples is None:
        return _random(graph, settings)
    return calibrate.read_samples(samples, graph, settings.data_formats)


def _random(graph: FloatGraph, settings: Settings) -> Iterable[Mapping[str, Any]]:
    """Random inputs in the ranges that the model or the user declares."""
    declared = {i.name: graph.ranges[i.name] for i in graph.inputs if i.name in graph.ranges}
    return _synthetic(graph, {**_spread(declared), **settings.input_ranges})


def _spread(bounds: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """Ranges to draw numbers from: one of a single number becomes wider."""
    return {name: (low, high if low < high else low + 1.0) for name, (low, high) in bounds.items()}


def _synthetic(graph: FloatGraph, bounds: Mapping[str, Bounds]) -> Iterable[Mapping[str, Any]]:
    return calibrate.synthetic_samples(graph, bounds)
