"""Cuts a failing case down to the few nodes that fail: delta debugging over its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.fuzz.cases import Case, Feeds

Fails = Callable[[Case], bool]


def shrunk(case: Case, fails: Fails) -> Case:
    """The smallest case found that still fails.

    A step goes: what read it reads another tensor of its shape instead, or a new input that is fed
    what it computed. Outputs and samples go as well.

    Args:
        case: that fails.
        fails: whether another fails in the same way; errors count as not failing.
    """
    while (smaller := next((c for c in _smaller(case) if _still(c, fails)), None)) is not None:
        case = smaller
    return case


def _still(case: Case, fails: Fails) -> bool:
    try:
        return fails(case)
    except Exception:
        return False


def _smaller(case: Case) -> Iterator[Case]:
    for name in case.outputs if len(case.outputs) > 1 else ():
        yield replace(case, outputs=tuple(o for o in case.outputs if o != name)).tidied()
    for place in reversed(range(len(case.steps))):
        yield from _ended_at(case, place)
        yield from _fed(case, place)
    if len(case.samples) > 1:
        yield replace(case, samples=case.samples[:-1])
        yield replace(case, samples=case.samples[1:])


def _ended_at(case: Case, place: int) -> Iterator[Case]:
    """With the result of an earlier step as the only output."""
    name = case.steps[place].outputs[0]
    if case.outputs != (name,):
        smaller = replace(case, outputs=(name,)).tidied()
        if len(smaller.steps) < len(case.steps):
            yield smaller


def _fed(case: Case, place: int) -> Iterator[Case]:
    """Without a step: its results are inputs."""
    gone = case.steps[place]
    if any(name in case.outputs for name in gone.outputs):
        return
    values = case.values(list(gone.outputs))
    if any(run[name].dtype.kind != "f" for run in values for name in gone.outputs):
        return
    shapes = {name: values[0][name].shape for name in gone.outputs}
    fresh = replace(case, samples=case.fresh).values(list(gone.outputs)) if case.fresh else []

    def fed(samples: Sequence[Feeds], runs: Sequence[Feeds]) -> tuple[Feeds, ...]:
        pairs = zip(samples, runs, strict=True)
        return tuple({**own, **{name: run[name] for name in gone.outputs}} for own, run in pairs)

    yield replace(
        case,
        steps=tuple(step for step in case.steps if step is not gone),
        shapes={**case.shapes, **shapes},
        samples=fed(case.samples, values),
        fresh=fed(case.fresh, fresh),
    ).tidied()
