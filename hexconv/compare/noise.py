"""The noise of the outputs by tensor and cause.

Every node is run in the simulator on the float model's tensors in their nearest quantized values,
and the float model on the same values: the difference is what this node alone adds. Each of these
errors is then added to the float model's tensor, one at a time, and measured at the outputs. Their
powers add up to nearly the noise of the whole model (rounding errors of different tensors do not
correlate: Widrow and Kollár, Quantization Noise, 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.metrics import TINY, FloatArray, decibels, noise_of_outputs
from hexconv.compare.quantized import Scale, values_of
from hexconv.compare.sites import CompareSite, find_sites
from hexconv.nnlib.graph import Graph, Node
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.perturbed import Perturbed
from hexconv.onnx_graph.switched import Switched, rounded_weights
from hexconv.simulator import Simulator
from hexconv.threads import cores, side_by_side

CAUSES = ("rounding", "clipping", "weights", "arithmetic")
MOST_SPLIT = 12
"""Tensors whose noise is split by cause: those of the largest."""
LEAST_VALUES = 12
"""Of a channel, whose mean error tells what a corrected bias takes."""
Sample = Mapping[str, Array]
Tick = Callable[[], None]


@dataclass(frozen=True)
class TensorNoise:
    """What the error of one tensor's node is at the outputs.

    Attributes:
        tensor: its ONNX name.
        op: of the nnlib node.
        onnx_node: what that was lowered from.
        share: of the sum of all tensors' noise, 0 to 1: the mean over the outputs.
        rounding, clipping: to 8 bits: within the range, and to its ends.
        weights: rounded to 8 bits.
        arithmetic: what is left: tables, and what the library computes otherwise.
    """

    tensor: str
    op: str
    onnx_node: str
    share: float
    rounding: float
    clipping: float
    weights: float
    arithmetic: float


@dataclass(frozen=True)
class Noise:
    """The noise of a model's outputs.

    Attributes:
        measured: SQNR in dB of the simulated model on the same samples: of the mean over outputs.
        predicted: SQNR in dB that the sum of all tensors' noise gives.
        causes: share of each of `CAUSES`, of all tensors together.
        tensors: largest share first.
    """

    measured: float
    predicted: float
    causes: Mapping[str, float]
    tensors: tuple[TensorNoise, ...]


@dataclass
class _Power:
    """Noise at the outputs relative to the signal, (outputs,), summed over samples."""

    whole: FloatArray
    causes: dict[str, FloatArray]

    @classmethod
    def none(cls, outputs: int) -> _Power:
        """Before any was measured."""
        return cls(np.zeros(outputs), {cause: np.zeros(outputs) for cause in CAUSES})


class NoiseMeter:
    """Both models, opened once.

    Args:
        graph: the quantized model.
        reference: the float model, with the names that the graph's tensors have.
        library: which the simulator follows.
        tick: called after each run of the float model.
        corrected: whether biases will take the mean error of each channel.
    """

    def __init__(
        self,
        graph: Graph,
        reference: FloatGraph,
        library: LibraryVersion,
        tick: Tick,
        *,
        corrected: bool = False,
    ) -> None:
        self._simulator, self._tick = Simulator(graph, library), tick
        self._corrected = corrected
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        self._sites = find_sites(graph, self._simulator.prepared, shapes)
        floats = set(reference.computed_values())
        self._tensors = {s.tensor: s for s in self._sites.all if s.tensor in floats}
        self._weights = rounded_weights(reference)
        self._switched = Switched(reference, list(self._tensors), list(self._weights))
        self._perturbed = Perturbed(reference, list(self._tensors))
        outputs = len(reference.graph.outputs)
        self._power = {name: _Power.none(outputs) for name in self._tensors}
        self._total, self._actual = _Power.none(outputs), np.zeros(outputs)
        self._room: dict[str, tuple[Array, Scale | None]] = {}

    @property
    def runs(self) -> int:
        """Of the float model, for one sample."""
        return len(self._tensors) + len(CAUSES) * (MOST_SPLIT + 1)

    def measure(self, samples: Sequence[Sample]) -> Noise:
        """The noise over all samples; the first one decides which tensors are split by cause."""
        for sample in samples:
            self._add(sample)
        return self._result(len(samples))

    def _add(self, sample: Sample) -> None:
        errors = self._local_errors(sample)
        clean = self._perturbed.clean(sample)
        returned = self._perturbed.outputs(clean, {})
        self._actual += noise_of_outputs(returned, self._simulator.run(sample))
        self._add_up(errors, clean)

    def _add_up(
        self, errors: Mapping[str, Mapping[str, Array]], clean: Mapping[str, Array]
    ) -> None:
        """What each error of a sample is at the outputs."""
        wholes = ({n: np.asarray(sum(e.values()), np.float32)} for n, e in errors.items())
        for name, power in zip(errors, self._measured(clean, wholes), strict=True):
            self._power[name].whole += power
        split = [(name, cause) for name in self._largest() for cause in CAUSES]
        found = self._measured(clean, ({name: errors[name][cause]} for name, cause in split))
        for (name, cause), power in zip(split, found, strict=True):
            self._power[name].causes[cause] += power
        totals = ({n: parts[cause] for n, parts in errors.items()} for cause in CAUSES)
        for cause, power in zip(CAUSES, self._measured(clean, totals), strict=True):
            self._total.causes[cause] += power

    def _largest(self) -> list[str]:
        """The tensors of largest noise so far, in the order of execution."""
        most = self._whole()
        shares = {name: _share(power.whole, most) for name, power in self._power.items()}
        ranked = sorted(shares, key=lambda name: -shares[name])[:MOST_SPLIT]
        return [name for name in self._power if name in ranked]

    def _measured(
        self, clean: Mapping[str, Array], added: Iterable[Mapping[str, Array]]
    ) -> Iterator[FloatArray]:
        """Noise over signal of errors that are added, one set after the other."""

        def measure(_: int, __: int, errors: Mapping[str, Array]) -> FloatArray:
            return self._noise_of(clean, errors)

        for power in side_by_side(measure, range(cores()), added):
            self._tick()
            yield power

    def _noise_of(self, clean: Mapping[str, Array], added: Mapping[str, Array]) -> FloatArray:
        """Of each output."""
        if not any(array.any() for array in added.values()):
            return np.zeros(self._actual.shape)
        with np.errstate(all="ignore"):  # an output may be infinite
            inside = {name: _within(error, *self._room[name]) for name, error in added.items()}
            return noise_of_outputs(clean, self._perturbed.outputs(clean, inside))

    def _local_errors(self, sample: Sample) -> dict[str, dict[str, Array]]:
        """By tensor and cause, what its node adds to it."""
        floats, own, near, scales = self._simulated(sample)
        ideal = self._switched.tensors(sample, {}, near)
        weighed = self._switched.tensors(sample, self._weights, near)
        errors: dict[str, dict[str, Array]] = {}
        for name, values in own.items():
            exact = _where_finite(weighed[name], values)
            rounded, clipped = _to_8_bits(exact, scales[name])
            errors[name] = {
                "rounding": rounded,
                "clipping": clipped,
                "weights": exact - _where_finite(ideal[name], exact),
                "arithmetic": values - (exact + rounded + clipped),
            }
            if self._corrected and self._tensors[name].has_bias:
                errors[name] = _without_means(errors[name], self._tensors[name])
            self._room[name] = floats[name], scales[name]
        return errors

    def _simulated(
        self, sample: Sample
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array], dict[str, Scale | None]]:
        """Each node's result on the float model's tensors in their nearest quantized values.

        Returns:
            By tensor: the float model's values, what the node returns, the float model's nearest
            quantized values, the scale.
        """
        floats = {**self._switched.tensors(sample, {}, {}), **sample}
        own: dict[str, Array] = {}
        near: dict[str, Array] = {}
        scales: dict[str, Scale | None] = {}

        def watch(node: Node, results: list[Array]) -> list[Array]:
            for site in self._sites.by_node.get(node.id, ()):
                if site.tensor in self._tensors:
                    _feed(site, results, floats, own, near, scales)
            return results

        self._simulator.run_watched(sample, watch)
        return floats, own, near, scales

    def _whole(self) -> FloatArray:
        """Of all tensors, (outputs,)."""
        return np.asarray(sum(power.whole for power in self._power.values()))

    def _result(self, count: int) -> Noise:
        whole, causes = self._whole(), sum(self._total.causes.values())
        rows = [self._row(name, power, whole) for name, power in self._power.items()]
        rows.sort(key=lambda row: -row.share)
        return Noise(
            decibels(1.0, float(self._actual.mean()) / count),
            decibels(1.0, max(float(whole.mean()), TINY) / count),
            {c: _share(power, np.asarray(causes)) for c, power in self._total.causes.items()},
            tuple(rows),
        )

    def _row(self, name: str, power: _Power, whole: FloatArray) -> TensorNoise:
        site = self._tensors[name]
        shares = {cause: _share(of_cause, whole) for cause, of_cause in power.causes.items()}
        total = sum(shares.values())
        parts = {cause: share / total if total else 0.0 for cause, share in shares.items()}
        return TensorNoise(name, site.op, site.onnx_node, _share(power.whole, whole), **parts)


def _share(part: FloatArray, whole: FloatArray) -> float:
    """The mean share of some noise; a decibel of each output counts alike."""
    return float((part / np.maximum(whole, TINY)).mean())


def _feed(
    site: CompareSite,
    results: list[Array],
    floats: Mapping[str, Array],
    own: dict[str, Array],
    near: dict[str, Array],
    scales: dict[str, Scale | None],
) -> None:
    """Note what a node returns, and replace it by the float model's nearest quantized values."""
    name, raw = site.tensor, site.triple(results)
    scale = Scale.of(raw)
    expected = site.pack(floats)
    fed = expected if scale is None else scale.codes(expected)
    values = expected if scale is None else scale.values(fed)
    own[name] = site.layout.unpack(values_of(raw), site.shape)
    near[name] = site.layout.unpack(values, site.shape)
    scales[name] = scale
    results[site.ref.port] = np.ascontiguousarray(fed)


def _without_means(errors: Mapping[str, Array], site: CompareSite) -> dict[str, Array]:
    """Errors by cause, less the mean of each channel where enough values tell it."""
    if np.prod(site.bhwd) < LEAST_VALUES * site.bhwd[-1]:
        return dict(errors)
    found = {}
    for cause, error in errors.items():
        packed = site.pack({site.tensor: error})
        apart = packed - packed.mean(axis=(0, 1, 2), keepdims=True)
        found[cause] = site.layout.unpack(apart, site.shape)
    return found


def _where_finite(exact: Array, others: Array) -> Array:
    """Exact results; others where an operand was rounded to 0 and it is divided by."""
    finite = np.isfinite(exact)
    return exact if finite.all() else np.where(finite, exact, others)


def _to_8_bits(exact: Array, scale: Scale | None) -> tuple[Array, Array]:
    """What rounding within a range changes values by, and what clipping to its ends does."""
    if scale is None:
        return np.zeros_like(exact), np.zeros_like(exact)
    low, high = _ends(scale)
    inside = np.clip(exact, low, high).astype(np.float32)
    return scale.values(scale.codes(inside)) - inside, inside - exact


def _within(error: Array, values: Array, scale: Scale | None) -> Array:
    """An error that takes no value out of the tensor's range: a root is not defined below it."""
    if scale is None:
        return error
    low, high = _ends(scale)
    moved = np.clip(values + error, np.minimum(values, low), np.maximum(values, high))
    return np.asarray(moved - values, np.float32)


def _ends(scale: Scale) -> tuple[float, float]:
    """The lowest and the highest value of a tensor."""
    ends = np.iinfo(scale.dtype)
    low, high = ((end - scale.zero) * scale.step for end in (ends.min, ends.max))
    return float(low), float(high)
