"""The generator in a checkpoint, under the official names of its weights.

ParallelWaveGAN and ESPnet have the same network under other names
(parallel_wavegan/models/hifigan.py, espnet2/gan_tts/hifigan/hifigan.py: HiFiGANGenerator); ESPnet's
text-to-speech models contain it with a prefix, as do checkpoints of Lightning, NeMo and
`DataParallel` ("module.", "generator.") under the official names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OFFICIAL, OTHER = ("conv_pre.", "conv_post."), ("input_conv.", "output_conv.1.")
"""The first and the last layer, by which a generator is found."""
PLACES = (("generator",), ("model", "generator"), ("model",), ("state_dict",), ())
"""Where checkpoints have the generator's weights."""

STATISTICS = ("mean", "scale")
"""ParallelWaveGAN's buffers of the mels that a generator was trained with; no layer reads them."""

RULES = (
    (re.compile(r"^input_conv\.(.+)$"), r"conv_pre.\1"),
    (re.compile(r"^output_conv\.1\.(.+)$"), r"conv_post.\1"),
    (re.compile(r"^upsamples\.(\d+)\.1\.(.+)$"), r"ups.\1.\2"),
    (re.compile(r"^blocks\.(\d+)\.(convs[12])\.(\d+)\.1\.(.+)$"), r"resblocks.\1.\2.\3.\4"),
)


def official_names(loaded: Any) -> Mapping[Any, Any] | None:
    """The generator's tensors by official name; None where the checkpoint has none.

    Args:
        loaded: what torch unpickled.
    """
    for place in PLACES:
        state = loaded
        for key in place:
            state = state.get(key) if isinstance(state, Mapping) else None
        if not isinstance(state, Mapping):
            continue
        names = {str(name): value for name, value in state.items()}
        if any(name.startswith(OFFICIAL[0]) for name in names):
            return state
        for ends in (OFFICIAL, OTHER):
            prefix = _prefix(list(names), *ends)
            if prefix is not None:
                own = {
                    name.removeprefix(prefix): value
                    for name, value in names.items()
                    if name.startswith(prefix)
                }
                return own if ends == OFFICIAL else _renamed(own)
    return None


def _prefix(names: list[str], first: str, last: str) -> str | None:
    """What stands before the generator's names; None where there is no generator."""
    found = [name[: name.index(first)] for name in names if first in name]
    ends = tuple(f"{prefix}{last}" for prefix in found if not prefix or prefix.endswith("."))
    whole = [name for name in names if name.startswith(ends)] if ends else []
    return whole[0][: whole[0].index(last)] if whole else None


def _renamed(own: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by official name; a name that no rule knows stays, to be reported."""
    single = not any(".convs2." in name for name in own)
    found = {}
    for name, value in own.items():
        rule = next(((p, to) for p, to in RULES if p.match(name)), None)
        made = name if rule is None else rule[0].sub(rule[1], name)
        found[made.replace(".convs1.", ".convs.") if single else made] = value
    return found
