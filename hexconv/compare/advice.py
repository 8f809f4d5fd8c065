"""What a row's figures say of its cause: small rules, each with its threshold.

They name no option: which of them helps is measured by `hexconv.explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.compare.sites import CompareSite, SiteWeights
from hexconv.compare.tally import Figures
from hexconv.nnlib.convolution_code import code_version
from hexconv.nnlib.graph import INPUT_OP, Const
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator.numerics.conv_weights import squeeze_steps

BAD_OWN = 30.0
"""dB: a uint8 tensor that uses its whole range reaches about 40; below this a node's own error
matters."""
BAD_ACCUMULATED = 20.0
"""dB: a tenth of the amplitude is noise; classifiers and vocoders degrade audibly, visibly."""
CLIP_NOISE = 0.5
"""Share of the rounding noise due to clipped elements, from which clipping is the cause."""
NEAR_BEST = 6.0
"""dB: an error this close to the best quantization's comes from the range, not the arithmetic."""
FEW_CODES = 32
"""Levels that cover 99 % of the elements: with fewer, outliers stretch the range."""
CHANNEL_RATIO = 8.0
"""Largest weight over the median channel's largest: 3 of 8 bits are lost in most channels."""
OVERFIT = 3.0
"""dB by which held-out samples are worse than those of calibration."""

NEGLIGIBLE = 1e-5
"""Peak of a tensor relative to its operands': float32 rounds at about 1e-7 of them."""

SMALL = 0.1
"""Relative peak below which the inputs' own quantization scales dominate."""


@dataclass(frozen=True)
class AdviceCase:
    """One tensor and everything that the rules may use.

    Attributes:
        site: its position in the graph.
        figures: the figures of the worse set of samples.
        calibration, held_out: of either set, where there is one.
        weights: of its node.
        library: that was simulated.
        culprit: the tensor before it with the largest own error, and that error in dB.
        coarse: of the tensors that it reads, the one that 8 bits represent worst, and the SQNR of
            its best quantization in dB.
        share: its peak relative to the largest peak of what it reads.
    """

    site: CompareSite
    figures: Figures
    calibration: Figures | None
    held_out: Figures | None
    weights: SiteWeights | None
    library: LibraryVersion
    culprit: tuple[str, float] | None
    coarse: tuple[str, float] | None
    share: float

    @property
    def negligible(self) -> bool:
        """Whether its values are negligible relative to what it is computed from."""
        return self.share <= NEGLIGIBLE


def bad(figures: Figures) -> bool:
    """Whether a row needs advice."""
    accumulated = figures.accumulated
    return figures.own.sqnr < BAD_OWN or (
        accumulated is not None and accumulated.sqnr < BAD_ACCUMULATED
    )


def advise(case: AdviceCase) -> tuple[str, ...]:
    """Advice, the likeliest cause first; empty for a row that is not bad."""
    if case.negligible:
        return (NOTHING,)
    if not bad(case.figures):
        return ()
    found = tuple(text for rule in RULES if (text := rule(case)) is not None)
    return found or (FALLBACK,)


NOTHING = (
    "contains only the float model's rounding, relative to what it is computed from: its figures "
    "are meaningless"
)
FALLBACK = "the error comes from the 8-bit inputs of this node"


def _clipped(case: AdviceCase) -> str | None:
    fit = case.figures.fit
    if fit is None or fit.clip_noise < CLIP_NOISE or fit.best >= BAD_OWN:
        return None
    if case.site.op == INPUT_OP or _fixed(case):
        return None
    return (
        f"{fit.clipped:.2%} of the elements are outside {fit.low:.4g}..{fit.high:.4g}: calibrate "
        "on samples that reach further, or with a larger --percentile"
    )


def _stretched(case: AdviceCase) -> str | None:
    fit = case.figures.fit
    if fit is None or fit.used >= FEW_CODES or not _limited_by_range(case) or _fixed(case):
        return None
    return (
        f"99 % of the elements use {fit.used} of the 256 levels of {fit.low:.4g}.."
        f"{fit.high:.4g}: outliers stretch the range"
    )


def _flat(case: AdviceCase) -> str | None:
    """The range fits and is still the limit: small values among large ones."""
    fit = case.figures.fit
    if fit is None or fit.used < FEW_CODES or fit.clip_noise >= CLIP_NOISE:
        return None
    if not _limited_by_range(case) or _fixed(case):
        return None
    return (
        f"8 bits of {fit.low:.4g}..{fit.high:.4g} give {fit.best:.0f} dB at best: most values are "
        "small relative to the range"
    )


def _weights(case: AdviceCase) -> str | None:
    if case.weights is None or case.figures.own.sqnr >= BAD_OWN:
        return None
    ratio = channel_ratio(case.weights.const)
    if ratio < CHANNEL_RATIO:
        return None
    return (
        f"one output channel's weights are {ratio:.0f} times those of the median channel, which "
        "uses few levels"
    )


def _squeezed(case: AdviceCase) -> str | None:
    """Weights that lose accuracy as v65 and v66 recode them.

    (docs/nnlib/shipped-library.md#squeeze)
    """
    weights = case.weights
    if weights is None or not weights.convolution or case.figures.own.sqnr >= BAD_OWN:
        return None
    array = weights.const.array
    if code_version(array.shape, weights.column_stride, case.library) == "v60":
        return None
    zero = _zero_point(weights.const)
    if zero is None or not squeeze_steps(array.reshape(-1, array.shape[-1]), zero).any():
        return None
    return (
        f"{case.library} squeezes these weights (zero point {zero}) to int8: a symmetric weight "
        "range is lossless; convert again with hexconv"
    )


def _zero_point(weights: Const) -> int | None:
    """Of uint8 weights with a range."""
    if weights.range is None or weights.array.dtype != np.uint8:
        return None
    low, high = weights.range
    return round(-low * 255.0 / (high - low)) if high > low else 128


def _coarse(case: AdviceCase) -> str | None:
    if case.coarse is None or case.figures.own.sqnr >= BAD_OWN:
        return None
    name, best = case.coarse
    if best >= case.figures.own.sqnr + NEAR_BEST or best >= BAD_OWN:
        return None
    return f"its input '{name}' is no better than {best:.0f} dB in 8 bits: check that one first"


def _small(case: AdviceCase) -> str | None:
    if case.figures.own.sqnr >= BAD_OWN or case.share > SMALL or _limited_by_range(case):
        return None
    return (
        f"it is small relative to what it is computed from (1/{1 / case.share:.0f} of it): 8-bit "
        "inputs carry no more; harmless where it is added to, or subtracted from, something large"
    )


def _table(case: AdviceCase) -> str | None:
    limited = _limited_by_range(case) and not _fixed(case)
    if case.figures.own.sqnr >= BAD_OWN or limited:
        return None
    for words, text in TABLES:
        if any(word in case.site.runs_as or word in case.site.op for word in words):
            return text
    return None


FIXED_RANGE = ("Softmax", "Sigmoid", "Tanh", "L2Normalize")
"""Ops whose output range is fixed by the library."""


def _fixed(case: AdviceCase) -> bool:
    return any(word in case.site.op for word in FIXED_RANGE)


TABLES: Sequence[tuple[tuple[str, ...], str]] = (
    (
        ("Softmax",),
        "the library's softmax returns multiples of 1/255: rows of many small probabilities lose "
        "them",
    ),
    (
        ("Recip", "Div", "Sqrt", "Table", "Gather"),
        "a table of 256 entries is steep where its input is near zero",
    ),
    (
        ("Tanh", "Sigmoid"),
        "an input range much wider than -8..8 leaves few levels where the curve bends",
    ),
    (
        ("Greater", "Less", "Equal"),
        "values within one LSB of each other may compare either way: narrow the ranges of what is "
        "compared",
    ),
    (
        ("Sub", "Add"),
        "a difference of two large tensors is small relative to their scales: both operands' "
        "ranges decide; center them, or fold the operation into a convolution",
    ),
    (
        ("Mul",),
        "a product has the relative error of both operands",
    ),
)
"""Ops by a part of their name, and why they are inexact."""


def _overfit(case: AdviceCase) -> str | None:
    one, other = case.calibration, case.held_out
    if one is None or other is None or one.own.sqnr - other.own.sqnr < OVERFIT:
        return None
    return (
        f"held-out samples are {one.own.sqnr - other.own.sqnr:.1f} dB worse than those of "
        "calibration: calibrate on more, and more varied, samples"
    )


def _input(case: AdviceCase) -> str | None:
    if case.site.op != INPUT_OP:
        return None
    return (
        "the runtime quantizes the input over its full range: clip or normalize outliers "
        "before the model"
    )


def _upstream(case: AdviceCase) -> str | None:
    if case.figures.own.sqnr < BAD_OWN or case.culprit is None:
        return None
    name, sqnr = case.culprit
    return f"its own error is small; look upstream at '{name}' (own {sqnr:.1f} dB)"


def _limited_by_range(case: AdviceCase) -> bool:
    fit = case.figures.fit
    own = case.figures.own.sqnr
    return fit is not None and own < BAD_OWN and fit.best - own < NEAR_BEST


RULES: Sequence[Callable[[AdviceCase], str | None]] = (
    _input,
    _clipped,
    _stretched,
    _flat,
    _coarse,
    _small,
    _weights,
    _squeezed,
    _table,
    _overfit,
    _upstream,
)


def channel_ratio(weights: Const) -> float:
    """Largest absolute weight over the median output channel's largest."""
    array, zero = weights.array, _zero_point(weights)
    if zero is None or array.shape[-1] < 2:
        return 1.0
    tops = np.abs(array.reshape(-1, array.shape[-1]).astype(np.int32) - zero).max(axis=0)
    middle = float(np.median(tops))
    return float(tops.max()) / middle if middle > 0 else 1.0
