"""What was measured of each tensor so far, and the figures made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hexconv.compare.metrics import Metrics, Totals
from hexconv.compare.quantized import RangeFit, RangeTotals


@dataclass(frozen=True)
class Figures:
    """One tensor over a set of samples.

    Attributes:
        own: error of its node fed with the float model's inputs.
        accumulated: error in the running model; None where the device cannot return the tensor.
        fit: how well its range fits; None for tensors that are not uint8.
    """

    own: Metrics
    accumulated: Metrics | None
    fit: RangeFit | None


@dataclass(frozen=True)
class Measured:
    """The results of a set of samples: by output, and by shared tensor."""

    outputs: Mapping[str, Metrics]
    tensors: Mapping[str, Figures]


@dataclass
class TensorTally:
    """One shared tensor: see `Figures`."""

    own: Totals
    accumulated: Totals
    fit: RangeTotals

    def merge(self, other: TensorTally) -> None:
        """Add what another one has accumulated."""
        self.own.merge(other.own)
        self.accumulated.merge(other.accumulated)
        self.fit.merge(other.fit)


class Tally:
    """Accumulates samples. Those of parts of the samples merge, in any order, to the same figures.

    Args:
        outputs: names of the model's outputs, and whether their last axis has class scores.
        tensors: names of the shared tensors.
        first: number of the first sample.
    """

    def __init__(self, outputs: Mapping[str, bool], tensors: Iterable[str], first: int = 0) -> None:
        self.outputs = {
            name: Totals(name, classes=classes, first=first) for name, classes in outputs.items()
        }
        self.tensors = {
            name: TensorTally(
                Totals(name, first=first), Totals(name, first=first), RangeTotals(first)
            )
            for name in tensors
        }

    def merge(self, other: Tally) -> None:
        """Add what another one has accumulated of the same model."""
        for name, total in self.outputs.items():
            total.merge(other.outputs[name])
        for name, tensor in self.tensors.items():
            tensor.merge(other.tensors[name])

    def result(self) -> Measured:
        """The figures of all tensors of which there were samples."""
        finished = {name: total.result() for name, total in self.outputs.items()}
        tensors: dict[str, Figures] = {}
        for name, item in self.tensors.items():
            own = item.own.result()
            if own is not None:
                tensors[name] = Figures(own, item.accumulated.result(), item.fit.result())
        return Measured({n: m for n, m in finished.items() if m is not None}, tensors)
