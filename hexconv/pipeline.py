"""The stages of a conversion, in their order.

load -> float rewrites -> decompose -> calibrate -> fuse -> lower -> nnlib rewrites -> check
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv import calibrate
from hexconv import optimize as passes
from hexconv.conversion_record import AppliedRewrite, Conversion, InFloat
from hexconv.decompose import decompose
from hexconv.decompose.steps import limit_steps, shared_over_steps, steps_of
from hexconv.errors import ConfigError, RangeError, UnsupportedOpError, UnsupportedOpErrors
from hexconv.files import sha256
from hexconv.lowering import Lowered, dry_run, lower
from hexconv.lowering.keep_float import annotate_float, check_present, protect
from hexconv.lowering.range_groups import solve
from hexconv.model import Model
from hexconv.model_names import model_name
from hexconv.names import did_you_mean, listed
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph, NodeView, load
from hexconv.optimize.legalize import executable
from hexconv.optimize.on_nnlib.tidy import tidied
from hexconv.optimize.output_slices import SlicedOutputs, slice_outputs
from hexconv.quantize import LARGEST_NUMBER, Bounds
from hexconv.raw_tensors import NOT_NCHW, DataFormat
from hexconv.settings import Progress, Settings

if TYPE_CHECKING:
    import onnx

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
NOT_ROUNDED = "the DSP returns floats, which the application has to round"


def check_supported(graph: FloatGraph, settings: Settings) -> None:
    """Lower with placeholder ranges, so that unsupported nodes are reported before calibration.

    Raises:
        UnsupportedOpErrors: nodes that cannot run on the DSP.
    """
    lowered = dry_run(graph, float_fallback=settings.float_fallback)
    if lowered.unsupported:
        raise UnsupportedOpErrors(lowered.unsupported)


def built(
    source: str | Path | onnx.ModelProto,
    graph: FloatGraph,
    history: list[AppliedRewrite],
    observed: dict[str, Bounds],
    settings: Settings,
    warnings: Sequence[str],
) -> Model:
    """Fuse, lower, rewrite and check a calibrated float graph, which is modified."""
    onnx_ops = Counter(node.op_type for node in graph.nodes)
    macs = {name: count for name, count in graph.macs().items() if count}
    calibrated = sorted(observed)
    warnings = [*warnings, *calibrate.joined_warnings(graph, observed)]
    warnings += [f"output {told} in the model: {NOT_ROUNDED}" for told in graph.unrounded]
    equalized = equalizes(settings)
    observed, chosen = calibrate.rewrite_by_ranges(graph, observed, equalized=equalized)
    history = history + _named("calibrated", chosen)
    observed, slices = slice_outputs(graph, observed, settings.output_slices)
    check_representable(graph, observed)
    calibrate.bound_constants(graph, observed)
    protect(graph)
    history = history + _named("fused", passes.fuse(graph, observed, settings))
    lowered = lowered_graph(graph, observed, settings.name or model_name(source), settings, slices)
    if lowered.floats:
        lowered.graph = tidied(lowered.graph)
    final, counts = passes.nnlib(lowered.graph, settings)
    history += _named("nnlib", counts)
    final, parted = executable(final)
    if parted:
        history += _named("nnlib", {"legalize": parted})
    warnings += _prices(final, graph.unrolled, settings.library)
    return Model(
        graph=final,
        ranges={name: observed[name] for name in calibrated},
        conversion=Conversion(
            source=graph.source,
            library=settings.library,
            sha256=sha256(source),
            onnx_ops=dict(sorted(onnx_ops.items())),
            rewrites=tuple(history),
            transposes_wanted=lowered.transposes.wanted,
            transposes_left=lowered.transposes.emitted,
            warnings=tuple(warnings),
            made=lowered.made,
            macs=macs,
            floats=in_float(final, lowered.floats, settings.library),
        ),
        float_model=source,
        idle_inputs=graph.dropped_inputs,
    )


def _prices(graph: Graph, unrolled: Mapping[str, int], library: LibraryVersion) -> list[str]:
    """What long recurrent nodes cost, unrolled."""
    if not unrolled:
        return []
    from hexconv.cost import predict

    packets = predict(graph, library).packets
    steps = ", ".join(f"'{name}' of {count} steps" for name, count in unrolled.items())
    return [
        f"unrolled: {steps}: the graph has {len(graph.nodes)} nodes and takes {packets / 1e6:.1f} "
        "million packets (predicted); a model of one chunk (--stateful) does not grow with the "
        "length"
    ]


def prepared(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
    settings: Settings,
    unsupported: list[UnsupportedOpError] | None = None,
) -> tuple[FloatGraph, list[AppliedRewrite]]:
    """The float graph that is calibrated and lowered, and what was rewritten.

    With `unsupported`, errors of nodes that cannot even be loaded are appended, the nodes removed.
    """
    passes.check_settings(settings)
    graph = load(source, shapes, recognize=settings.optimize != "none", unsupported=unsupported)
    check_formats(graph, settings.data_formats)
    floats = annotate_float(graph, settings.keep_float)
    history = _named("recognized", graph.recognized)
    history += _named("rewritten", passes.float_graph(graph, settings))
    long = {node: steps_of(node) for node in limit_steps(graph, settings.unroll)}
    history += _named("decomposed", decompose(graph, floats))
    unrolled = {str(node.name): steps for node, steps in long.items() if node.graph is None}
    graph = replace(graph, unrolled=unrolled)
    check_present(graph, floats)
    return graph, history


def check_formats(graph: FloatGraph, formats: Mapping[str, DataFormat]) -> None:
    """Check data formats against the model's inputs and outputs.

    Raises:
        ConfigError: there is no such tensor, or the format gives it other data than it should.
    """
    ranks = {info.name: len(info.shape) for info in (*graph.inputs, *graph.outputs)}
    inputs = {info.name for info in graph.inputs}
    for name, form in formats.items():
        if name not in ranks and name not in graph.dropped_inputs:
            raise ConfigError(
                f"the model has no input or output '{name}'",
                where="data_formats",
                hint=f"{did_you_mean(name, ranks)}there are {listed(list(ranks))}",
            )
        if form == "NCHW" and name in inputs and ranks[name] != 4:
            raise ConfigError(
                f"'{name}' cannot be NCHW: it has {ranks[name]} axes", why=NOT_NCHW, hint="use NONE"
            )


def check_representable(graph: FloatGraph, observed: Mapping[str, Bounds]) -> None:
    """Refuse tensors whose scale overflows float32 in the library once it is multiplied.

    Raises:
        RangeError: naming the tensor, and the node that computes it.
    """
    for value in graph.values().values():
        low, high = observed.get(str(value.name), (0.0, 0.0))
        if value.is_initializer() or max(-low, high) <= LARGEST_NUMBER:
            continue
        node = value.producer()
        raise RangeError(
            f"the tensor '{value.name}' holds numbers from {low:.3g} to {high:.3g}",
            where="an input" if node is None else f"node '{node.name}' ({node.op_type})",
            why="products of its scale overflow float32 in the library",
            hint="scale it down; as a mask in front of a softmax, -10000 has the same effect",
        )


def observed_ranges(
    graph: FloatGraph,
    samples: Samples | None,
    ranges: Ranges | None,
    settings: Settings,
    digest: calibrate.SampleDigest | None = None,
) -> tuple[dict[str, Bounds], list[str]]:
    """(min, max) of every computed value, and warnings about where they come from.

    `digest` sees the samples that are observed.
    """
    found, warnings = _observed(graph, samples, ranges, settings, digest)
    return shared_over_steps(graph, found), warnings


def _observed(
    graph: FloatGraph,
    samples: Samples | None,
    ranges: Ranges | None,
    settings: Settings,
    digest: calibrate.SampleDigest | None,
) -> tuple[dict[str, Bounds], list[str]]:
    warnings: list[str] = []
    if ranges is not None:
        given = dict(calibrate.read_ranges(ranges) if isinstance(ranges, (str, Path)) else ranges)
        return completed(graph, {**graph.ranges, **given}, samples, settings, warnings), warnings
    if samples is not None:
        doubts = calibrate.Doubts()
        source = doubts.watch(calibrate.read_samples(samples, graph, settings.data_formats))
        measured = _observe(graph, digest.watch(source) if digest else source, settings, samples)
        doubtful = doubts.warning({info.name: measured[info.name] for info in graph.inputs})
        known = {**measured, **_declared(graph, measured)}
        return known, [doubtful] if doubtful else warnings
    measured = _observe(graph, _random(graph, settings), settings)
    missing = [name for name in graph.computed_values() if name not in graph.ranges]
    if any(info.name not in graph.ranges for info in graph.inputs):
        warnings.append(SYNTHETIC_WARNING)
    elif missing:
        warnings.append(
            f"{len(missing)} tensors have no range in the quantized model (such as "
            f"'{missing[0]}'): measured on random data. --samples measures them on yours."
        )
    return {**measured, **graph.ranges}, warnings


def _declared(graph: FloatGraph, measured: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges that a quantized model declares; of more than 8 bits the part that is used."""
    found = dict(graph.ranges)
    for name in graph.wide & measured.keys():
        (low, high), (least, most) = found[name], measured[name]
        if max(low, least) < min(high, most):
            found[name] = max(low, least), min(high, most)
    return found


def introduced_ranges(
    graph: FloatGraph, observed: Mapping[str, Bounds], samples: Samples | None, settings: Settings
) -> dict[str, Bounds]:
    """(min, max) of the values that rewriting by the ranges observed will introduce.

    Without samples, on the random data that the ranges were observed on.
    """
    copy = calibrate.rewritten_copy(graph, observed, equalized=equalizes(settings))
    if copy is None:
        return {}
    if samples is None:
        measured = _observe(copy, _random(graph, settings), settings)
    else:
        source = calibrate.read_samples(samples, graph, settings.data_formats)
        measured = _observe(copy, source, settings, samples)
    return {name: bounds for name, bounds in measured.items() if name not in observed}


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
        spread = {name: b if b[0] < b[1] else (b[0], b[0] + 1.0) for name, b in inputs.items()}
        source: Iterable[Mapping[str, Any]] = _synthetic(graph, spread)
    else:
        source = calibrate.read_samples(samples, graph, settings.data_formats)
    measured = _observe(graph, source, settings)
    return {**measured, **given}


def lowered_graph(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    name: str,
    settings: Settings,
    slices: SlicedOutputs | None = None,
) -> Lowered:
    """The nnlib graph of a calibrated float graph, whose outputs may be slices, under a name.

    Raises:
        UnsupportedOpErrors: nodes that cannot run on the DSP.
    """
    ends = [info.name for info in (*graph.inputs, *graph.outputs)]
    ranges = solve([NodeView(node) for node in graph.nodes], observed, ends)
    lowered = lower(
        graph,
        ranges,
        name,
        float_fallback=settings.float_fallback,
        data_formats=settings.data_formats,
        channel_scales=settings.accuracy != "minmax",
        slices=slices,
    )
    if lowered.unsupported:
        raise UnsupportedOpErrors(lowered.unsupported)
    return lowered


def in_float(graph: Graph, why: Mapping[str, str], library: LibraryVersion) -> tuple[InFloat, ...]:
    """The nnlib ops of the nodes in float, and their predicted cost.

    Args:
        graph: the final one.
        why: reasons by ONNX node name.
        library: that the cost is predicted for.
    """
    if not why:
        return ()
    from hexconv.cost import predict

    cost = predict(graph, library)
    rows = []
    for name, reason in why.items():
        nodes = [node for node in cost.nodes if node.onnx_node == name]
        known = [node.packets for node in nodes if node.packets is not None]
        rows.append(
            InFloat(
                node=name,
                why=reason,
                nnlib=tuple(node.op for node in graph.nodes if node.onnx_node == name),
                packets=sum(known),
                milliseconds=sum(cost.node_time(node).milliseconds for node in nodes),
                unknown=tuple(sorted({node.op for node in nodes if node.packets is None})),
            )
        )
    return tuple(rows)


def _observe(
    graph: FloatGraph,
    samples: Iterable[Mapping[str, Any]],
    settings: Settings,
    source: Samples | None = None,
) -> dict[str, Bounds]:
    progress, tick = settings.progress, None
    if progress is not None:
        total = 0 if source is None else calibrate.count_samples(source, graph)
        tick = partial(_tick, progress, total)
    found = calibrate.observe(graph, samples, settings.observer, settings.percentile, tick)
    return {name: found[name] for name in graph.computed_values()}


def _tick(progress: Progress, total: int, done: int) -> None:
    progress("calibrate", done, total)


def _random(graph: FloatGraph, settings: Settings) -> Iterable[Mapping[str, Any]]:
    """Random inputs in the ranges that the model or the user declares."""
    declared = {i.name: graph.ranges[i.name] for i in graph.inputs if i.name in graph.ranges}
    return _synthetic(graph, {**declared, **settings.input_ranges})


def _synthetic(graph: FloatGraph, bounds: Mapping[str, Bounds]) -> Iterable[Mapping[str, Any]]:
    return calibrate.synthetic_samples(graph, bounds)


def _named(kind: str, counts: Mapping[str, int]) -> list[AppliedRewrite]:
    return [AppliedRewrite(kind, name, times) for name, times in counts.items()]
