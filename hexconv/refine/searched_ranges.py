"""Ranges narrowed by the error at the model's outputs, each tensor alone.

The float model with one tensor rounded in a range tells what this tensor's noise is worth at the
outputs: where large values carry the result its whole range is best, where they do not a narrower
one has finer steps. The noise of tensors adds up, so that each is searched alone; those of the
largest share first, as the others are hardly worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from hexconv.arrays import Array
from hexconv.calibrate.observe import least_widths
from hexconv.compare.metrics import relative_noise
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.perturbed import Perturbed
from hexconv.onnx_graph.session import FloatSession
from hexconv.quantize import Bounds, cover
from hexconv.quantize.fixed_ranges import at_least, width_of
from hexconv.threads import each

MOST_SEARCHED = 4
"""Samples of those given that ranges are searched on."""
SEEN = 0.9
"""Of the noise, whose tensors are searched."""
SMALLER = 0.92
"""By which an end comes nearer to zero in a step: an eighth of a bit if both do."""
MOST_STEPS = 8
"""Of one end: to half of it."""
GAIN = 0.995
"""Of the noise, that is left at most after a step that is worth it."""
Sample = Mapping[str, Array]
Ranges = Mapping[str, Bounds]


def searched_ranges(
    reference: FloatGraph,
    observed: Ranges,
    tensors: Collection[str],
    samples: Sequence[Sample],
    tick: Callable[[], None],
) -> dict[str, Bounds]:
    """The observed ranges, those narrowed that make the outputs better.

    Args:
        reference: the float model, as it is calibrated.
        observed: (min, max) of each tensor.
        tensors: those that the DSP has in 8 bits, the model's inputs left out.
        samples: of the model's inputs.
        tick: called after each tensor.
    """
    if not tensors:
        return dict(observed)
    meter = _Meter(reference, tensors, samples)
    alone = {}
    for name in tensors:
        alone[name] = meter.noise(name, observed[name])
        tick()
    found, least = dict(observed), least_widths(reference.nodes)
    left = SEEN * sum(alone.values())
    for name in sorted(alone, key=lambda name: -alone[name]):
        if left <= 0.0:
            break
        left -= alone[name]
        best = _narrowed(meter, name, observed[name], alone[name], least.get(name, 0.0))
        # Tensors of one range, such as a reshape and what it reads, stay of one range.
        found.update({other: best for other in found if observed[other] == observed[name]})
        tick()
    return found


class _Meter:
    """What one tensor's rounding is at the outputs."""

    def __init__(
        self, reference: FloatGraph, tensors: Collection[str], samples: Sequence[Sample]
    ) -> None:
        inside = FloatSession(reference, list(tensors))
        floats = [inside.run(sample) for sample in samples]
        places = _of_most_ends(floats)
        self._floats = [floats[place] for place in places]
        self._perturbed = Perturbed(reference, list(tensors))
        self._clean = [self._perturbed.clean(samples[place]) for place in places]

    def noise(self, name: str, bounds: Bounds) -> float:
        """Noise over signal, the mean over the outputs, summed over the samples."""
        found = [0.0] * len(self._clean)

        def measure(place: int) -> None:
            found[place] = self._noise_of(place, name, bounds)

        each(measure, range(len(found)), parallel=True)
        return sum(found)

    def _noise_of(self, place: int, name: str, bounds: Bounds) -> float:
        """Of one sample."""
        value_range, clean = cover(*bounds), self._clean[place]
        step, zero = np.float32(value_range.step), value_range.zero
        values = self._floats[place][name]
        with np.errstate(all="ignore"):  # an output may be infinite
            codes = np.clip(np.rint(values / step), -zero, 255 - zero)
            found = self._perturbed.outputs(clean, {name: codes * step - values})
            return relative_noise(clean, found)


def _narrowed(meter: _Meter, name: str, bounds: Bounds, noise: float, least: float) -> Bounds:
    """The best range of a tensor: one end after the other.

    It stays as wide as the library's op wants, if it is: a table takes more packets.
    """
    best = bounds
    for end in (0, 1):
        for _ in range(MOST_STEPS):
            tried = at_least(_smaller(best, end), bounds, least)
            if width_of(tried) >= width_of(best):
                break
            found = meter.noise(name, tried)
            if found > GAIN * noise:
                break
            best, noise = tried, found
    return best


def _smaller(bounds: Bounds, end: int) -> Bounds:
    """A range with one end nearer to zero, which every range has; the same if it is there."""
    low, high = bounds
    if end == 0:
        return (low * SMALLER, max(high, low * SMALLER)) if low < 0.0 else bounds
    return (min(low, high * SMALLER), high * SMALLER) if high > 0.0 else bounds


def _of_most_ends(floats: Sequence[Sample]) -> list[int]:
    """The samples that reach most ends of the tensors' ranges: they show what clipping costs."""
    ends = [
        [e for x in of.values() for e in (-x.min(initial=0.0), x.max(initial=0.0))] for of in floats
    ]
    reached = np.argmax(np.asarray(ends), axis=0)
    counts = np.bincount(reached, minlength=len(floats))
    return sorted(np.argsort(-counts, kind="stable")[:MOST_SEARCHED].tolist())
