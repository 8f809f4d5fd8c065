"""What is computed more precisely than one tensor of 8 bits allows, for more packets."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Precision:
    """What is computed more precisely.

    Attributes:
        slices: (tensor inside the model, in how many slices of its range it is carried).
        written_out: outputs of Softmax that are computed as exp, sum and quotient, in the range of
            their probabilities.
        sums: results of additions that are added up from all their terms, and rounded once.
        in_own_range: outputs of Sigmoid and Tanh that are looked up in a table, in the range of
            their results.
        outputs: (output, in how many slices of its range it is computed, which the graph adds up).
    """

    slices: tuple[tuple[str, int], ...] = ()
    written_out: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    in_own_range: tuple[str, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()

    def sliced(self, tensor: str, count: int) -> Precision:
        """The same, and a tensor in slices."""
        return replace(self, slices=tuple(sorted({**dict(self.slices), tensor: count}.items())))

    def with_output(self, output: str, count: int) -> Precision:
        """The same, and an output in slices."""
        return replace(self, outputs=tuple(sorted({**dict(self.outputs), output: count}.items())))

    def with_softmax(self, tensor: str) -> Precision:
        """The same, and a Softmax written out."""
        return replace(self, written_out=tuple(sorted({*self.written_out, tensor})))

    def with_sum(self, tensor: str) -> Precision:
        """The same, and a sum from all its terms."""
        return replace(self, sums=tuple(sorted({*self.sums, tensor})))

    def with_own_range(self, tensor: str) -> Precision:
        """The same, and a Sigmoid or Tanh in the range of its results."""
        return replace(self, in_own_range=tuple(sorted({*self.in_own_range, tensor})))

    def joined(self, other: Precision) -> Precision:
        """What either has more precisely; of slices, the other's."""
        slices = {**dict(self.slices), **dict(other.slices)}
        outputs = {**dict(self.outputs), **dict(other.outputs)}
        return Precision(
            slices=tuple(sorted(slices.items())),
            written_out=tuple(sorted({*self.written_out, *other.written_out})),
            sums=tuple(sorted({*self.sums, *other.sums})),
            in_own_range=tuple(sorted({*self.in_own_range, *other.in_own_range})),
            outputs=tuple(sorted(outputs.items())),
        )


PLAIN = Precision()
"""Nothing is."""
