"""The generator in a checkpoint, under the official names of its weights.

ParallelWaveGAN and ESPnet have the same network under other names
(parallel_wavegan/models/hifigan.py, espnet2/gan_tts/hifigan/hifigan.py: HiFiGANGenerator); ESPnet's
text-to-speech models contain it with a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OFFICIAL, OTHER, LAST = "conv_pre.", "input_conv.", "output_conv.1."
PLACES = (("generator",), ("model", "generator"), ("model",), ())
"""Where checkpoints have the generator's weights."""

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
        if any(str(name).startswith(OFFICIAL) for name in state):
            return state
        prefix = _prefix([str(name) for name in state])
        if prefix is not None:
            return _renamed({str(name): value for name, value in state.items()}, prefix)
    return None


def _prefix(names: list[str]) -> str | None:
    """What stands before the generator's names; None where there is no generator."""
    found = [name[: name.index(OTHER)] for name in names if OTHER in name]
    last = tuple(f"{prefix}{LAST}" for prefix in found)
    ends = [name for name in names if name.startswith(last)] if last else []
    return ends[0][: ends[0].index(LAST)] if ends else None


def _renamed(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors under a prefix; a name that no rule knows stays, to be reported."""
    own = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    single = not any(".convs2." in name for name in own)
    found = {}
    for name, value in own.items():
        rule = next(((p, to) for p, to in RULES if p.match(name)), None)
        made = name if rule is None else rule[0].sub(rule[1], name)
        found[made.replace(".convs1.", ".convs.") if single else made] = value
    return found
