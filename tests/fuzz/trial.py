"""One seed from its graph to the smallest graph that fails."""

from __future__ import annotations

import functools

from hexconv.device import Library
from tests.fuzz.cases import Case
from tests.fuzz.graphs import random_case
from tests.fuzz.oracle import Failure, failures
from tests.fuzz.pairs import random_pair
from tests.fuzz.shrink import shrunk


@functools.cache
def _library() -> Library:
    return Library()


def made(seed: int, pairs: bool) -> Case:
    """The graph of a seed."""
    return random_pair(seed) if pairs else random_case(seed)


def tried(
    seed: int, library: bool, cut: bool = True, pairs: bool = False
) -> tuple[int, list[Failure], Case | None]:
    """One seed: what fails, and the smallest case that fails in the first of these ways."""
    real = _library() if library else None
    case = made(seed, pairs)
    try:
        found = failures(case, real, quick=pairs)
    except Exception as error:
        found = [Failure("crash", f"{type(error).__name__}: {error}"[:300])]
    if not found or not cut or found[0].kind == "crash":
        return seed, found, None if not found else case
    kind = found[0].kind
    small = shrunk(case, lambda c: any(f.kind == kind for f in failures(c, real, quick=pairs)))
    return seed, found, small
