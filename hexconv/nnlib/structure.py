"""What makes a list of consts and nodes a graph: ids, ports, order, operands, shapes.

Everything that reads a graph relies on it: the simulator, the cost model, the emulated library.
What the library does not take beyond that, and its known defects, are in `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite, isnan

from hexconv.errors import GraphError
from hexconv.nnlib.constraints import CONSTRAINTS
from hexconv.nnlib.graph import (
    ENDS,
    INPUT_OP,
    OUTPUT_OP,
    OUTPUT_PORTS,
    Const,
    Graph,
    Interface,
    Node,
    Ref,
)
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import Limit, OpSpec, spec
from hexconv.nnlib.shapes import SCALAR, infer
from hexconv.nnlib.site import NodeSite

AXES = {"b": 0, "h": 1, "w": 2, "d": 3}
LARGEST_ID = 2**31 - 1
"""Of a node: MACE's protobuf refers to nodes by int32."""

LARGEST_TENSOR = 2**31 - 1
"""Bytes: MACE's protobuf states them as int32."""

Judge = Callable[[NodeSite, Sequence[str]], Iterable[str]]
"""The problems of one node; the types of its inputs come with it."""


def faults(graph: Graph) -> list[str]:
    """Why a graph is none, one line each; empty for one that can be read, drawn and executed."""
    return list(wiring(graph)) or [*interface(graph), *walk(graph, node_faults)]


def require(graph: Graph, where: str = "") -> None:
    """Hold a graph that comes from outside to `faults`.

    Raises:
        GraphError: it has some; each is on a line of its own.
    """
    found = faults(graph)
    if found:
        raise GraphError(
            f"the graph '{graph.name}' is malformed: {counted(found)}",
            where=where,
            why=on_lines(found),
        )


SHOWN = 20


def counted(problems: Sequence[str]) -> str:
    """`1 problem`, `3 problems`."""
    return f"{len(problems)} problem" + ("" if len(problems) == 1 else "s")


def on_lines(problems: Sequence[str]) -> str:
    """The first problems, one a line, and how many more there are."""
    more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n       ".join([*problems[:SHOWN], *more])


def named(node: Node) -> str:
    """A node as a problem names it."""
    origin = f", from '{node.onnx_node}'" if node.onnx_node else ""
    return f"'{node.name}' ({node.op}, id {node.id}{origin})"


def wiring(graph: Graph) -> Iterator[str]:
    """Ids, ports and order."""
    ports: dict[int, int] = {}
    items: list[Const | Node] = [*graph.consts, *graph.nodes]
    for item in items:
        if item.id in ports:
            yield f"'{item.name}': the id {item.id} is taken twice"
        if not 0 <= item.id <= LARGEST_ID:
            yield f"'{item.name}': the id {item.id} is outside of 0..{LARGEST_ID}"
        ports[item.id] = 1 if isinstance(item, Const) else len(item.outputs)
    done = {const.id for const in graph.consts}
    backward = False
    for node in graph.nodes:
        for position, ref in enumerate(node.inputs):
            if ref.node not in ports:
                yield f"{named(node)}: input {position} is node {ref.node}, which does not exist"
            elif not 0 <= ref.port < ports[ref.node]:
                yield (
                    f"{named(node)}: input {position} is output {ref.port} of node {ref.node}, "
                    f"which has {ports[ref.node]}"
                )
            elif ref.node not in done:
                backward = True
        done.add(node.id)
    if backward:
        yield _order(graph)


def _order(graph: Graph) -> str:
    """The problem with the order: a cycle, or nodes before their inputs."""
    import networkx as nx  # 0.2 s to import, and only a broken graph needs it

    names = {node.id: node.name for node in graph.nodes}
    walked = nx.DiGraph()
    walked.add_edges_from(
        (ref.node, node.id) for node in graph.nodes for ref in node.inputs if ref.node in names
    )
    try:
        cycle = [names[source] for source, _ in nx.find_cycle(walked)]
    except nx.NetworkXNoCycle:
        return "nodes are not in execution order: some come before the nodes that they read"
    return f"nodes form a cycle: {' -> '.join([*cycle, cycle[0]])}"


def interface(graph: Graph) -> Iterator[str]:
    """The input and output node against the model's declared inputs and outputs."""
    yield from _end(graph, {INPUT_OP: 3}, graph.inputs, "in")
    # OUTPUT returns the tensors of a graph that has no interface, whatever they are.
    ends = OUTPUT_PORTS if graph.outputs else {OUTPUT_OP: OUTPUT_PORTS[OUTPUT_OP]}
    yield from _end(graph, ends, graph.outputs, "out")


def _end(
    graph: Graph, ends: Mapping[str, int], tensors: Sequence[Interface], what: str
) -> Iterator[str]:
    """One end of the graph, an op with so many ports for each tensor."""
    yield from _twice(tensors, f"{what}put")
    nodes = [node for node in graph.nodes if node.op in ends]
    if len(nodes) != (1 if tensors else 0):
        yield f"{len(nodes)} {' or '.join(ends)} nodes for {len(tensors)} {what}puts of the model"
        return
    for node in nodes:
        ports = len(node.outputs if node.op == INPUT_OP else node.inputs)
        if ports != ends[node.op] * len(tensors):
            yield f"{named(node)}: {ports} ports; {len(tensors)} tensors need {ends[node.op]} each"
            return
        for tensor, declared in zip(tensors, _declared(graph, node), strict=True):
            if declared != tensor.bhwd:
                yield (
                    f"{what}put '{tensor.name}' is declared {list(declared)}, "
                    f"is {list(tensor.bhwd)}"
                )


def _twice(tensors: Sequence[Interface], what: str) -> Iterator[str]:
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            yield f"two {what}s are called '{tensor.name}'"
        seen.add(tensor.name)


def _declared(graph: Graph, end: Node) -> list[Shape4]:
    """The data tensors at an end of the graph, by their declared shapes."""
    if end.op == INPUT_OP:
        return [output.shape for output in end.outputs[::3]]
    consts, nodes = graph.const_by_id(), graph.node_by_id()
    shapes: list[Shape4] = []
    for ref in end.inputs[:: OUTPUT_PORTS[end.op]]:
        shape = (
            consts[ref.node].array.shape
            if ref.node in consts
            else nodes[ref.node].outputs[ref.port].shape
        )
        b, h, w, d = shape
        shapes.append((b, h, w, d))
    return shapes


def walk(graph: Graph, judge: Judge) -> Iterator[str]:
    """What `judge` reports of each node in order, with known ranges propagated."""
    consts = graph.const_by_id()
    shapes: dict[Ref, Shape4] = {}
    dtypes: dict[Ref, str] = {}
    scalars: dict[Ref, float] = {}
    for const in graph.consts:
        ref, shape = Ref(const.id), const.array.shape
        if len(shape) != 4 or min(shape) < 1:
            yield f"const '{const.name}': the shape {list(shape)} is not four sizes of 1 or more"
            shape = SCALAR
        shapes[ref], dtypes[ref] = shape, const.array.dtype.name
        if shape == SCALAR and const.array.size == 1 and const.array.dtype.name == "float32":
            scalars[ref] = float(const.array.flat[0])
            if isnan(scalars[ref]):
                yield f"const '{const.name}' is not a number"
    for node in graph.nodes:
        try:
            known = spec(node.op)
        except GraphError as error:
            yield f"{named(node)}: {error.what}"
        else:
            site = NodeSite(
                node=node,
                spec=known,
                shapes=tuple(shapes[ref] for ref in node.inputs),
                consts=tuple(consts.get(ref.node) for ref in node.inputs),
                scalars=scalars,
            )
            types = [dtypes[ref] for ref in node.inputs]
            for problem in judge(site, types):
                yield f"{named(node)}: {problem}"
            if known.accepts(len(node.inputs)):  # otherwise roles have no positions
                scalars.update(site.output_scalars())
        for port, output in enumerate(node.outputs):
            ref = Ref(node.id, port)
            shapes[ref], dtypes[ref] = output.shape, output.dtype


def node_faults(site: NodeSite, dtypes: Sequence[str]) -> Iterator[str]:
    """One node: its inputs, its outputs, and whether its operands fit each other."""
    node, known = site.node, site.spec
    if known.emit == "prepare":
        yield known.why or "only the library's own prepare inserts such nodes"
        return
    if not known.accepts(len(node.inputs)):
        yield f"{len(node.inputs)} inputs; {_expected(known)}"
        return
    broken = [*_operands(site, dtypes), *_outputs(site)]
    yield from broken
    if broken:  # what follows reads values and sizes by role
        return
    yield from _ranges(site)
    for limit in known.limits:
        if limit.operands_fit:
            yield from limit_faults(site, limit)


def _expected(known: OpSpec) -> str:
    names = ", ".join(
        operand.role + ("*" if operand.variadic else "?" if operand.optional else "")
        for operand in known.inputs
    )
    return f"it takes {' or '.join(map(str, known.counts)) or 'those'}: {names}"


def _operands(site: NodeSite, dtypes: Sequence[str]) -> Iterator[str]:
    """Type, constness and shape of each input by its role."""
    roles = site.spec.roles(len(dtypes))
    for position, (operand, dtype) in enumerate(zip(roles, dtypes, strict=True)):
        where = f"input {position} ({operand.role})"
        const = site.consts[position]
        if operand.const and const is None:
            yield f"{where} must be a constant"
        if const is not None and const.shape_only and not operand.shape_only:
            yield f"{where} is a constant without data"
        if operand.dtypes and dtype not in operand.dtypes:
            yield f"{where} is {dtype}, must be {' or '.join(operand.dtypes)}"
        elif operand.scalar and site.shapes[position] != SCALAR:
            yield f"{where} must be a scalar, is {list(site.shapes[position])}"


def _outputs(site: NodeSite) -> Iterator[str]:
    """Number, types and shapes that the node declares."""
    node = site.node
    results = site.spec.results(len(node.outputs))
    if len(results) != len(node.outputs):
        yield f"{len(node.outputs)} outputs; it has {len(results)}"
        return
    for port, (operand, output) in enumerate(zip(results, node.outputs, strict=True)):
        if operand.dtypes and output.dtype not in operand.dtypes:
            yield f"output {port} is declared {output.dtype}, is {operand.dtypes[0]}"
        if len(output.shape) != 4 or min(output.shape) < 1:
            yield f"output {port} has the shape {list(output.shape)}"
        elif output.nbytes > LARGEST_TENSOR:
            yield f"output {port} takes {output.nbytes} bytes, 2^31 or more"
    if node.op in ENDS:
        return
    values = [None if c is None or c.shape_only else c.array for c in site.consts]
    try:
        shapes = infer(node.op, site.shapes, values, node.padding, len(node.outputs))
    except GraphError as error:
        yield error.what
        return
    for port, (shape, output) in enumerate(zip(shapes, node.outputs, strict=True)):
        if shape != output.shape:
            yield f"output {port} is declared {list(output.shape)}, will be {list(shape)}"


def _ranges(site: NodeSite) -> Iterator[str]:
    """Known ranges of operands: two finite numbers in order. One that is requested may be open."""
    roles = site.spec.roles(len(site.shapes))
    for prefix in dict.fromkeys(
        operand.role.removesuffix("min")
        for operand in roles
        if operand.scalar and operand.role.endswith("min")
    ):
        known = site.range(prefix)
        if known is None or prefix == "out_":
            continue
        if not all(map(isfinite, known)) or known[0] > known[1]:
            yield f"the range {prefix}min..{prefix}max is {known[0]:g}..{known[1]:g}"


def limit_faults(site: NodeSite, limit: Limit) -> Iterator[str]:
    """A limit of the catalogue that the node violates."""
    if limit.rule:
        broken = "" if not CONSTRAINTS[limit.rule](site) else limit.rule.replace("_", " ")
    elif limit.same:
        broken = _differ(site, *limit.same)
    else:
        broken = _size(site, limit)
    if broken:
        yield f"{broken}: {limit.why} [{limit.ref}]"


def _differ(site: NodeSite, left: str, right: str) -> str:
    """How two sizes (`role.axis`) or two whole shapes (`role`) differ, if they do."""
    values: list[object] = []
    for text in (left, right):
        role, _, axis = text.partition(".")
        shape = site.shape(role)
        if shape is None:
            return ""
        values.append(shape[AXES[axis]] if axis else shape)
    return "" if values[0] == values[1] else f"{left} is {values[0]}, {right} is {values[1]}"


def _size(site: NodeSite, limit: Limit) -> str:
    """Which size is out of bounds, if one is."""
    shape = site.shape(limit.of)
    if shape is None:
        return ""
    size = shape[AXES[limit.axis]]
    kept = (
        (limit.equals is None or size == limit.equals)
        and (limit.min is None or size >= limit.min)
        and (limit.max is None or size <= limit.max)
        and (limit.multiple is None or size % limit.multiple == 0)
        and (not limit.one_of or size in limit.one_of)
    )
    return "" if kept else f"{limit.name or f'{limit.of}.{limit.axis}'} is {size}"
