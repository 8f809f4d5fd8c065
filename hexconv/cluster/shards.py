"""A stream of samples in parts, what is done with each part, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from hexconv.arrays import Array
from hexconv.errors import ClusterError, HexconvError

Sample = Mapping[str, Array]
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

MOST_SAMPLES = 16
MOST_BYTES = 8 << 20
"""Of a shard, unless a single sample is larger."""


class Span(NamedTuple):
    """The samples first .. last, counted from 0 in the order of the stream."""

    first: int
    last: int

    def __str__(self) -> str:
        if self.first == self.last:
            return f"sample {self.first}"
        return f"samples {self.first} to {self.last}"


@dataclass(frozen=True)
class Shard:
    """Consecutive samples.

    Args:
        first: number of the first one.
        samples: arrays by input name.
    """

    first: int
    samples: tuple[Sample, ...]

    @property
    def span(self) -> Span:
        """Which ones."""
        return Span(self.first, self.first + len(self.samples) - 1)

    def numbered(self) -> Iterator[tuple[int, Sample]]:
        """Each sample with its number."""
        yield from enumerate(self.samples, self.first)


class Job(Protocol[R_co]):
    """Work on shards: pickled once for each worker, and opened once for each of its threads."""

    def open(self) -> Callable[[Shard], R_co]:
        """What is called with each shard."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """A shard's result."""

    span: Span
    result: R


@dataclass(frozen=True)
class Failed:
    """A shard without a result, and why."""

    span: Span
    error: HexconvError

    def __str__(self) -> str:
        where = f" ({self.error.where})" if self.error.where else ""
        return f"{self.span}: {self.error.what}{where}"


def shards(samples: Iterable[Sample], largest: int = MOST_SAMPLES) -> Iterator[Shard]:
    """Parts of a stream, none of more than `largest` samples and, if possible, `MOST_BYTES`."""
    first, size = 0, 0
    part: list[Sample] = []
    for sample in samples:
        nbytes = sum(array.nbytes for array in sample.values())
        if part and (len(part) == largest or size + nbytes > MOST_BYTES):
            yield Shard(first, tuple(part))
            first, size, part = first + len(part), 0, []
        part.append(sample)
        size += nbytes
    if part:
        yield Shard(first, tuple(part))


def require_complete(failed: Sequence[Failed], kept: str) -> None:
    """Raise if shards failed, naming each.

    Args:
        failed: those.
        kept: what there is of the others.

    Raises:
        ClusterError: there are any.
    """
    if not failed:
        return
    listed = "; ".join(map(str, failed))
    first = failed[0].error
    noun = "shard" if len(failed) == 1 else "shards"
    raise ClusterError(
        f"{len(failed)} {noun} failed ({kept})",
        where=listed,
        why=first.why,
        hint=first.hint or "run these samples alone to see why",
    )
