"""One graph that is being made: its tensors, nodes and random numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.fuzz.cases import Array, Step

Shape = tuple[int, ...]
LARGEST = 1 << 13
"""Elements of a tensor, so that a graph takes a tenth of a second."""


@dataclass
class Maker:
    """One graph that is being made.

    Args:
        rng: its random numbers.
        wide: whether layers have up to 100 channels, of unlike sizes, and kernels up to 7 wide.
    """

    rng: np.random.Generator
    wide: bool = False
    shapes: dict[str, Shape] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, Shape] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    _named: dict[int, tuple[str, Array]] = field(default_factory=dict)

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < share)

    def pick(self, *options: float) -> float:
        """One of the numbers."""
        return float(self.rng.choice(options))

    def size(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def channels(self, low: int, high: int) -> int:
        """A number of channels; of a wide graph often more than one of the library's vectors."""
        if self.wide and self.chance(0.6):
            return self.size(33, 100)
        return self.size(low, high)

    def noise(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal float32."""
        return (scale * self.rng.standard_normal(shape)).astype(np.float32)

    def tensor(self, rank: int | None = None) -> str:
        """One of the tensors there are, the newest most often."""
        names = [n for n, s in self.shapes.items() if rank is None or len(s) == rank]
        if not names:
            return ""
        back = min(int(self.rng.geometric(0.45)), len(names))
        return names[-back]

    def like(self, name: str) -> str:
        """Another tensor of the same shape, or the same."""
        names = [n for n, s in self.shapes.items() if s == self.shapes[name]]
        return str(self.rng.choice(names))

    def add(
        self,
        op: str,
        inputs: list[str | Array | None],
        shape: Shape,
        outputs: int = 1,
        **attrs: object,
    ) -> str:
        """One node; an array among its inputs that an earlier node has is the same constant."""
        number = len(self.steps)
        names, consts = [], {}
        for place, item in enumerate(inputs):
            if isinstance(item, (np.ndarray, np.generic)):
                array = np.asarray(item)
                name, _ = self._named.setdefault(id(item), (f"c{number}_{place}", item))
                consts[name] = array
                names.append(name)
            else:
                names.append(item or "")
        made = [f"t{number}" if k == 0 else f"t{number}_{k}" for k in range(outputs)]
        self.steps.append(Step(op, tuple(names), tuple(made), attrs, consts))
        for name in made:
            self.shapes[name] = shape
        return made[0]
