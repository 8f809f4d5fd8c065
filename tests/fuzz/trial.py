"""One seed from its graph to the smallest graph that fails."""

from __future__ import annotations

import functools
from collections.abc import Callable

from hexconv.device import Library
from tests.fuzz.cases import Case
from tests.fuzz.graphs import random_case
from tests.fuzz.oracle import Failure, failures
from tests.fuzz.pairs import random_pair
from tests.fuzz.shrink import shrunk
from tests.fuzz.streams import random_stream


@functools.cache
def _library() -> Library:
    return Library()


FORMS: dict[str, Callable[[int], Case]] = {
    "graphs": random_case,
    "pairs": random_pair,
    "wide": functools.partial(random_case, wide=True),
    "streams": random_stream,
}
"""What a seed makes: graphs of up to 14 steps, of two or three, of up to 100 channels, or networks
around a residual stream."""


def tried(
    seed: int, library: bool, cut: bool = True, form: str = "graphs"
) -> tuple[int, list[Failure], Case | None]:
    """One seed: what fails, and the smallest case that fails in the first of these ways."""
    real = _library() if library else None
    case, quick = FORMS[form](seed), form != "graphs"
    try:
        found = failures(case, real, quick=quick)
    except Exception as error:
        found = [Failure("crash", f"{type(error).__name__}: {error}"[:300])]
    if not found or not cut or found[0].kind == "crash":
        return seed, found, None if not found else case
    kind = found[0].kind
    small = shrunk(case, lambda c: any(f.kind == kind for f in failures(c, real, quick=quick)))
    return seed, found, small
