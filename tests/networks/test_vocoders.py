"""Vocoders of the kinds in use convert whole, and are near their float originals."""

from __future__ import annotations

import os
from typing import Any

import pytest

import hexconv
from hexconv.compare.accuracy import accuracy

torch = pytest.importorskip("torch")

from tests.networks import vocoders  # noqa: E402  # needs torch
from tests.networks.export import export  # noqa: E402


def mel(seed: int) -> Any:
    """(1, mels, 48) float32, smooth along time."""
    steps = torch.randn((1, vocoders.MELS, 48), generator=torch.Generator().manual_seed(seed))
    smooth = torch.cumsum(steps, -1)
    return (smooth / smooth.std()).numpy()


@pytest.mark.parametrize("kind", vocoders.FLOORS, ids=lambda kind: kind.__name__)
def test_a_vocoder_is_near_its_original(kind: Any) -> None:
    torch.manual_seed(7)
    proto = export(kind().eval(), torch.zeros((1, vocoders.MELS, 48)))
    name = proto.graph.input[0].name
    samples = [{name: mel(seed)} for seed in range(16)]
    held_out = [{name: mel(seed)} for seed in range(100, 108)]
    model = hexconv.convert(proto, samples=samples)
    found = accuracy(model, proto, held_out, library="v60")
    assert min(item.sqnr for item in found.values()) >= vocoders.FLOORS[kind], found
    # What 8 bits allow is an estimate of the same graph; beyond it, tables and sums round.
    for item in found.values():
        assert item.allowed is not None and item.sqnr >= item.allowed - 3.5, found
    if os.environ.get("HEXCONV_LIBRARY"):
        from hexconv.device import Library

        library = Library()
        theirs = library.run(model, held_out[0])
        ours = hexconv.simulate(model, held_out[0], library=library.version)
        assert all((theirs[name] == ours[name]).all() for name in ours)
