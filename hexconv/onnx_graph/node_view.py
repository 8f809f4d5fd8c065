"""A lowering's view of an ONNX node: it records what was read, so that nothing is dropped."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, overload

import onnx
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import OPSET

T = TypeVar("T")

# Lists that have no default in the schemas because their length varies, and their neutral value.
NEUTRAL_LISTS = {"strides": 1, "dilations": 1, "pads": 0, "output_padding": 0}


class NodeView:
    """One node of a graph in canonical form; inputs and outputs are value names.

    Attributes:
        name: the node's name, unique in its graph.
        op: the op type; `domain` is "" or "com.microsoft".
        inputs: names of the inputs, "" for an absent one; access to this counts as no read.
        outputs: names of the outputs, "" for an absent one.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.name, self.op, self.domain = str(node.name), node.op_type, node.domain
        self.inputs = tuple("" if v is None else str(v.name) for v in node.inputs)
        self.outputs = tuple(str(v.name or "") for v in node.outputs)
        self._read: set[int | str] = set()

    def has(self, position: int) -> bool:
        """Whether the optional input at `position` is given; that alone does not read it."""
        return position < len(self.inputs) and self.inputs[position] != ""

    def input(self, position: int) -> str:
        """Read the name of an input.

        Raises:
            UnsupportedOpError: the node has no such input.
        """
        self._read.add(position)
        if not self.has(position):
            raise UnsupportedOpError(f"input {position} is missing", node=self.name, op=self.op)
        return self.inputs[position]

    @overload
    def attr(self, name: str) -> Any: ...
    @overload
    def attr(self, name: str, default: T) -> T: ...
    def attr(self, name: str, default: Any = None) -> Any:
        """Read an attribute: int, float, str, a list of one of these, or an array for a tensor."""
        self._read.add(name)
        attr = self.node.attributes.get(name)
        return default if attr is None else plain(attr)

    def done(self, *read: int | str) -> None:
        """Mark inputs (by position) and attributes (by name) as handled."""
        self._read.update(read)

    def unread(self) -> tuple[str, ...]:
        """Attributes that are not at their default, and inputs, that nobody has read."""
        attributes = [
            f"attribute {name}={plain(attr)}"
            for name, attr in self.node.attributes.items()
            if name not in self._read and not self._says_nothing(name, plain(attr))
        ]
        inputs = [
            f"input {position} ('{name}')"
            for position, name in enumerate(self.inputs)
            if name and position not in self._read
        ]
        return (*attributes, *inputs)

    def _says_nothing(self, name: str, value: Any) -> bool:
        if name in NEUTRAL_LISTS and isinstance(value, list):
            return all(number == NEUTRAL_LISTS[name] for number in value)
        defaults = _defaults(self.op) if self.domain == "" else {}
        return name in defaults and bool(defaults[name] == value)


def plain(attr: ir.Attr) -> Any:
    """The value of an attribute in Python's own types; a tensor as a NumPy array."""
    value = attr.value
    if attr.type == ir.AttributeType.TENSOR:
        return value.numpy()
    return list(value) if isinstance(value, (tuple, list)) else value


@cache
def _defaults(op: str) -> dict[str, Any]:
    schema = onnx.defs.get_schema(op, OPSET, "")
    return {
        name: plain(ir.serde.deserialize_attribute(attribute.default_value))
        for name, attribute in schema.attributes.items()
        if attribute.default_value.name
    }
