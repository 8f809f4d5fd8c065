"""The graph while prepare's rewrites change it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Const, Graph, Node, Origin, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4

SCALAR = Output((1, 1, 1, 1), "float32")


NODE_FIELDS = attrgetter(*(item.name for item in fields(Node)))
"""The common fields of a node and its mutable form, in the order in which both declare them."""


@dataclass(slots=True, eq=False)
class Op:
    """A node that can still change. `removed` marks one that another node has absorbed."""

    id: int
    name: str
    op: str
    inputs: list[Ref]
    outputs: tuple[Output, ...]
    padding: Padding = Padding.NA
    onnx_node: str = ""
    origin: Origin | None = None
    keeps_range: bool = False
    saturates: tuple[float, float] | None = None
    made_for: tuple[float, float] | None = None
    by_levels: bool = False
    removed: bool = False

    @classmethod
    def thaw(cls, node: Node) -> Op:
        """A node of a graph, free to change."""
        number, name, op, inputs, *others = NODE_FIELDS(node)
        return cls(number, name, op, list(inputs), *others)

    def freeze(self) -> Node:
        """The node in the executed graph."""
        number, name, op, inputs, *others = NODE_FIELDS(self)
        return Node(number, name, op, tuple(inputs), *others)

    def ref(self, port: int = 0) -> Ref:
        """Output `port` of this node."""
        return Ref(self.id, port)

    @property
    def where(self) -> str:
        """The node as an error names it."""
        return f"node {self.id} '{self.name}' ({self.op})"


class Work:
    """Consts and nodes in order, and the readers of each.

    `readers` (by producer, in node order) and `by_id` are those of the last `index`; each rewrite
    leaves them valid. `appended` has the ops of the original graph. `moved` maps a tensor
    of the original graph to the tensor that replaced it, `absorbed` a node to the node that
    computes it now.
    """

    def __init__(self, graph: Graph) -> None:
        self.consts = graph.const_by_id()
        self.ops = [Op.thaw(node) for node in graph.nodes]
        self.appended = {node.op for node in graph.nodes}
        self.moved: dict[Ref, Ref] = {}
        self.absorbed: dict[int, int] = {}
        self._next_id = 2**32 - 1
        self._scalars: dict[tuple[str, bytes], Ref] = {}
        self.index()
        self._check()

    def index(self) -> None:
        """Find the readers of every node and const again."""
        self.by_id = {op.id: op for op in self.ops}
        self.readers: dict[int, list[Op]] = {}
        readers = self.readers
        for op in self.ops:
            for producer in {ref.node for ref in op.inputs}:
                if producer in readers:
                    readers[producer].append(op)
                else:
                    readers[producer] = [op]

    def _check(self) -> None:
        """Every input is a const or an output of an earlier node, as prepare.c init_hashtable."""
        seen: dict[int, int] = dict.fromkeys(self.consts, 1)
        for op in self.ops:
            for ref in op.inputs:
                if ref.port >= seen.get(ref.node, 0):
                    raise GraphError(
                        f"an input reads output {ref.port} of node {ref.node}, which no earlier "
                        "node or const has",
                        where=op.where,
                    )
            if op.id in seen:
                raise GraphError(f"node id {op.id} is used twice", where=op.where)
            seen[op.id] = len(op.outputs)

    # ---- making

    def new_id(self) -> int:
        """An id for a node that prepare inserts; like the library's, they fall from 2^32 - 1."""
        taken = self._next_id
        self._next_id -= 1
        return taken

    def make(
        self,
        name: str,
        op: str,
        inputs: Sequence[Ref],
        outputs: Sequence[Output],
        padding: Padding = Padding.NA,
        *,
        like: Op | None = None,
    ) -> Op:
        """A new node; with `like`, one that takes over that node's id, name and place."""
        made = Op(0, name, op, list(inputs), tuple(outputs), padding)
        if like is None:
            made.id = self.new_id()
        else:
            made.id, made.name = like.id, like.name
            made.onnx_node, made.origin = like.onnx_node, like.origin
        self.by_id[made.id] = made
        return made

    def const(self, array: Array, name: str) -> Ref:
        """A new const; rank below 4 is padded with ones on the left."""
        made = Const(self.new_id(), name, array.reshape((1,) * (4 - array.ndim) + array.shape))
        self.consts[made.id] = made
        return Ref(made.id)

    def scalar(self, value: float | int, dtype: str = "float32") -> Ref:
        """A 1x1x1x1 const; equal ones are made once."""
        array = np.array(value, dtype)
        key = (dtype, array.tobytes())
        if key not in self._scalars:
            self._scalars[key] = self.const(array.reshape(1, 1, 1, 1), f"prepare/{value}")
        return self._scalars[key]

    # ---- asking

    def array(self, ref: Ref) -> Array | None:
        """The value of a const input, or None."""
        const = self.consts.get(ref.node)
        return None if const is None else const.array

    def need(self, op: Op, position: int, what: str) -> Array:
        """The value of an input that the library reads while it prepares."""
        array = self.array(op.inputs[position])
        if array is None:
            raise GraphError(f"the {what} (input {position}) has to be a Const", where=op.where)
        return array

    def number(self, ref: Ref) -> np.float32 | None:
        """The float of a 1x1x1x1 const input, or None (prepare.c try_get_const_float_val)."""
        array = self.array(ref)
        if array is None or array.shape != (1, 1, 1, 1) or array.dtype.itemsize != 4:
            return None
        number: np.float32 = array.flat[0]
        return number

    def producer(self, ref: Ref) -> str:
        """The op that makes a tensor; "" for a const."""
        op = self.by_id.get(ref.node)
        return "" if op is None else op.op

    def declared(self, ref: Ref) -> Output:
        """What the producer of a tensor declares of it."""
        op = self.by_id.get(ref.node)
        if op is not None:
            return op.outputs[ref.port]
        array = self.consts[ref.node].array
        return Output(shape4(array), array.dtype.name)

    def sole_reader(
        self, producer: int, kinds: Collection[str] | None = None, *, check_inputs: bool = True
    ) -> Op | None:
        """The one reader of `producer`, if it is of `kinds` and reads nothing but it and consts.

        graphops.c find_unique_consumer: the first reader of output 0, with no later reader of any
        output.
        """
        readers = self.readers.get(producer, [])
        data = Ref(producer)
        first = next((i for i, op in enumerate(readers) if data in op.inputs), None)
        if first is None or first + 1 < len(readers):
            return None
        reader = readers[first]
        if kinds is not None and reader.op not in kinds:
            return None
        if check_inputs and any(
            ref.node != producer and ref.node not in self.consts for ref in reader.inputs
        ):
            return None
        return reader

    # ---- changing

    def redirect(self, old: Ref, new: Ref) -> None:
        """Let every reader of `old` read `new` (prepare.c change_refs)."""
        self.moved[old] = new
        if old == new:
            return
        stay: list[Op] = []
        for reader in self.readers.get(old.node, []):
            if old in reader.inputs:
                reader.inputs = [new if ref == old else ref for ref in reader.inputs]
                readers = self.readers.setdefault(new.node, [])
                if reader not in readers:
                    readers.append(reader)
            if any(ref.node == old.node for ref in reader.inputs):
                stay.append(reader)
        self.readers[old.node] = stay

    def rewrite(self, rule: Callable[[Work, Op], Iterable[Op] | None]) -> None:
        """Visit the nodes in order; a rule returns what replaces a node, None for itself.

        Nodes that a rule marks `removed` are left out. Readers are found again at the end, so a
        rule may look at them only ahead of its own node.
        """
        after: list[Op] = []
        changed = False
        for op in self.ops:
            if op.removed:
                continue
            made = rule(self, op)
            if made is None:
                after.append(op)
            else:
                after.extend(made)
                changed = True
        if changed:
            self.ops = after
            self.index()

    def absorb(self, into: Op, parts: Iterable[Op | None]) -> Op:
        """Mark `parts` as computed by `into`."""
        for part in parts:
            if part is not None:
                part.removed = True
                self.absorbed[part.id] = into.id
        return into

    def replace(self, op: Op, made: Op) -> None:
        """Let `made` stand for a quantized node: its readers read data, min and max of `made`."""
        made.origin, made.onnx_node = op.origin, op.onnx_node
        for port in range(3):
            self.redirect(op.ref(port), made.ref(port))
        self.absorbed[op.id] = made.id

    def sweep(self) -> None:
        """Drop nodes that nothing reads (prepare.c remove_dead_nodes); outputless ones stay."""
        used: set[int] = set()
        kept: list[Op] = []
        for op in reversed(self.ops):
            if op.id in used or not op.outputs:
                used.update(ref.node for ref in op.inputs)
                kept.append(op)
        if len(kept) < len(self.ops):
            self.ops = kept[::-1]
            self.index()

    def graph(self, source: Graph) -> Graph:
        """The executed graph, with the consts that it still reads."""
        read = {ref.node for op in self.ops for ref in op.inputs}
        consts = [const for key, const in self.consts.items() if key in read]
        nodes = [op.freeze() for op in self.ops]
        return Graph(source.name, consts, nodes, list(source.inputs), list(source.outputs))


def shape4(array: Array) -> Shape4:
    """The four sizes of a BHWD array."""
    b, h, w, d = array.shape
    return int(b), int(h), int(w), int(d)
