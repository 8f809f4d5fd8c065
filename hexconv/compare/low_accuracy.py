"""When accuracy is so low that the user has to know: a warning, or an error with `strict`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hexconv.compare.accuracy import Accuracy

FAR_BELOW = 6.0
"""dB below what 8 bits allow from which on a figure is suspicious: one bit of eight."""
GOOD = 50.0
"""dB that nobody needs more than: an exact output has no figure to be held against."""
LOW = 15.0
"""dB on the user's own samples below which an output is hardly the float model's: a sixth of its
amplitude is noise."""
SAME_CLASS = 0.8
"""Share of rows with the float model's class, from which down decisions have changed."""
HELP = "'What you can do' in docs/accuracy.md has what helps, in the order to try it"


def low_accuracy(found: Mapping[str, Accuracy], *, own_samples: bool) -> list[str]:
    """What a user must know of outputs, and of parts of them.

    Args:
        found: accuracy by output name.
        own_samples: whether it was measured on the user's samples. On random inputs only
            what is lost beyond 8 bits tells something.
    """
    return [text for name, item in found.items() for text in _of_output(name, item, own_samples)]


def _of_output(name: str, item: Accuracy, own_samples: bool) -> Iterator[str]:
    if item.allowed is not None and far_below(item.sqnr, item.allowed):
        yield (
            f"output '{name}' has {item.sqnr:.1f} dB where 8 bits allow {item.allowed:.1f}: "
            "`hexconv verify` shows in which layer it is lost"
        )
    elif own_samples and item.sqnr < LOW:
        yield f"output '{name}' has {item.sqnr:.1f} dB on the samples, less than {LOW:g}: {HELP}"
    if own_samples and item.top1 is not None and item.top1 <= SAME_CLASS:
        yield (
            f"output '{name}': the largest class is not the float model's in "
            f"{1 - item.top1:.0%} of the rows: {HELP}"
        )
    for part in item.parts:
        if far_below(part.sqnr, part.allowed):
            yield (
                f"output '{name}' joins '{part.tensor}' with what has a wider range: "
                f"different values left of it: {part.values}, {part.sqnr:.1f} dB where 8 bits "
                f"of its own range allow {part.allowed:.1f}; make it an output of its own"
            )


def far_below(sqnr: float, allowed: float) -> bool:
    """Whether a figure in dB is suspiciously far below what 8 bits allow."""
    return min(allowed, GOOD) - sqnr >= FAR_BELOW
