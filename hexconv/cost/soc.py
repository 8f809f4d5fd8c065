"""Time on a phone, as a range: a term for each node, each byte moved and each packet.

Packets understate data movement 10 to 100 times: a node that only reorders data waits for memory.
The terms (op_tables/cost/soc.yml) were fitted, by node type, to the one profile of MACE on a phone
that is published: the upper end of a range. Totals that are published for DSPs at full clock are a
part of that: the lower end. Terms of a phone of one's own come from its log (calibration.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hexconv import resources
from hexconv.cost.phones import PhoneProfile, stored_names, stored_profile
from hexconv.cost.terms import Terms, time_model
from hexconv.errors import ConfigError
from hexconv.names import did_you_mean
from hexconv.nnlib.versions import LibraryVersion

DEFAULT = "sd855"


@dataclass(frozen=True)
class Time:
    """Milliseconds between `low` and `high`.

    Attributes:
        low: a DSP at full clock; of a calibrated phone, the fastest that its log allows.
        high: as slow as the one published profile; of a calibrated phone, the slowest.
    """

    low: float
    high: float

    @property
    def milliseconds(self) -> float:
        """The upper end, to rank and to add up."""
        return self.high


@dataclass(frozen=True)
class Soc:
    """A phone's processor.

    Attributes:
        key: as --soc takes it.
        name: in full.
        dsp: which Hexagon.
        library: the version of nnlib that it loads.
        hvx_contexts: 128-byte vector units.
        clock_mhz: of the DSP.
        unsigned: whether an app may run nnlib without a signature (an unsigned process domain).
        source: where the figures come from, and how reliable they are.
    """

    key: str
    name: str
    dsp: str
    library: LibraryVersion
    hvx_contexts: int
    clock_mhz: int
    unsigned: str
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
        known = [*names(), *stored_names()]
        raise ConfigError(
            f"the SoC '{key}' is not known, nor is a phone of that name calibrated",
            why="chips from the Snapdragon 888 on do not run nnlib: for those `convert --to qdq`",
            hint=f"{did_you_mean(key, known)}use {', '.join(known)}",
        )
    return Soc(key=key, **_entries()[key])


def for_library(library: str) -> str:
    """The SoC to predict times for if none is named."""
    key: str = time_model()["default"].get(library, DEFAULT)
    return key


def library_of(key: str) -> LibraryVersion:
    """The library that a SoC, or a calibrated phone, loads.

    Raises:
        ConfigError: neither is known.
    """
    phone = stored_profile(key)
    return soc(key).library if phone is None else phone.library


def node_time(op: str, packets: float, moved: int, key: str = DEFAULT) -> Time:
    """Time of one node.

    Args:
        op: as executed.
        packets: of all threads.
        moved: bytes read and written.
        key: of the SoC, or the name of a calibrated phone.

    Raises:
        ConfigError: neither is known.
    """
    return _timer(key)(op, packets, moved)


def node_times(nodes: Iterable[tuple[str, float, int]], key: str = DEFAULT) -> list[Time]:
    """`node_time` of each of many nodes: op, packets and bytes."""
    time = _timer(key)
    return [time(*node) for node in nodes]


def _timer(key: str) -> Callable[[str, float, int], Time]:
    """`node_time` on one phone, which is looked up once."""
    phone = stored_profile(key)
    if phone is not None:
        return functools.partial(_of_phone, phone)
    clock, vectors = _faster(key)
    return functools.partial(_of_soc, _terms().scaled(1 / clock, 1 / (clock * vectors)))


def _of_soc(terms: Terms, op: str, packets: float, moved: int) -> Time:
    high = terms.milliseconds(op, packets, moved)
    return Time(high * time_model()["full_clock"], high)


def _of_phone(phone: PhoneProfile, op: str, packets: float, moved: int) -> Time:
    said = phone.terms.milliseconds(op, packets, moved)
    return Time(said / phone.factor, said * phone.factor)


def node_in_packets(key: str = DEFAULT) -> float:
    """The packets that take as long as an average node's overhead beyond its own packets.

    Args:
        key: of the SoC.

    Raises:
        ConfigError: the SoC is not known.
    """
    _, vectors = _faster(key)
    packets_a_us = 1e3 * vectors / _terms().packet_ns
    return float(time_model()["beyond_packets_us"] * packets_a_us)


def dispatch_in_packets(key: str = DEFAULT) -> float:
    """The packets that take as long as the dispatch of a node.

    Args:
        key: of the SoC.

    Raises:
        ConfigError: the SoC is not known.
    """
    _, vectors = _faster(key)
    return _terms().node_us * vectors * 1e3 / _terms().packet_ns


def total(times: Sequence[Time]) -> Time:
    """Time of nodes in sequence."""
    return Time(sum(time.low for time in times), sum(time.high for time in times))


def meaning(key: str = DEFAULT) -> str:
    """The meaning of the ends of a range, in one sentence."""
    phone = stored_profile(key)
    if phone is not None:
        return f"fitted to {phone.source} of this phone within a factor of {phone.factor:.2f}"
    return str(time_model()["meaning"])


def _faster(key: str) -> tuple[float, float]:
    """Clock speed relative to the profiled phone, and the gain from the vector units.

    A second pair of units helps only with enough threads to use it: its square root.
    """
    this, like = soc(key), soc(time_model()["like"])
    return this.clock_mhz / like.clock_mhz, (this.hvx_contexts / like.hvx_contexts) ** 0.5


@functools.cache
def _terms() -> Terms:
    return Terms(**time_model()["terms"])


@functools.cache
def _entries() -> Mapping[str, Any]:
    path = resources.folder("op_tables") / "cost"
    return resources.Entries(path)
