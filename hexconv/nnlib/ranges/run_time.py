"""Nodes that are right in the ranges that calibration saw of the inputs, and in others not.

MACE's runtime quantizes an input over the data of each run, and ops that copy their input's range
pass that on. What is computed from such a tensor has to be right in every range that may come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from hexconv.nnlib.graph import INPUT_OP, Graph, Node, Ref
from hexconv.nnlib.offsets import WORST_DIFFERENCE, WORST_PRODUCT
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.nnlib.ranges.limits import broken_rules, range_limits
from hexconv.nnlib.site import NodeSite
from hexconv.quantize import Range, cover
from hexconv.quantize.ranges import RUN_TIME_SCALES, RUN_TIME_ZEROS

Inputs = frozenset[int]
"""Numbers of model inputs."""


def broken_in_a_run(graph: Graph, found: FoundRanges) -> Iterator[tuple[Node, str]]:
    """Every node that some range of the model's inputs would break, and the rule.

    Args:
        graph: as it is executed.
        found: its ranges.
    """
    dependent = _dependent(graph, found)
    broken: dict[tuple[int, str], tuple[Node, str]] = {}
    for chosen in _tried_together(graph, dependent):
        nodes = [node for node in graph.nodes if dependent.get(node.id, Inputs()) & chosen]
        judged = {n.id for n in nodes if chosen <= dependent[n.id]}
        for node, why in _Runs(graph, chosen, nodes, judged, found).broken():
            broken.setdefault((node.id, why), (node, why))
    yield from broken.values()


def _refs(graph: Graph) -> list[tuple[Ref, Ref]]:
    """The minimum and maximum of each model input."""
    node = next((node for node in graph.nodes if node.op == INPUT_OP), None)
    if node is None:
        return []
    return [(Ref(node.id, 3 * i + 1), Ref(node.id, 3 * i + 2)) for i in range(len(graph.inputs))]


def _dependent(graph: Graph, found: FoundRanges) -> dict[int, Inputs]:
    """By node, the model inputs whose range decides a minimum or maximum that it reads."""
    open_refs = {
        ref: frozenset((number,)) for number, pair in enumerate(_refs(graph)) for ref in pair
    }
    dependent: dict[int, Inputs] = {}
    for node in graph.nodes:
        read = Inputs().union(*(open_refs[ref] for ref in node.inputs if ref in open_refs))
        if not read:
            continue
        dependent[node.id] = read
        open_refs.update(dict.fromkeys(_open_ports(node, found), read))
    return dependent


def _open_ports(node: Node, found: FoundRanges) -> list[Ref]:
    """The scalars that a node returns and that only a run can tell."""
    ports = [Ref(node.id, port) for port, o in enumerate(node.outputs) if o.shape == (1, 1, 1, 1)]
    return [ref for ref in ports if ref not in found.scalars]


def _tried_together(graph: Graph, dependent: Mapping[int, Inputs]) -> Iterator[Inputs]:
    """Each input alone, and each two of which one node with limits reads the ranges."""
    limited = {dependent[n.id] for n in graph.nodes if n.id in dependent and range_limits(n.op)}
    for count in (1, 2):
        together = {pair for read in limited for pair in combinations(sorted(read), count)}
        yield from map(frozenset, sorted(together))


class _Runs:
    """The nodes that depend on some of the inputs, in the ranges of one run after another."""

    def __init__(
        self, graph: Graph, chosen: Inputs, nodes: list[Node], judged: set[int], found: FoundRanges
    ) -> None:
        self._refs, self._chosen = _refs(graph), chosen
        self._usual = [cover(*item.range) for item in graph.inputs]
        self._passing = [node for node in nodes if _open_ports(node, found)]
        self._now, self._static = found.assuming(nodes), found
        limited = (node for node in nodes if node.id in judged and range_limits(node.op))
        self._sites = [self._now.site(node) for node in limited]
        self._given = dict(self._now.scalars)

    def broken(self) -> Iterator[tuple[Node, str]]:
        """The rules that some ranges of the chosen inputs break, with the nodes."""
        self._run(self._usual)
        worst = (*self._product_scales(), *self._difference_scales())
        within = {scale for scale in worst if RUN_TIME_SCALES[0] < scale < RUN_TIME_SCALES[-1]}
        scales = sorted({*RUN_TIME_SCALES, *within})
        for scale, number in product(scales, range(len(RUN_TIME_ZEROS) ** len(self._chosen))):
            self._run([*self._ranges(scale, number)])
            for site in self._sites:
                for why in broken_rules(site):
                    yield site.node, why

    def _ranges(self, scale: float, number: int) -> Iterator[Range]:
        """The chosen inputs at a loudness, with zeros by number; the rest as calibrated."""
        for place, usual in enumerate(self._usual):
            if place not in self._chosen:
                yield usual
                continue
            number, zero = divmod(number, len(RUN_TIME_ZEROS))
            yield usual.scaled(scale).moved(RUN_TIME_ZEROS[zero])

    def _run(self, ranges: Sequence[Range]) -> None:
        """Find the range of each tensor where the inputs have these."""
        scalars = self._now.scalars
        scalars.clear()
        scalars.update(self._given)
        for (low, high), value_range in zip(self._refs, ranges, strict=True):
            scalars[low], scalars[high] = value_range.min, value_range.max
        for node in self._passing:
            self._now.find_ranges(node)

    def _product_scales(self) -> Iterator[float]:
        """The loudness at which the factor of a product is the worst one."""
        for site in self._sites:
            known = [site.range(prefix) for prefix in ("a_", "b_", "out_")]
            if all(limit.rule != "product_scale" for limit in range_limits(site.node.op)):
                continue
            one, other, out = (end[1] - end[0] if end else 0.0 for end in known)
            if not (one and other and out):
                continue
            varying = sum(self._varies(site, role) for role in ("a_min", "b_min"))
            worst = WORST_PRODUCT * 255 * out / (one * other)
            yield worst ** (1 / max(varying, 1))

    def _difference_scales(self) -> Iterator[float]:
        """The loudness at which an operand of a subtraction has the worst ratio of steps."""
        for site in self._sites:
            if all(limit.rule != "difference_offset" for limit in range_limits(site.node.op)):
                continue
            out, other = site.range("out_"), site.range("b_")
            if out and other and out[0] < out[1] and other[0] < other[1]:
                yield WORST_DIFFERENCE * (out[1] - out[0]) / (other[1] - other[0])

    def _varies(self, site: NodeSite, role: str) -> bool:
        position = site.position(role)
        return position is not None and site.node.inputs[position] not in self._static.scalars
