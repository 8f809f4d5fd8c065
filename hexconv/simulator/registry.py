"""Kernels by the name of the node that the library executes (after prepare)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Output, Padding
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.registry import Registry

T = TypeVar("T")


@dataclass
class KernelCall:
    """One execution of one node.

    Args:
        op: the executed node type (`..._d32` where the library uses that form).
        inputs: 4-D BHWD arrays in the library's own order; a const of which only the shape is read
            (stride, window) is an array of that shape.
        padding: the node's padding.
        outputs: the node's declared outputs.
        library: "v60", "v65" or "v66".
        consts: which inputs are Const nodes.
        cache: lives as long as the prepared node: results that depend only on const inputs
            (packed weights, tables) are kept here between executions.
    """

    op: str
    inputs: list[Array]
    padding: Padding = Padding.NA
    outputs: tuple[Output, ...] = ()
    library: LibraryVersion = DEFAULT_LIBRARY
    consts: tuple[bool, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict)

    def scalar(self, index: int) -> np.float32:
        """Input `index`, a 1x1x1x1 float32, as a number."""
        value: np.float32 = np.float32(self.inputs[index].flat[0])
        return value

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """`make()`, computed once for the life of the prepared node."""
        if key not in self.cache:
            self.cache[key] = make()
        value: T = self.cache[key]
        return value

    def settled(self, first: int, make: Callable[[], T]) -> T:
        """`make()`, recomputed when one of the inputs from `first` on has changed.

        For results that depend on ranges and options: they are ports, but hardly ever change.
        """
        given = self.inputs[first:]
        last: tuple[list[Array], T] | None = self.cache.get("settled")
        if last is not None and (
            all(map(operator.is_, last[0], given)) or all(map(_same_bytes, last[0], given))
        ):
            return last[1]
        value = make()
        self.cache["settled"] = (list(given), value)
        return value


def _same_bytes(old: Array, new: Array) -> bool:
    return old is new or (old.shape == new.shape and old.tobytes() == new.tobytes())


Kernel = Callable[[KernelCall], list[Array]]
KERNELS: Registry[Kernel] = Registry("kernel")
kernel = KERNELS.register
"""Registers a function as the kernel of the executed ops that it names."""
