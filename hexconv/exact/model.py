"""An executed graph as an ONNX model whose nodes are the library's ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.exact.body import OPSET
from hexconv.exact.functions import (
    DOMAIN,
    EXACT,
    SHARED,
    VERSION,
    ExactCall,
    Form,
    FunctionSet,
    Operand,
)
from hexconv.exact.value import onnx_type
from hexconv.names import unique_name
from hexconv.nnlib.graph import (
    ENDS,
    FLOAT_OUTPUT_OP,
    INPUT_OP,
    OUTPUT_OP,
    OUTPUT_PORTS,
    Graph,
    Interface,
    Node,
    Output,
    Ref,
)
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import catalogue, spec
from hexconv.nnlib.shapes import infer
from hexconv.nnlib.versions import LibraryVersion
from hexconv.slices import Slices

IR_VERSION = 8
SILENT = frozenset(("Sink",))
PORTS = 3
"""Data, min and max."""
PORT_NAMES = ("", ".min", ".max")

Metadata = Mapping[str, str]


class ExactModel:
    """Collects nodes, initializers and functions of one graph.

    Args:
        graph: as prepared; with MACE's two ends, or with INPUT and OUTPUT.
        library: "v60", "v65" or "v66".
        metadata: what to say of a node, by its id.

    Raises:
        GraphError: nodes have no exact function.
    """

    def __init__(
        self, graph: Graph, library: LibraryVersion, metadata: Mapping[int, Metadata] | None = None
    ) -> None:
        need_functions(graph.nodes)
        self.graph, self.library, self.metadata = graph, library, metadata or {}
        self.functions = FunctionSet(library)
        self._consts = {const.id: const for const in graph.consts}
        self._taken = {item.name for item in (*graph.inputs, *graph.outputs)}
        self._node_names: set[str] = set()
        self._names: dict[Ref, str] = {}
        self._types: dict[Ref, Output] = {}
        self._values: dict[Ref, Array] = {}
        self._initializers: dict[str, TensorProto] = {}
        self._defaults: dict[bytes, str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._infos: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []

    def proto(self) -> onnx.ModelProto:
        """The whole model."""
        for node in self.graph.nodes:
            self._add(node)
        graph = helper.make_graph(
            self._nodes,
            self.graph.name,
            self._inputs,
            self._outputs,
            list(self._initializers.values()),
            value_info=self._infos,
        )
        versions = [("", OPSET), (DOMAIN, VERSION), (SHARED, VERSION)]
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*version) for version in versions],
            functions=self.functions.protos(),
            ir_version=IR_VERSION,
            producer_name="hexconv",
        )

    def _add(self, node: Node) -> None:
        if node.op in SILENT:
            return
        if node.op == "INPUT":
            self._raw_inputs(node)
        elif node.op == FLOAT_OUTPUT_OP and self.graph.outputs:
            for ref, item in zip(
                node.inputs[:: OUTPUT_PORTS[node.op]], self.graph.outputs, strict=True
            ):
                self._returned(self._tensor(ref), item)
        elif node.op == FLOAT_OUTPUT_OP:
            self._raw_outputs(node)
        elif node.op == INPUT_OP:
            for index, item in enumerate(self.graph.inputs):
                self._input(node, PORTS * index, item)
        elif node.op == OUTPUT_OP:
            for index, item in enumerate(self.graph.outputs):
                self._output(node, PORTS * index, item)
        else:
            self._call(node, node.inputs, node.outputs, 0)

    def _name(self, wanted: str) -> str:
        return unique_name(wanted, self._taken)

    def _raw_inputs(self, node: Node) -> None:
        for port, output in enumerate(node.outputs):
            name = self._name(f"input{port}")
            self._names[Ref(node.id, port)], self._types[Ref(node.id, port)] = name, output
            self._inputs.append(_info(name, output.dtype, output.shape))

    def _raw_outputs(self, node: Node) -> None:
        for port, ref in enumerate(node.inputs):
            name = self._name(f"output{port}")
            self._nodes.append(helper.make_node("Identity", [self._tensor(ref)], [name]))
            # Declared sizes are the largest that fit: the real ones follow from the nodes.
            self._outputs.append(_info(name, self._type(ref).dtype, None))

    def _input(self, node: Node, first: int, item: Interface) -> None:
        """Axes in the library's order, then the quantization over the data of the run."""
        self._inputs.append(_info(item.name, "float32", item.shape))
        name, order = item.name, item.layout.order
        if order != tuple(range(len(order))):
            name = self._plain("Transpose", [name], f"{item.name}.bhwd_order", perm=list(order))
        shape = self._constant(np.array(item.bhwd, np.int64))
        name = self._plain("Reshape", [name, shape], f"{item.name}.bhwd")
        data = Ref(-1 - first)
        self._names[data], self._types[data] = name, Output(item.bhwd, "float32")
        self._call(node, (data,), node.outputs[first : first + PORTS], first)

    def _output(self, node: Node, first: int, item: Interface) -> None:
        """Floats of the output's codes, in the model's own order of axes."""
        refs = node.inputs[first : first + PORTS]
        declared = Output(item.bhwd, "float32")
        self._call(node, refs, (declared,), 1000 + first)
        self._returned(self._names[Ref(node.id, 1000 + first)], item)

    def _returned(self, name: str, item: Interface) -> None:
        """An output of the model from its data in the library's order of axes."""
        order = item.layout.order
        spread = [item.raw_shape[axis] for axis in order]
        plain = order == tuple(range(len(order)))
        shape = self._constant(np.array(spread, np.int64))
        result = item.name if item.slices is None else self._name(f"{item.name}.slices")
        if plain:
            self._nodes.append(helper.make_node("Reshape", [name, shape], [result]))
        else:
            name = self._plain("Reshape", [name, shape], f"{item.name}.order_of_bhwd")
            perm = [int(axis) for axis in np.argsort(order)]
            node_ = helper.make_node("Transpose", [name], [result], perm=perm)
            self._nodes.append(node_)
        if item.slices is not None:
            self._join(result, item, item.slices)
        self._outputs.append(_info(item.name, "float32", item.shape))

    def _join(self, raw: str, item: Interface, slices: Slices) -> None:
        """An output of its slices, added up in the order of `Slices.joined`."""
        parts = [self._name(f"{item.name}.slice{number}") for number in range(slices.count)]
        sizes = np.full(slices.count, item.shape[slices.axis], np.int64)
        inputs = [raw, self._constant(sizes)]
        self._nodes.append(helper.make_node("Split", inputs, parts, axis=slices.axis))
        total = parts[0]
        for part in parts[1:]:
            total = self._plain("Add", [total, part], f"{item.name}.sum")
        start = self._constant(np.array(slices.ends[0], np.float32))
        self._nodes.append(helper.make_node("Add", [total, start], [item.name]))

    def _plain(self, kind: str, inputs: Sequence[str], wanted: str, **attributes: object) -> str:
        """A standard node in front of or behind the graph."""
        name = self._name(wanted)
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _call(self, node: Node, refs: Sequence[Ref], outputs: Sequence[Output], first: int) -> None:
        """A node of the library; its outputs are ports from `first` on."""
        form = self._form(node, refs)
        roles = _roles(node, form, len(refs))
        operands = [
            Operand(role, self._type(refs[index]).dtype, self._known(refs[index]))
            for role, index in zip(roles, form.reads, strict=False)
        ]
        more = roles[len(operands) :]
        operands += [
            Operand(role, array.dtype.name, array)
            for role, array in zip(more, form.defaults, strict=True)
        ]
        made = self.functions.define(node.op, operands, form)
        names = [self._tensor(refs[form.reads[index]]) for index in made.reads]
        names += [self._constant(array) for array in made.parameters]
        results = self._results(node, outputs, made.outputs, first, self._shapes(node, refs, form))
        self._append(node, made.name, names, results, form)

    def _results(
        self,
        node: Node,
        outputs: Sequence[Output],
        made: Sequence[Operand],
        first: int,
        shapes: Sequence[Shape4],
    ) -> list[str]:
        """Names of a node's outputs; what they are, where that is known."""
        results = []
        for port, (declared, found) in enumerate(zip(outputs, made, strict=True)):
            output = Output(shapes[port] if shapes else declared.shape, found.dtype)
            ref = Ref(node.id, first + port)
            tail = PORT_NAMES[port] if port < len(PORT_NAMES) else f".{port}"
            name = self._names[ref] = self._name(node.name + tail)
            self._types[ref] = output
            if found.array is not None:
                self._values[ref] = found.array
            if node.op not in ENDS:
                self._infos.append(_info(name, output.dtype, output.shape))
            results.append(name)
        return results

    def _shapes(self, node: Node, refs: Sequence[Ref], form: Form) -> Sequence[Shape4]:
        """Of a node's outputs: what it declares may be larger. None where there is no rule."""
        if form.shape is not None:
            return (form.shape, *(output.shape for output in node.outputs[1:]))
        if node.op not in catalogue() or node.op in ENDS:
            return ()
        shapes = [self._type(ref).shape for ref in refs]
        consts = [self._known(ref) for ref in refs]
        return infer(node.op, shapes, consts, node.padding, len(node.outputs))

    def _append(
        self, node: Node, op: str, inputs: Sequence[str], outputs: Sequence[str], form: Form
    ) -> None:
        name = unique_name(node.name or f"{node.op}.{node.id}", self._node_names)
        made = helper.make_node(op, inputs, outputs, name=name, domain=DOMAIN)
        made.attribute.extend(map(_attribute, form.attributes, form.attributes.values()))
        for key, text in self.metadata.get(node.id, {}).items():
            made.metadata_props.add(key=key, value=text)
        self._nodes.append(made)

    def _known(self, ref: Ref) -> Array | None:
        """A const, or an output that follows from consts."""
        if ref.node in self._consts:
            return self._consts[ref.node].array
        return self._values.get(ref)

    def _form(self, node: Node, refs: Sequence[Ref]) -> Form:
        consts = {
            index: self._consts[ref.node].array
            for index, ref in enumerate(refs)
            if ref.node in self._consts
        }
        shapes = tuple(self._type(ref).shape for ref in refs)
        return EXACT[node.op](ExactCall(node, shapes, consts, self.library))

    def _tensor(self, ref: Ref) -> str:
        """The name of a tensor; consts become initializers."""
        if ref not in self._names:
            self._names[ref] = self._constant(self._consts[ref.node].array)
        return self._names[ref]

    def _type(self, ref: Ref) -> Output:
        if ref.node in self._consts:
            array = self._consts[ref.node].array
            b, h, w, d = array.shape
            return Output((b, h, w, d), array.dtype.name)
        return self._types[ref]

    def _constant(self, array: Array) -> str:
        """An initializer that several nodes may share."""
        key = array.dtype.str.encode() + repr(array.shape).encode() + array.tobytes()
        if key not in self._defaults:
            name = self._defaults[key] = self._name(f"constant.{len(self._defaults)}")
            self._initializers[name] = numpy_helper.from_array(array, name)
        return self._defaults[key]


def need_functions(nodes: Sequence[Node]) -> None:
    """Raise for ops that have no exact function."""
    known = set(EXACT) | SILENT | {"INPUT", FLOAT_OUTPUT_OP}
    missing = sorted({node.op for node in nodes} - known)
    if missing:
        raise GraphError(
            f"no exact function for {', '.join(missing)}",
            why="only ops that a conversion emits have one",
            hint="hexconv simulate computes the same bits",
        )


def _info(name: str, dtype: str, shape: Sequence[int] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx_type(dtype), shape)


def _attribute(name: str, value: int | Sequence[int] | Sequence[float]) -> onnx.AttributeProto:
    """An int, or a list of whole numbers (which may be empty) or of floats."""
    if isinstance(value, int):
        return helper.make_attribute(name, value)
    floats = any(isinstance(item, float) for item in value)
    kind = onnx.AttributeProto.FLOATS if floats else onnx.AttributeProto.INTS
    return helper.make_attribute(name, list(value), attr_type=kind)


def _roles(node: Node, form: Form, count: int) -> list[str]:
    """Names of a function's inputs, after the catalogue's roles."""
    if node.op in catalogue():
        operands = spec(node.op).roles(count)
        wanted = [operands[i].role if i < len(operands) else f"input{i}" for i in form.reads]
    else:
        wanted = [f"input{index}" for index in form.reads]
    wanted += [f"default{index}" for index in range(len(form.defaults))]
    taken: set[str] = set()
    return [unique_name(name, taken) for name in wanted]
