"""Things registered by name: kernels, lowerings, rewrites, shape rules, constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping that modules fill when they are imported; a name can be used once.

    Args:
        what: the name of an entry in error messages, such as "kernel".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Add one entry.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"two {self._what}s for {name}")
        self._entries[name] = entry

    def register(self, *names: str) -> Callable[[T], T]:
        """A decorator that adds a function under each of `names`."""

        def decorate(entry: T) -> T:
            for name in names:
                self.add(name, entry)
            return entry

        return decorate

    def __getitem__(self, name: str) -> T:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
