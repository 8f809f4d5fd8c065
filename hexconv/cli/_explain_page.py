"""The text output of `hexconv verify --explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hexconv.cli._terminal import say, table
from hexconv.names import counted
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.explain import Explanation, TensorNoise, Trial

SHOWN = 0.005
"""Of the noise: tensors below it are not in the table."""


def explain_page(found: Explanation, most: int) -> None:
    """The noise by cause and by tensor, then what was tried."""
    causes = ", ".join(
        f"{translated(name)} {share:.0%}" for name, share in found.causes.items() if share >= SHOWN
    )
    say(
        f"\nWhere the noise comes from ({found.measured:.1f} dB; the tensors' noise adds up to "
        f"{found.predicted:.1f} dB): {causes}"
    )
    rows = [row for row in found.tensors if row.share >= SHOWN][:most]
    heads = ("tensor", "op", "share", "rounding", "clipping", "weights", "arithmetic")
    table((*heads, "dB if\nexact"), list(_noise(found, rows)), drop=("op",))
    kind = translated("held-out" if found.samples == "held_out" else "calibration")
    samples = counted(found.count, "sample")
    say(f"\nTried, on {samples} ({kind}):")
    worked = [item for item in found.trials if item.sqnr is not None]
    table(("option", "SQNR dB", "gain dB", "packets"), [_trial(item) for item in worked])
    for item in found.trials:
        if item.sqnr is None:
            say(f"{item.option}: {item.why}")
        if item.kept and item.option:
            steps = "; ".join(translated(name) for name in item.kept)
            say(f"{item.option} keeps: {steps}")
    if found.advised:
        listed = ", ".join(
            f"{translated(item.option)} ({item.gain:+.1f} dB)" for item in found.advised
        )
        say(translated("What helps:") + f" {listed}")
    else:
        say("None of them gains 0.2 dB.")


def _noise(found: Explanation, rows: Sequence[TensorNoise]) -> Iterator[Sequence[str]]:
    for row in rows:
        parts = (row.rounding, row.clipping, row.weights, row.arithmetic)
        split = [f"{part:.0%}" for part in parts] if any(parts) else [""] * len(parts)
        yield row.tensor, row.op, f"{row.share:.1%}", *split, f"{found.without(row):.1f}"


def _trial(item: Trial) -> Sequence[object]:
    gain = "" if item.gain is None else f"{item.gain:+.1f}"
    packets = "" if item.packets is None else round(item.packets)
    return translated(item.option or "as it is"), f"{item.sqnr:.1f}", gain, packets
