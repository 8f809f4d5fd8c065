"""Work distributed over the cores: one pool for the whole process.

Work that runs in the pool is not distributed again: the nodes of samples that run in parallel
run on one thread each.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Literal, TypedDict, TypeVar

import numpy as np

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")

MOST_SIDE_BY_SIDE = 4
"""Samples in flight: each needs memory for all of its activations."""

_this_thread = threading.local()


class Arithmetic(TypedDict):
    """What NumPy does about numbers that it cannot compute."""

    over: Literal["raise"]
    invalid: Literal["raise"]
    divide: Literal["raise"]


ARITHMETIC = Arithmetic(over="raise", invalid="raise", divide="raise")
"""NumPy's error state while kernels run: past float32's range, and past int32's in a cast, NumPy
and the library return different garbage."""


@cache
def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), "hexconv", _start)


def _start() -> None:
    """In each thread of the pool: arithmetic that goes wrong there is an error, as in the caller.

    NumPy's error state is one of each thread.
    """
    _this_thread.pooled = True
    np.seterr(**ARITHMETIC)


@contextmanager
def alone() -> Iterator[None]:
    """This thread does its work by itself, for as long as the context lasts."""
    before = getattr(_this_thread, "pooled", False)
    _this_thread.pooled = True
    try:
        yield
    finally:
        _this_thread.pooled = before


def _alone() -> bool:
    """Whether this thread has to do its work by itself."""
    return getattr(_this_thread, "pooled", False) or cores() == 1


def each(run: Callable[[T], None], work: Iterable[T], *, parallel: bool) -> None:
    """`run` each item of work, on all cores if `parallel`; items must not change common data.

    Raises:
        Whatever `run` raises.
    """
    if not parallel or _alone():
        for piece in work:
            run(piece)
        return
    for done in [_pool().submit(run, piece) for piece in work]:
        done.result()


def side_by_side(
    run: Callable[[S, int, T], R], states: Iterable[S], items: Iterable[T]
) -> Iterator[R]:
    """`run(state, number, item)` of each item, as many at a time as there are states; in order.

    No more items are drawn ahead than there are states. Nothing that `run` does is distributed
    again.

    Args:
        run: the work; no two calls get the same state at a time.
        states: what one item needs at a time; with a single one there are no other threads.
        items: numbered from 0.

    Raises:
        Whatever `run` raises, of the first item that fails.
    """
    idle: SimpleQueue[S] = SimpleQueue()
    for state in states:
        idle.put(state)

    def job(number: int, item: T) -> R:
        state = idle.get()
        try:
            return run(state, number, item)
        finally:
            idle.put(state)

    count = idle.qsize()
    if count == 1:
        yield from itertools.starmap(job, enumerate(items))
        return
    with ThreadPoolExecutor(count, "hexconv", _start) as pool:
        pending: deque[Future[R]] = deque()
        for number, item in enumerate(items):
            if len(pending) == count:
                yield pending.popleft().result()
            pending.append(pool.submit(job, number, item))
        for future in pending:
            yield future.result()


def share(run: Callable[[int, int], None], count: int, *, parallel: bool) -> None:
    """`run(first, last)` for parts of 0 .. count, one per core if `parallel`.

    The calling thread does the first part itself.

    Raises:
        Whatever `run` raises.
    """
    parts = min(cores(), count)
    if not parallel or parts < 2 or _alone():
        run(0, count)
        return
    edges = [count * part // parts for part in range(parts + 1)]
    others = [_pool().submit(run, edges[i], edges[i + 1]) for i in range(1, parts)]
    try:
        run(edges[0], edges[1])
    finally:
        for other in others:
            other.result()
