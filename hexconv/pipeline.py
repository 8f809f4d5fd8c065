"""The stages of a conversion, in their order.

load -> float rewrites -> decompose -> calibrate -> fuse -> lower -> nnlib rewrites -> check
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv import calibrate
from hexconv import optimize as passes
from hexconv.annotations import annotate
from hexconv.conversion_record import AppliedRewrite, Conversion, FullPrecision, InFloat
from hexconv.decompose import decompose
from hexconv.decompose.steps import limit_steps, steps_of
from hexconv.errors import ConfigError, UnsupportedOpError, UnsupportedOpErrors
from hexconv.files import sha256
from hexconv.lowering import Lowered, dry_run, lower
from hexconv.lowering.extreme_numbers import check_ranges
from hexconv.lowering.halfway import off_halfway
from hexconv.lowering.keep_float import annotate_float, check_present, protect
from hexconv.lowering.range_groups import solve
from hexconv.lowering.resting import on_resting
from hexconv.lowering.same_levels import at_levels_of_source
from hexconv.lowering.same_rounding import off_same_rounding
from hexconv.model import Model
from hexconv.model_names import model_name
from hexconv.names import did_you_mean, listed
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph, NodeView, load
from hexconv.optimize.inner_slices import slice_inside
from hexconv.optimize.legalize import executable
from hexconv.optimize.on_nnlib.tidy import tidied
from hexconv.optimize.output_slices import SlicedOutputs, check_outputs, slice_outputs, sliceable
from hexconv.optimize.sums_at_once import sum_at_once
from hexconv.precision import PLAIN, Precision
from hexconv.quantize import Bounds, Range
from hexconv.raw_tensors import NOT_NCHW, DataFormat
from hexconv.settings import Settings
from hexconv.tensor_ranges import equalizes

if TYPE_CHECKING:
    import onnx

COPIES = (4, 2)
"""How often an input of few channels may be given to a convolution, which has room for 4."""
MOST_PACKETS = 1.03
"""Of the graph without copies, that it may take with them."""
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
    precision: Precision = PLAIN,
) -> Model:
    """Fuse, lower, rewrite and check a calibrated float graph, which is modified."""
    onnx_ops = Counter(node.op_type for node in graph.nodes)
    macs = {name: count for name, count in graph.macs().items() if count}
    measured = dict(sorted(observed.items()))
    warnings = [*warnings, *calibrate.joined_warnings(graph, observed)]
    warnings += [f"output {told} in the model: {NOT_ROUNDED}" for told in graph.unrounded]
    warnings += graph.branches
    equalized = equalizes(settings)
    observed, chosen = calibrate.rewrite_by_ranges(
        graph, observed, equalized=equalized, written_out=precision.written_out
    )
    history = history + _named("calibrated", chosen)
    observed = sum_at_once(graph, observed, precision.sums)
    observed = slice_inside(graph, observed, dict(precision.slices))
    sliced, joined = _sliced_outputs(graph, settings, precision)
    observed, slices = slice_outputs(graph, observed, sliced, joined)
    calibrate.cover_positions(graph, observed)
    calibrate.bound_constants(graph, observed)
    protect(graph)
    for node in graph.nodes:
        if str(node.outputs[0].name) in precision.in_own_range:
            annotate(node, in_own_range=True)
    history = history + _named("fused", passes.fuse(graph, observed, settings))
    lowered = lowered_graph(
        graph, observed, settings.name or model_name(source), settings, slices, joined
    )
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
        ranges=measured,  # as they were: a conversion with them changes them alike
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
            full_precision=tuple(map(FullPrecision.of, graph.last_functions)),
        ),
        float_model=source,
        idle_inputs=graph.dropped_inputs,
    )


def _sliced_outputs(
    graph: FloatGraph, settings: Settings, precision: Precision
) -> tuple[dict[str, int], list[str]]:
    """Slices of each output, as asked for and as chosen where it can have them; those joined."""
    able = sliceable(graph)
    chosen = {name: count for name, count in precision.outputs if name in able}
    asked = dict(settings.output_slices)
    return {**chosen, **asked}, [*chosen, *(asked if settings.join_slices else ())]


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
    unreached: Collection[str] = (),
) -> tuple[FloatGraph, list[AppliedRewrite]]:
    """The float graph that is calibrated and lowered, and what was rewritten.

    With `unsupported`, errors of nodes that cannot even be loaded are appended, the nodes removed;
    `unreached` are clamps of quantizers to leave out.
    """
    passes.check_settings(settings)
    graph = load(
        source,
        shapes,
        recognize=settings.optimize != "none",
        unsupported=unsupported,
        unreached=unreached,
    )
    check_formats(graph, settings.data_formats)
    check_outputs(graph, settings.output_slices)
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


def lowered_graph(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    name: str,
    settings: Settings,
    slices: SlicedOutputs | None = None,
    joined: Collection[str] = (),
) -> Lowered:
    """The nnlib graph of a calibrated float graph, under a name.

    Its outputs may be slices, or sums of slices in float (`joined`).

    Raises:
        UnsupportedOpErrors: nodes that cannot run on the DSP.
        RangeError: a tensor holds numbers beyond what the library computes with.
    """
    ranges = _solved(graph, observed, settings)
    check_ranges(graph, ranges, observed)

    def made(copies: int) -> Lowered:
        return lower(
            graph,
            ranges,
            name,
            float_fallback=settings.float_fallback,
            data_formats=settings.data_formats,
            channel_scales=settings.accuracy != "minmax",
            exact_weights=settings.accuracy == "high",
            copies=copies,
            slices=slices,
            in_float=joined,
        )

    lowered = _with_copies(made, settings)
    if lowered.unsupported:
        raise UnsupportedOpErrors(lowered.unsupported)
    return lowered


def _with_copies(made: Callable[[int], Lowered], settings: Settings) -> Lowered:
    """The lowered graph, inputs of few channels given as often as its packets allow.

    Args:
        made: lowers with up to so many copies of the input of a convolution.
        settings: of the conversion.
    """
    if settings.accuracy == "minmax":
        return made(1)
    first = made(COPIES[0])
    if not first.copied_inputs or first.unsupported:
        return first
    from hexconv.cost import predict

    plain = made(1)
    allowed = MOST_PACKETS * predict(plain.graph, settings.library).packets
    for copies in COPIES:
        lowered = first if copies == COPIES[0] else made(copies)
        if predict(lowered.graph, settings.library).packets <= allowed:
            return lowered
    return plain


def _solved(
    graph: FloatGraph, observed: Mapping[str, Bounds], settings: Settings
) -> dict[str, Range]:
    """The static ranges of all values."""
    views = [NodeView(node) for node in graph.nodes]
    ends = [info.name for info in (*graph.inputs, *graph.outputs)]
    ranges = solve(views, observed, ends)
    if settings.accuracy == "minmax":
        return ranges
    wider = off_same_rounding(views, ranges, off_halfway(views, ranges, observed))
    wider = on_resting(views, ranges, wider)
    ranges = ranges if wider is observed else solve(views, wider, ends)
    return at_levels_of_source(views, ranges, observed)


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


def _named(kind: str, counts: Mapping[str, int]) -> list[AppliedRewrite]:
    return [AppliedRewrite(kind, name, times) for name, times in counts.items()]
