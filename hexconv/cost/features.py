"""The quantities that the kernels' loops iterate over: packets are linear in them.

A quantity is a function of a node's facts; the coefficients are in op_tables/cost. This file has
those of any tensor; kernel_features.py has those of convolutions, products and transpositions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from hexconv.cost.facts import Facts
from hexconv.nnlib.layout import Shape4

VECTOR = 128
D32 = 32

Feature = Callable[[Facts], float]
FEATURES: dict[str, Feature] = {}


def feature(function: Feature) -> Feature:
    """Register a function as the quantity of its name."""
    if function.__name__ in FEATURES:
        raise ValueError(f"two features named {function.__name__}")
    FEATURES[function.__name__] = function
    return function


def up(number: int, unit: int) -> int:
    """The number of units that cover a size."""
    return -(-number // unit)


def d32_vectors(shape: Shape4) -> int:
    """Vectors of 4 columns by 32 channels (facts of layout d32: width by 4, depth by 32)."""
    b, h, w, d = shape
    return b * h * up(w, 4) * up(d, D32)


@feature
def one(facts: Facts) -> float:
    """The dispatch of the node."""
    return 1


@feature
def elements_out(facts: Facts) -> float:
    """Elements of all outputs."""
    return sum(map(prod, facts.outputs))


@feature
def elements_in(facts: Facts) -> float:
    """Elements of the first input."""
    return prod(facts.first)


@feature
def elements_all(facts: Facts) -> float:
    """Elements of all inputs."""
    return sum(map(prod, facts.inputs))


@feature
def second_thread(facts: Facts) -> float:
    """Whether there is a second row of width, which another thread computes."""
    return facts.out[0] * facts.out[1] > 1


@feature
def plane_threads(facts: Facts) -> float:
    """Threads that rows of width are spread over, at most 4."""
    return min(4, facts.out[0] * facts.out[1])


@feature
def block_threads(facts: Facts) -> float:
    """Threads that blocks of 32 channels are spread over, at most 4."""
    return min(4, up(facts.out[3], D32))


@feature
def table_entries(facts: Facts) -> float:
    """Entries of a lookup table that is rebuilt: at most 256, or one per element."""
    return min(prod(facts.out), 256)


@feature
def rows_out(facts: Facts) -> float:
    """Rows of depth of the first output."""
    return prod(facts.out[:3])


@feature
def rows_in(facts: Facts) -> float:
    """Rows of depth of the first input."""
    return prod(facts.first[:3])


@feature
def planes_out(facts: Facts) -> float:
    """Rows of width of the first output: batches times height."""
    return facts.out[0] * facts.out[1]


@feature
def planes_in(facts: Facts) -> float:
    """Rows of width of the first input: batches times height."""
    return facts.first[0] * facts.first[1]


@feature
def batches(facts: Facts) -> float:
    """Batches."""
    return facts.out[0]


@feature
def depth_out(facts: Facts) -> float:
    """Depth of the first output."""
    return facts.out[3]


@feature
def depth_in(facts: Facts) -> float:
    """Depth of the first input."""
    return facts.first[3]


@feature
def row_vectors_out(facts: Facts) -> float:
    """Vectors of 128 bytes, each row of depth rounded up."""
    return prod(facts.out[:3]) * up(facts.out[3], VECTOR)


@feature
def row_vectors_in(facts: Facts) -> float:
    """Vectors of 128 bytes of the first input, each row of depth rounded up."""
    return prod(facts.first[:3]) * up(facts.first[3], VECTOR)


@feature
def ragged_rows(facts: Facts) -> float:
    """Rows of depth of the first output that do not end on a vector."""
    return prod(facts.out[:3]) if facts.out[3] % VECTOR else 0


@feature
def ragged_blocks(facts: Facts) -> float:
    """Rows of depth that end within a block of 32."""
    return prod(facts.out[:3]) if facts.out[3] % D32 else 0


@feature
def row_blocks_out(facts: Facts) -> float:
    """Rows of depth times blocks of 32 of the first output."""
    return prod(facts.out[:3]) * up(facts.out[3], D32)


@feature
def row_blocks_in(facts: Facts) -> float:
    """Rows of depth times blocks of 32 of the first input."""
    return prod(facts.first[:3]) * up(facts.first[3], D32)


@feature
def plane_vectors_in(facts: Facts) -> float:
    """Vectors of 128 bytes of the first input, each row of width times depth rounded up."""
    b, h, w, d = facts.first
    return b * h * up(w * d, VECTOR)


@feature
def plane_vectors_out(facts: Facts) -> float:
    """Vectors of 128 bytes, each row of width times depth rounded up."""
    b, h, w, d = facts.out
    return b * h * up(w * d, VECTOR)


@feature
def d32_vectors_out(facts: Facts) -> float:
    """d32 vectors of all outputs."""
    return sum(map(d32_vectors, facts.outputs))


@feature
def d32_vectors_in(facts: Facts) -> float:
    """d32 vectors of the first input."""
    return d32_vectors(facts.first)


@feature
def d32_vectors_all(facts: Facts) -> float:
    """d32 vectors of all inputs."""
    return sum(map(d32_vectors, facts.inputs))


@feature
def d32_lines_out(facts: Facts) -> float:
    """Lines of width by 32 channels of the first output."""
    b, h, _, d = facts.out
    return b * h * up(d, D32)


@feature
def d32_lines_in(facts: Facts) -> float:
    """Lines of width by 32 channels of the first input."""
    b, h, _, d = facts.first
    return b * h * up(d, D32)


@feature
def d32_columns(facts: Facts) -> float:
    """Groups of 4 columns of the first input."""
    b, h, w, _ = facts.first
    return b * h * up(w, 4)


@feature
def slices_out(facts: Facts) -> float:
    """Blocks of 32 channels of the first output."""
    return up(facts.out[3], D32)


@feature
def slices_in(facts: Facts) -> float:
    """Blocks of 32 channels of the first input."""
    return up(facts.first[3], D32)


@feature
def inputs(facts: Facts) -> float:
    """The number of input tensors."""
    return len(facts.inputs)


@feature
def outputs(facts: Facts) -> float:
    """The number of output tensors."""
    return len(facts.outputs)


@feature
def window(facts: Facts) -> float:
    """Vectors of the output times positions of the window."""
    places = facts.ints.get("window", (1, 1, 1, 1))
    return d32_vectors(facts.out) * prod(places)


@feature
def window_lines(facts: Facts) -> float:
    """Vectors of the output times rows of the window."""
    places = facts.ints.get("window", (1, 1, 1, 1))
    return d32_vectors(facts.out) * places[1]
