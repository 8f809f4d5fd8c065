"""Reject a graph that the library would reject, crash on, or compute incorrectly.

One walk over the nodes in their order: linear in the size of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from hexconv.errors import GraphError
from hexconv.nnlib.constraints import CONSTRAINTS
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Node, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import Limit, OpSpec, spec
from hexconv.nnlib.shapes import SCALAR, infer
from hexconv.nnlib.site import NodeSite
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion

AXES = {"b": 0, "h": 1, "w": 2, "d": 3}
SHOWN = 20


def check(graph: Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> None:
    """Raise one error that lists every problem of a graph.

    Args:
        graph: any nnlib graph, converted or loaded.
        library: the library that it will run on: v60, v65, v66, or open.

    Raises:
        GraphError: with each problem on a line, the node named.
    """
    found = problems(graph, library)
    if not found:
        return
    noun = "problem" if len(found) == 1 else "problems"
    more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    raise GraphError(
        f"the graph '{graph.name}' cannot run on the Hexagon library: {len(found)} {noun}",
        why="\n       ".join([*found[:SHOWN], *more]),
    )


def problems(graph: Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> list[str]:
    """Every problem of a graph, one line each; empty for a graph that runs."""
    found = list(_wiring(graph))
    if found:  # shapes and types are meaningless before every input exists
        return found
    return [*_interface(graph), *_nodes(graph, library)]


def _named(node: Node) -> str:
    origin = f", from '{node.onnx_node}'" if node.onnx_node else ""
    return f"'{node.name}' ({node.op}, id {node.id}{origin})"


def _wiring(graph: Graph) -> Iterator[str]:
    """Ids, ports and order."""
    ports: dict[int, int] = {}
    items: list[Const | Node] = [*graph.consts, *graph.nodes]
    for item in items:
        if item.id in ports:
            yield f"'{item.name}': the id {item.id} is taken twice"
        ports[item.id] = 1 if isinstance(item, Const) else len(item.outputs)
    done = {const.id for const in graph.consts}
    backward = False
    for node in graph.nodes:
        for position, ref in enumerate(node.inputs):
            if ref.node not in ports:
                yield f"{_named(node)}: input {position} is node {ref.node}, which does not exist"
            elif not 0 <= ref.port < ports[ref.node]:
                yield (
                    f"{_named(node)}: input {position} is output {ref.port} of node {ref.node}, "
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
    walk = nx.DiGraph()
    walk.add_edges_from(
        (ref.node, node.id) for node in graph.nodes for ref in node.inputs if ref.node in names
    )
    try:
        cycle = [names[source] for source, _ in nx.find_cycle(walk)]
    except nx.NetworkXNoCycle:
        return "nodes are not in execution order: some come before the nodes that they read"
    return f"nodes form a cycle: {' -> '.join([*cycle, cycle[0]])}"


def _interface(graph: Graph) -> Iterator[str]:
    """The input and output node against the model's declared inputs and outputs."""
    for op, tensors, what in ((INPUT_OP, graph.inputs, "in"), (OUTPUT_OP, graph.outputs, "out")):
        nodes = [node for node in graph.nodes if node.op == op]
        if len(nodes) != (1 if tensors else 0):
            yield f"{len(nodes)} {op} nodes for {len(tensors)} {what}puts of the model"
            continue
        if not nodes:
            continue
        ports = len(nodes[0].outputs if op == INPUT_OP else nodes[0].inputs)
        if ports != 3 * len(tensors):
            yield f"{_named(nodes[0])}: {ports} ports; {len(tensors)} tensors need three each"
    taps = next((node for node in graph.nodes if node.op == INPUT_OP), None)
    for index, tensor in enumerate(graph.inputs if taps else ()):
        if taps and 3 * index < len(taps.outputs):
            declared = taps.outputs[3 * index].shape
            if declared != tensor.bhwd:
                yield f"input '{tensor.name}' is declared {list(declared)}, is {list(tensor.bhwd)}"


def _nodes(graph: Graph, library: LibraryVersion) -> Iterator[str]:
    """Every node against the catalogue, in order, with known ranges propagated."""
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
            yield f"{_named(node)}: {error.what}"
        else:
            site = NodeSite(
                node=node,
                spec=known,
                shapes=tuple(shapes[ref] for ref in node.inputs),
                consts=tuple(consts.get(ref.node) for ref in node.inputs),
                scalars=scalars,
            )
            types = [dtypes[ref] for ref in node.inputs]
            for problem in _node(site, types, library):
                yield f"{_named(node)}: {problem}"
            if known.accepts(len(node.inputs)):  # otherwise roles have no positions
                scalars.update(site.output_scalars())
        for port, output in enumerate(node.outputs):
            ref = Ref(node.id, port)
            shapes[ref], dtypes[ref] = output.shape, output.dtype


def _node(site: NodeSite, dtypes: Sequence[str], library: LibraryVersion) -> Iterator[str]:
    """One node: whether it exists, its inputs, its outputs, and its constraints."""
    node, known = site.node, site.spec
    if known.emit != "yes":
        yield known.why or "only the library's own prepare inserts such nodes"
        return
    if library not in known.libraries:
        yield f"the {library} library does not have this op"
    if node.padding not in known.padding:
        supported = ", ".join(padding.name for padding in known.padding)
        yield f"padding {node.padding.name} is not supported, only {supported}"
    if not known.accepts(len(node.inputs)):
        yield f"{len(node.inputs)} inputs; {_expected(known)}"
        return
    yield from _operands(site, dtypes)
    yield from _outputs(site)
    for limit in known.limits:
        if not limit.libraries or library in limit.libraries:
            yield from _limit(site, limit)
    yield from _requested(site)


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
    if node.op in (INPUT_OP, OUTPUT_OP):
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


def _limit(site: NodeSite, limit: Limit) -> Iterator[str]:
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


def _requested(site: NodeSite) -> Iterator[str]:
    """A requested range whose ends are known must have a width."""
    out = site.range("out_")
    if out is not None and not out[0] < out[1]:
        yield f"the requested output range, {out[0]:g}..{out[1]:g}, is empty"
