"""Time on a phone: a term per node, byte moved and packet (op_tables/cost/soc.yml).

Packets understate data movement 10 to 100 times: a node that only reorders data waits for memory.
The terms were fitted to one published profile, by node type; phones differ, and the sizes of that
network are unknown. The error range is therefore wide.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hexconv import resources
from hexconv.errors import ConfigError

DEFAULT = "sd855"


@dataclass(frozen=True)
class Time:
    """Milliseconds: the best estimate, and its bounds."""

    milliseconds: float
    low: float
    high: float


@dataclass(frozen=True)
class Soc:
    """A phone's processor.

    Args:
        key: as --soc takes it.
        hvx_contexts: 128-byte vector units.
        clock_mhz: of the DSP.
        source: the origin of the figures, and how reliable they are.
    """

    key: str
    name: str
    dsp: str
    library: str
    hvx_contexts: int
    clock_mhz: int
    source: str


def names() -> list[str]:
    """The SoCs that are known."""
    return [key for key in _entries() if key.startswith("sd")]


def soc(key: str) -> Soc:
    """A SoC by its key.

    Raises:
        ConfigError: the key is unknown; the error lists the known ones.
    """
    if key not in names():
        raise ConfigError(f"the SoC '{key}' is not known", hint=f"use {', '.join(names())}")
    return Soc(key=key, **_entries()[key])


def reorders(op: str) -> bool:
    """Whether an op reads in scattered order, which is slower than streaming."""
    return op in _model()["reorders"]


def node_time(op: str, packets: float, moved: int, key: str = DEFAULT) -> Time:
    """Time of one node.

    Args:
        op: as executed.
        packets: of all threads.
        moved: bytes read and written.
        key: of the SoC.

    Raises:
        ConfigError: the SoC is not known.
    """
    terms = _model()["terms"]
    a_byte = terms["reordered_ns" if reorders(op) else "streamed_ns"]
    clock, vectors = _faster(key)
    best = (terms["node_us"] / 1e3 + moved * a_byte / 1e6) / clock
    best += packets * terms["packet_ns"] / 1e6 / (clock * vectors)
    factor = _model()["node_factor"]
    return Time(best, best / factor, best * factor)


def node_in_packets(key: str = DEFAULT) -> float:
    """The packets that take as long as an average node's overhead beyond its own packets.

    Args:
        key: of the SoC.

    Raises:
        ConfigError: the SoC is not known.
    """
    _, vectors = _faster(key)
    packets_a_us = 1e3 * vectors / _model()["terms"]["packet_ns"]
    return float(_model()["beyond_packets_us"] * packets_a_us)


def total(times: Sequence[Time]) -> Time:
    """Time of nodes in sequence; their errors cancel in part."""
    best = sum(time.milliseconds for time in times)
    factor = _model()["graph_factor"]
    return Time(best, best / factor, best * factor)


def _faster(key: str) -> tuple[float, float]:
    """Clock speed relative to the profiled phone, and the gain from the vector units.

    A second pair of units helps only with enough threads to use it: its square root.
    """
    this, like = soc(key), soc(_model()["like"])
    return this.clock_mhz / like.clock_mhz, (this.hvx_contexts / like.hvx_contexts) ** 0.5


@functools.cache
def _entries() -> Mapping[str, Any]:
    path = resources.folder("op_tables") / "cost"
    return resources.Entries(path)


@functools.cache
def _model() -> Mapping[str, Any]:
    found: Mapping[str, Any] = _entries()["time_model"]
    return found
