"""One node as the library runs it, prepare included."""

from __future__ import annotations

from collections.abc import Sequence

from hexconv.argument_types import OUTPUTS, checks_types
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib import shapes
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.ops import OpSpec, spec
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.prepare.mutable_graph import shape4
from hexconv.nnlib.versions import LibraryVersion, check_library
from hexconv.simulator.executor import Executor

FEED, THIS, SINK, FIRST_CONST = 1, 2, 3, 16


@checks_types(outputs=OUTPUTS)
def run_op(
    op: str,
    arrays: Sequence[Array],
    padding: str | Padding = "NN_PAD_NA",
    library: LibraryVersion = "v60",
    outputs: Sequence[Output] | None = None,
    consts: Sequence[bool] | None = None,
) -> list[Array]:
    """Run one node, alone and for the first time in a fresh graph.

    Args:
        op: op name, as it is appended.
        arrays: 4-D BHWD inputs in the library's own order and types; min and max as 1x1x1x1
            float32; for a const of which only the shape is read, an array of that shape.
            QuantizeINPUT_f_to_8 takes float data, min, max and the flag, DequantizeOUTPUT_8tof
            data, min and max.
        padding: the node's padding.
        library: "v60", "v65" or "v66".
        outputs: the node's declared outputs; by default from its shape rule. Split has two
            parts unless this specifies otherwise.
        consts: which inputs are Const nodes; by default those that the catalogue requires, and
            all ranges.

    Returns:
        The raw outputs.
    """
    graph = single(op, arrays, padding, outputs, consts)
    check_library(library)
    executor = Executor(prepare(graph, library), library)
    if op == INPUT_OP:
        return executor.run(arrays)
    fixed = {const.id for const in graph.consts}
    node = next(node for node in graph.nodes if node.id == THIS)
    fed = [a for a, ref in zip(arrays, node.inputs, strict=True) if ref.node not in fixed]
    return executor.run(fed)


def single(
    op: str,
    arrays: Sequence[Array],
    padding: str | Padding = "NN_PAD_NA",
    outputs: Sequence[Output] | None = None,
    consts: Sequence[bool] | None = None,
) -> Graph:
    """The graph that `run_op` runs: INPUT, the node, OUTPUT."""
    known = spec(op)
    for position, array in enumerate(arrays):
        if array.ndim != 4:
            raise GraphError(f"input {position} has {array.ndim} axes, not 4", where=op)
    padding = _padding(padding)
    if op == INPUT_OP:
        return _quantizing(arrays[0])
    if consts is None:
        consts = _consts(known, arrays)
    elif len(consts) != len(arrays):
        raise GraphError(f"consts has {len(consts)} entries for {len(arrays)} inputs", where=op)
    if outputs is not None and op != OUTPUT_OP and len(outputs) < len(known.outputs):
        raise GraphError(f"{op} has more than {len(outputs)} outputs", where=op)
    if op == OUTPUT_OP:
        outputs = ()  # its outputs are the graph's, whatever is declared for them
    elif outputs is None:
        outputs = _declared(known, arrays, consts, padding)
    held = [
        Const(FIRST_CONST + i, f"input{i}", array)
        for i, (array, fixed) in enumerate(zip(arrays, consts, strict=True))
        if fixed
    ]
    fed: list[Output] = []
    refs: list[Ref] = []
    for i, (array, fixed) in enumerate(zip(arrays, consts, strict=True)):
        refs.append(Ref(FIRST_CONST + i) if fixed else Ref(FEED, len(fed)))
        if not fixed:
            fed.append(Output(shape4(array), array.dtype.name))
    nodes = [Node(FEED, "input", "INPUT", (), tuple(fed))]
    nodes.append(Node(THIS, op, op, tuple(refs), tuple(outputs), padding))
    if op != OUTPUT_OP:
        ends = tuple(Ref(THIS, port) for port in range(len(outputs)))
        nodes.append(Node(SINK, "output", "OUTPUT", ends, ()))
    return Graph(op, held, nodes)


def _padding(name: str | Padding) -> Padding:
    try:
        return Padding(name)
    except ValueError:
        known = ", ".join(padding.value for padding in Padding)
        raise GraphError(f"no padding {name!r}", hint=f"one of {known}") from None


def _quantizing(data: Array) -> Graph:
    scalar = Output((1, 1, 1, 1), "float32")
    quantized = (Output(shape4(data), "uint8"), scalar, scalar)
    ends = tuple(Ref(THIS, port) for port in range(3))
    nodes = [
        Node(THIS, INPUT_OP, INPUT_OP, (), quantized),
        Node(SINK, "output", "OUTPUT", ends, ()),
    ]
    return Graph(INPUT_OP, [], nodes)


def _consts(known: OpSpec, arrays: Sequence[Array]) -> list[bool]:
    """Which inputs have to be, or usually are, Const nodes."""
    if known.name == OUTPUT_OP:
        return [False] * len(arrays)
    roles = known.roles(len(arrays))
    if len(roles) != len(arrays):
        raise GraphError(f"{known.name} does not take {len(arrays)} inputs")
    return [
        role.const or role.scalar or (role.role == "b" and _is_bias(array))
        for role, array in zip(roles, arrays, strict=True)
    ]


def _is_bias(array: Array) -> bool:
    """A second operand [1,1,1,D] is a weight more often than an activation."""
    return array.shape[:3] == (1, 1, 1) and array.shape[3] > 1


def _declared(
    known: OpSpec, arrays: Sequence[Array], consts: Sequence[bool], padding: Padding
) -> list[Output]:
    count = 4 if known.name in ("QuantizedSplit_8", "Split_f", "Split_int32") else 3
    inferred = shapes.infer(
        known.name,
        [shape4(array) for array in arrays],
        [array if fixed else None for array, fixed in zip(arrays, consts, strict=True)],
        padding,
        count,
    )
    results = known.results(len(inferred))
    return [
        Output(shape, result.dtypes[0] if result.dtypes else arrays[0].dtype.name)
        for shape, result in zip(inferred, results, strict=True)
    ]
